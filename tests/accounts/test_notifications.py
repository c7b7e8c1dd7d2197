"""Notices: one's own, newest first, marked read by choice."""

import pytest

from accounts.models import Notification
from accounts.notifications import notify
from fileshare import folders

pytestmark = pytest.mark.django_db


@pytest.fixture
def notices(people):
    """Three of the client's, oldest first."""
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
