"""Notices: users see their own, newest first, and mark them as read."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import Notification, OutgoingMail
from accounts.notices import kinds as kinds
from accounts.notices import mail, notifications
from accounts.notices.notifications import notify
from fileshare import folders
from tests.accounts.test_races import at_once

pytestmark = pytest.mark.django_db


@pytest.fixture
def notices(people):
    """Three notices of the client, oldest first."""
    return [
        notify(people["client"], "folder_granted", folder=f"Folder {n}", folder_slug=f"folder-{n}") for n in range(3)
    ]


@pytest.fixture
def foreign(people):
    return notify(people["stranger"], "folder_granted", folder="Other", folder_slug="other")


def unread(user):
    return Notification.objects.filter(user=user, is_read=False).count()


def test_the_list_holds_ones_own_newest_first(notices, foreign, api_as):
    body = api_as("client").get("/api/notifications").json()

    assert [row["id"] for row in body["results"]] == [str(notice.pk) for notice in reversed(notices)]
    assert set(body["results"][0]) == {"id", "type", "payload", "is_read", "created_at"}
    assert (body["next"], body["previous"]) == (None, None)


def test_unread_leaves_out_what_was_read(notices, api_as):
    api_as("client").post("/api/notifications/mark-read", {"ids": [str(notices[0].pk)]})

    def ids(unread):
        body = api_as("client").get("/api/notifications", {"unread": unread}).json()
        return {row["id"] for row in body["results"]}

    assert ids("true") == ids("1") == {str(notices[1].pk), str(notices[2].pk)}
    assert len(ids("false")) == 3


def test_pages_follow_each_other_both_ways_and_keep_the_filter(people, api_as):
    ids = [str(notify(people["client"], "x").pk) for _n in range(7)][::-1]
    client, url, seen = api_as("client"), "/api/notifications?unread=1&limit=3", []
    while url:
        page = client.get(url).json()
        seen.append([row["id"] for row in page["results"]])
        last, url = page, page["next"]
    assert seen == [ids[:3], ids[3:6], ids[6:]]

    assert "unread=1" in last["previous"]
    middle = client.get(last["previous"]).json()
    assert [row["id"] for row in middle["results"]] == ids[3:6]
    first = client.get(middle["previous"]).json()
    assert [row["id"] for row in first["results"]] == ids[:3]
    assert first["previous"] is None


def test_a_notice_that_comes_meanwhile_moves_no_page(people, api_as):
    ids = [str(notify(people["client"], "x").pk) for _n in range(4)][::-1]
    following = api_as("client").get("/api/notifications?limit=2").json()["next"]
    notify(people["client"], "late")

    assert [row["id"] for row in api_as("client").get(following).json()["results"]] == ids[2:]


def test_chosen_notices_are_marked(notices, people, api_as):
    body = {"ids": [str(notice.pk) for notice in notices[:2]]}

    first, again = (api_as("client").post("/api/notifications/mark-read", body) for _turn in range(2))

    assert (first.json(), again.json()) == ({"marked": 2}, {"marked": 0})
    assert unread(people["client"]) == 1


def test_all_are_marked(notices, foreign, people, api_as):
    assert api_as("client").post("/api/notifications/mark-read", {"all": True}).json() == {"marked": 3}
    assert unread(people["client"]) == 0
    assert unread(people["stranger"]) == 1


@pytest.mark.parametrize("who", ["client", "super"])
def test_foreign_ids_mark_nothing(who, foreign, people, api_as):
    response = api_as(who).post("/api/notifications/mark-read", {"ids": [str(foreign.pk)]})

    assert (response.status_code, response.json()) == (200, {"marked": 0})
    assert unread(people["stranger"]) == 1


@pytest.mark.parametrize(
    "body",
    [{}, {"all": False}, {"ids": [], "all": True}, {"ids": "x"}, {"ids": ["x"]}, {"ids": [1]}, {"ids": None}, {"x": 1}],
    ids=str,
)
def test_a_wish_that_makes_no_sense_marks_nothing(body, notices, people, api_as):
    response = api_as("client").post("/api/notifications/mark-read", body)

    assert (response.status_code, response.json()["code"]) == (400, "invalid")
    assert unread(people["client"]) == 3


def test_more_than_a_thousand_ids_are_too_many(people, api_as):
    ids = ["00000000-0000-4000-8000-000000000000"] * 1001

    assert api_as("client").post("/api/notifications/mark-read", {"ids": ids}).status_code == 400
    assert api_as("client").post("/api/notifications/mark-read", {"ids": ids[1:]}).json() == {"marked": 0}


def test_the_page_says_each_notice_as_a_sentence_with_a_way_there(notices, foreign, people, client):
    client.force_login(people["client"])

    rows = client.get("/notifications").context["page"].results

    assert [row.text for row in rows] == [f"You may now use the folder “Folder {n}”." for n in (2, 1, 0)]
    assert rows[0].url == "/fileshare/folder-2/"


@pytest.mark.parametrize("payload", [{}, {"folder": "100 %d"}, {"folder_slug": "../"}, {"filename": "%(x)s"}])
def test_an_odd_payload_still_makes_a_sentence(payload, people, client):
    for kind in ("folder_granted", "upload_refused", "never_heard_of"):
        notify(people["client"], kind, **payload)
    client.force_login(people["client"])

    assert client.get("/notifications").status_code == 200


def test_the_page_marks_chosen_ones_and_all(notices, foreign, people, client):
    client.force_login(people["client"])

    chosen = {"ids": [str(notices[0].pk), str(foreign.pk), "nonsense"]}
    assert client.post("/notifications/mark-read", chosen).status_code == 302
    assert (unread(people["client"]), unread(people["stranger"])) == (2, 1)

    client.post("/notifications/mark-read", {"all": "1"})
    assert (unread(people["client"]), unread(people["stranger"])) == (0, 1)


def test_every_page_counts_what_is_unread(notices, people, client):
    client.force_login(people["client"])

    assert client.get("/profile").context["unread_notifications"] == 3


def test_a_grant_leaves_its_holder_a_notice(people, company_folder):
    folders.grant(
        user=people["super"], folder_id=company_folder.pk, permission_type="download", user_id=people["client"].pk
    )

    notice = Notification.objects.get(user=people["client"])
    assert (notice.type, notice.payload["folder_slug"]) == ("folder_granted", "baobab-files")


# --- Kinds ------------------------------------------------------------------------------------------

FOLDER = {"folder": "Baobab", "folder_slug": "baobab"}
REQUEST_ID = "00000000-0000-4000-8000-000000000001"
SENTENCES = [
    ("file_shared", {"filename": "a.pdf", "by": "Amina"}, "Amina shared “a.pdf” with you."),
    ("file_shared", {"filename": "a.pdf"}, "“a.pdf” was shared with you."),
    ("share_downloaded", {"filename": "a.pdf"}, "“a.pdf” was downloaded by your share link."),
    (
        "share_downloaded",
        {"filename": "a.pdf", "count": 3},
        "“a.pdf” was downloaded 3 times by your share link.",
    ),
    (
        "request_answered",
        {"title": "Papers", "sender": "Juma", "count": 1},
        "Juma sent 1 file for your request “Papers”.",
    ),
    ("request_answered", {"title": "Papers", "count": 2}, "2 files came in for your request “Papers”."),
    ("folder_granted", FOLDER, "You may now use the folder “Baobab”."),
    (
        "folder_granted",
        {**FOLDER, "permission_type": "upload"},
        "You may now upload to the folder “Baobab”.",
    ),
    (
        "folder_granted",
        {**FOLDER, "permission_type": "download"},
        "You may now download from the folder “Baobab”.",
    ),
    ("folder_revoked", FOLDER, "You may no longer use the folder “Baobab” as before."),
    ("folder_upload", {**FOLDER, "filename": "a.pdf", "count": 1}, "“a.pdf” is new in the folder “Baobab”."),
    (
        "folder_upload",
        {**FOLDER, "filename": "a.pdf", "count": 7},
        "7 files are new in the folder “Baobab”, the latest of them “a.pdf”.",
    ),
    ("upload_refused", {"filename": "a.exe", "reason": "A program."}, "“a.exe” was refused: A program."),
    (
        "file_expiring",
        {**FOLDER, "count": 2, "date": "2026-11-24"},
        "2 files in the folder “Baobab” will be deleted by Nov. 24, 2026.",
    ),
    (
        "file_expiring",
        {**FOLDER, "count": 5, "folders": 2, "date": "2026-11-24"},
        "5 files in 2 of your folders will be deleted by Nov. 24, 2026.",
    ),
    ("file_expiring", {**FOLDER, "count": 5, "folders": 2}, "5 files in 2 of your folders will soon be deleted."),
    ("file_expiring", {**FOLDER, "count": 1}, "1 file in the folder “Baobab” will soon be deleted."),
    (
        "quota_near_full",
        {**FOLDER, "percent": 93},
        "The folder “Baobab” is nearly full: 93 % of its space is taken.",
    ),
    (
        "payment_settled",
        {"plan": "100 GB", "amount": 500, "status": "paid"},
        "Your payment of KES 500 for “100 GB” has arrived.",
    ),
    ("payment_settled", {"plan": "100 GB", "status": "failed"}, "Your payment for “100 GB” did not go through."),
    ("payment_settled", {"plan": "100 GB", "status": "?"}, "Your payment for “100 GB” is settled."),
    ("plan_ending", {"plan": "100 GB"}, "The space of “100 GB” ends soon."),
    ("plan_ended", {"plan": "100 GB"}, "The space of “100 GB” has ended."),
    (
        "file_quarantined",
        {"filename": "a.zip", "state": "infected", "signature": "Eicar"},
        "“a.zip” is in quarantine: the virus scanner found Eicar in it. Nobody can download it.",
    ),
    (
        "file_quarantined",
        {"filename": "a.zip", "state": "unscannable"},
        "“a.zip” is in quarantine: the virus scanner cannot check it. "
        "Nobody can download it until a super has decided.",
    ),
    (
        "files_waiting",
        {"folder": "Baobab", "waiting": 1},
        "1 file in the folder “Baobab” waits to be downloaded by you.",
    ),
    (
        "files_waiting",
        {"folder": "Baobab", "waiting": 4},
        "4 files in the folder “Baobab” wait to be downloaded by you.",
    ),
    (
        "file_quarantined",
        {"filename": "a.zip", "state": "released"},
        "A super let “a.zip” out of quarantine: it can be downloaded.",
    ),
    ("file_quarantined", {"filename": "a.zip", "state": "deleted"}, "A super deleted “a.zip” from quarantine."),
    (
        "file_deleted",
        {**FOLDER, "filename": "a.pdf", "by": "Amina", "count": 1},
        "Amina deleted your file “a.pdf” from the folder “Baobab”.",
    ),
    (
        "file_deleted",
        {**FOLDER, "filename": "a.pdf", "count": 1},
        "1 of your files was deleted from the folder “Baobab” by somebody else: “a.pdf”.",
    ),
    (
        "file_deleted",
        {**FOLDER, "filename": "a.pdf", "by": "Amina", "count": 3},
        "3 of your files were deleted from the folder “Baobab” by somebody else, the latest of them “a.pdf”.",
    ),
    (
        "file_renamed",
        {"filename": "b.pdf", "before": "a.pdf", "by": "Amina"},
        "Amina renamed your file “a.pdf” to “b.pdf”.",
    ),
    ("file_renamed", {"filename": "b.pdf", "before": "a.pdf"}, "Your file “a.pdf” was renamed to “b.pdf”."),
    ("account_changed", {}, "A super changed your account."),
    (
        "account_changed",
        {"roles_added": ["ops"], "roles_removed": ["auditor", "client"], "company": "Baobab", "is_active": True},
        "A super changed your account. You now have the role ops. You no longer have the roles auditor, client. "
        "You now belong to the company “Baobab”. Your account was switched on.",
    ),
    (
        "account_changed",
        {"roles_added": [], "company": "", "name": "Amina", "is_active": False},
        "A super changed your account. You no longer belong to a company. Your name is now “Amina”. "
        "Your account was switched off.",
    ),
    ("security_changed", {"what": "second_factor_added"}, "A second step was added to your log-in."),
    ("security_changed", {"what": "?"}, "A security setting of your account was changed."),
    ("never_heard_of", {}, "Never heard of"),
]


@pytest.mark.parametrize(("kind", "payload", "text"), SENTENCES, ids=range(len(SENTENCES)))
def test_each_kind_says_its_sentence(kind, payload, text):
    assert kinds.sentence(kind, payload) == text


def test_every_kind_is_among_them_and_leads_somewhere():
    assert {kind for kind, _payload, _text in SENTENCES} == {*kinds.KINDS, "never_heard_of"}

    facts = {"folder_slug": "baobab", "file_id": REQUEST_ID, "request_id": REQUEST_ID, "share_id": REQUEST_ID}
    urls = {kind: kinds.url(kind, facts) for kind in kinds.KINDS}
    assert {urls[kind] for kind in ("folder_granted", "folder_upload", "quota_near_full", "file_expiring")} == {
        "/fileshare/baobab/"
    }
    assert urls["share_downloaded"] == f"/files/{REQUEST_ID}/"
    assert urls["file_shared"] == f"/shares/{REQUEST_ID}/open"
    assert urls["folder_revoked"] == "/fileshare/", "the folder itself may be out of reach"
    assert kinds.url("file_expiring", {**facts, "folders": 2}) == "/fileshare/"
    assert kinds.url("file_quarantined", {**facts, "state": "deleted"}) is None
    assert urls["security_changed"].startswith("/profile")
    assert all(url is None or url.startswith("/") for url in urls.values())


def test_the_words_in_the_tables_are_those_of_ever():
    """Stored notices and preferences hold these words: a renamed kind would no longer match them."""
    kept = "account_changed file_deleted file_expiring file_quarantined file_renamed file_shared files_waiting "
    kept += "folder_granted folder_revoked folder_upload payment_settled plan_ended plan_ending quota_near_full "
    kept += "request_answered security_changed share_downloaded upload_refused"

    assert list(kinds.KINDS) == kept.split()
    assert {kind.group for kind in kinds.KINDS.values()} == {name for name, _label in kinds.groups()}


@pytest.mark.parametrize("kind", [*kinds.KINDS, "never_heard_of"])
@pytest.mark.parametrize(
    "payload",
    [
        {},
        {
            "folder_slug": "../x",
            "file_id": "x",
            "request_id": [],
            "count": "many",
            "date": "soon",
            "permission_type": 1,
        },
        {"folder": "%(x)s %d", "filename": "%", "date": 7, "count": -1, "what": None, "status": {}, "by": "<b>"},
    ],
    ids=["nothing", "nonsense", "markup"],
)
def test_no_payload_breaks_a_page_or_a_letter(kind, payload, people, client, outbox):
    notice = notify(people["client"], kind, **payload)
    mail.post(
        "notice",
        to="a@example.org",
        user_id=str(people["client"].pk),
        notice_id=str(notice.pk),
        kind=kind,
        payload=payload,
    )
    client.force_login(people["client"])

    assert client.get("/notifications").status_code == 200
    assert client.get(f"/notifications/{notice.pk}/open").status_code == 302
    assert outbox()


# --- About the same thing ---------------------------------------------------------------------------


def test_what_is_about_the_same_thing_is_one_notice_while_unread(people):
    user = people["client"]
    first = notify(user, "folder_upload", about="f1", folder="F", filename="a", count=1)
    older = notify(user, "folder_upload", about="f2", folder="G", filename="z", count=1)
    again = notify(user, "folder_upload", about="f1", folder="F", filename="b", count=2)
    other = notify(people["stranger"], "folder_upload", about="f1", folder="F", filename="b", count=1)

    assert again.pk == first.pk
    assert Notification.objects.get(pk=first.pk).payload == {"folder": "F", "filename": "b", "count": 3}
    assert list(Notification.objects.filter(user=user)) == [first, older], "it moved to the top"
    assert other.payload["count"] == 1

    notifications.mark_read(user=user, everything=True)
    fresh = notify(user, "folder_upload", about="f1", folder="F", filename="c", count=1)
    assert fresh.pk != first.pk
    assert fresh.payload["count"] == 1


def test_without_an_about_every_notice_is_one_of_its_own(people):
    for _turn in range(2):
        notify(people["client"], "upload_refused", filename="a")

    assert Notification.objects.filter(user=people["client"]).count() == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("turn", range(2))
def test_however_many_at_once_leave_one_notice_that_counts_them_all(turn, people):
    user = people["client"]

    at_once(*[lambda: notify(user, "request_answered", about="r", title="T", count=1)] * 6)

    notice = Notification.objects.get(user=user)
    assert notice.payload["count"] == 6
    assert OutgoingMail.objects.filter(letter="notice").count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_workers_that_tell_many_leave_one_notice_each(people):
    users = [people["client"], people["stranger"], people["ops"]]

    def tell():
        return notifications.notify_many(
            users,
            "folder_upload",
            about="f",
            since=timezone.now(),
            payload_of=lambda user, earlier: {"count": (earlier.payload["count"] if earlier else 0) + 1},
        )

    assert at_once(tell, tell, tell) == [3, 3, 3]
    assert [row.payload["count"] for row in Notification.objects.all()] == [3, 3, 3]


# --- Opening one ------------------------------------------------------------------------------------


def test_opening_a_notice_reads_it_and_leads_on(notices, people, client):
    client.force_login(people["client"])

    assert client.head(f"/notifications/{notices[0].pk}/open").status_code == 302
    assert unread(people["client"]) == 3
    response = client.get(f"/notifications/{notices[0].pk}/open")
    assert (response.status_code, response["Location"]) == (302, "/fileshare/folder-0/")
    assert unread(people["client"]) == 2


def test_a_foreign_notice_is_not_found_and_stays_unread(foreign, people, client):
    for who in ("client", "super"):
        client.force_login(people[who])
        assert client.get(f"/notifications/{foreign.pk}/open").status_code == 404

    assert unread(people["stranger"]) == 1


def test_unread_ones_can_be_seen_alone(notices, people, client):
    notifications.mark_read(user=people["client"], ids=[notices[1].pk])
    client.force_login(people["client"])

    rows = client.get("/notifications?unread=1").context["page"].results

    assert [row.pk for row in rows] == [notices[2].pk, notices[0].pk]


def test_days_are_headings(notices, people, client):
    Notification.objects.filter(pk=notices[0].pk).update(created_at=timezone.now() - timedelta(days=1))
    Notification.objects.filter(pk=notices[1].pk).update(created_at="2026-01-31T12:00:00Z")
    client.force_login(people["client"])

    page = client.get("/notifications").content.decode()

    headings = [heading.strip() for heading in re.findall(r"<h2 id=\"day-[^>]*>([^<]*)</h2>", page)]
    assert headings == ["Today", "Yesterday", "31 January 2026"]
