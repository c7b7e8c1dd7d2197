"""Notices by mail: at once, once a day or not at all, and how to stop them."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.contributions.actions import Action
from accounts.models import Notification, NotificationPreference, OutgoingMail
from accounts.notices import digests, kinds, notifications, preferences
from accounts.notices.notifications import notify
from audit.models import Event
from config.errors import Refused
from tests.accounts.test_races import at_once
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
FACTS = {"folder": "Baobab", "folder_slug": "baobab", "filename": "a.pdf", "count": 1}
DEFAULTS = {
    "share_downloaded": "off",
    "request_answered": "now",
    "folder_granted": "now",
    "folder_revoked": "now",
    "folder_upload": "now",
    "upload_refused": "off",
    "file_expiring": "digest",
    "file_quarantined": "now",
    "file_deleted": "now",
    "file_renamed": "digest",
    "payment_settled": "now",
    "account_changed": "now",
    "files_waiting": "now",
    "quota_near_full": "now",
    "security_changed": "now",
}


@pytest.fixture
def user(people):
    return people["client"]


def want(user, **wishes):
    preferences.choose(user=user, wishes=wishes)


def letters(letter="notice"):
    return OutgoingMail.objects.filter(letter=letter)


def tomorrow():
    return timezone.now() + timedelta(days=1)


# --- Preferences ------------------------------------------------------------------------------------


def test_nobody_has_to_choose(user):
    assert preferences.chosen(user) == DEFAULTS
    assert not NotificationPreference.objects.exists()


def test_only_what_differs_from_the_default_is_kept(user):
    want(user, folder_upload="digest", request_answered="now")
    assert list(NotificationPreference.objects.values_list("kind", "mail")) == [("folder_upload", "digest")]
    assert Event.objects.get(action=Action.PROFILE_CHANGED).detail["after"] == {"mail": {"folder_upload": "digest"}}

    want(user, folder_upload="now")
    assert not NotificationPreference.objects.exists()
    assert preferences.chosen(user) == DEFAULTS


@pytest.mark.parametrize("who", ["ops", "super"])
def test_staff_have_no_mail_about_new_files_unless_they_want_it(who, people):
    staff = people[who]
    assert preferences.chosen(staff) == {**DEFAULTS, "folder_upload": "off"}
    assert preferences.of_many([staff.pk, people["client"].pk], "folder_upload") == {
        staff.pk: "off",
        people["client"].pk: "now",
    }

    want(staff, folder_upload="now")

    assert preferences.of_many([staff.pk], "folder_upload") == {staff.pk: "now"}
    assert NotificationPreference.objects.get().mail == "now"
    want(staff, folder_upload="off")
    assert not NotificationPreference.objects.exists()


@pytest.mark.parametrize(
    "wishes",
    [
        {"security_changed": "off"},
        {"nothing": "now"},
        {"file_shared": "off"},
        {"folder_upload": "often"},
        {"folder_upload": ""},
    ],
    ids=str,
)
def test_a_wish_that_cannot_be_changes_nothing(wishes, user):
    with pytest.raises(Refused):
        preferences.choose(user=user, wishes={"folder_granted": "off", **wishes})

    assert preferences.chosen(user) == DEFAULTS


@pytest.mark.django_db(transaction=True)
def test_two_wishes_at_once_leave_one_of_them(user):
    at_once(*[lambda mail=mail: want(user, folder_upload=mail) for mail in ("off", "digest", "off", "digest")])

    assert NotificationPreference.objects.get().mail in ("off", "digest")


@pytest.mark.parametrize("kind", DEFAULTS)
@pytest.mark.parametrize("mail", ["now", "digest", "off"])
def test_each_kind_goes_as_its_reader_wants_it(kind, mail, user):
    if mail not in kinds.KINDS[kind].choices:
        return
    want(user, **{kind: mail})

    notice = notify(user, kind, **FACTS)

    assert letters().count() == (mail == "now")
    assert notice.for_digest is (mail == "digest")


@pytest.mark.parametrize("mail", ["now", "digest"])
@pytest.mark.parametrize(
    ("kind", "facts"),
    [
        ("security_changed", {"what": "password_changed"}),
        ("security_changed", {"what": "email_changed"}),
        ("security_changed", {"what": "login_locked"}),
        ("security_changed", {"what": "second_factor_removed"}),
        ("file_shared", {"filename": "a.pdf"}),
        ("payment_settled", {"plan": "100 GB", "status": "paid"}),
    ],
    ids=["password", "address", "lock", "second factor", "share", "payment"],
)
def test_what_has_a_letter_of_its_own_is_not_mailed_twice(kind, facts, mail, user):
    NotificationPreference.objects.create(user=user, kind=kind, mail=mail)
    notice = notify(user, kind, **facts)

    assert not letters().exists()
    assert not notice.for_digest


def test_a_kind_nobody_knows_is_not_mailed(user):
    assert not notify(user, "never_heard_of").for_digest
    assert not letters().exists()


def test_somebody_switched_off_gets_no_mail(people, outbox):
    off = people["off"]
    notify(off, "folder_granted", **FACTS)
    NotificationPreference.objects.create(user=off, kind="folder_upload", mail="digest")
    notify(off, "folder_upload", **FACTS)
    notifications.notify_many(
        [off], "folder_granted", about="x", since=timezone.now(), payload_of=lambda user, earlier: FACTS
    )

    assert digests.send_all(now=tomorrow()) == 0
    assert not OutgoingMail.objects.exists()
    assert not Notification.objects.filter(for_digest=True).exists()


def test_who_is_switched_off_before_the_letter_goes_does_not_get_it(user, outbox):
    notify(user, "folder_granted", **FACTS)
    user.is_active = False
    user.save()

    assert outbox() == []
    assert letters().get().sent_at is not None


def test_a_notice_told_anew_is_mailed_once_until_it_is_read(user):
    for _turn in range(3):
        notify(user, "request_answered", about="r", title="Papers", count=1)
    assert letters().count() == 1

    notifications.mark_read(user=user, everything=True)
    notify(user, "request_answered", about="r", title="Papers", count=1)
    assert letters().count() == 2


def test_what_says_something_else_may_be_mailed_again_though_the_first_is_unread(user):
    def tell(status):
        return notify(user, "payment_settled", about="p", mail_again=True, plan="100 GB", status=status)

    tell("needs_review")
    tell("needs_review")
    assert letters().count() == 1

    tell("failed")
    assert letters().count() == 2
    tell("paid")
    assert letters().count() == 2, "it has a receipt"
    assert Notification.objects.get().payload["status"] == "paid"


def test_what_a_letter_of_its_own_has_told_waits_for_no_daily_letter(user):
    want(user, payment_settled="digest")
    assert notify(user, "payment_settled", about="p", status="needs_review").for_digest

    assert not notify(user, "payment_settled", about="p", status="paid").for_digest
    assert not letters().exists()


# --- Letters ----------------------------------------------------------------------------------------


def test_a_letter_says_the_sentence_and_how_to_stop_it(user, outbox, settings):
    notice = notify(user, "request_answered", title="Papers", sender="Juma\r\nBcc: x@example.org", count=2)

    (message,) = outbox()

    assert message.to == [user.email]
    assert message.subject == "Juma Bcc: x@example.org sent 2 files for your request “Papers”."
    assert "Bcc" not in message.message()
    assert f"{settings.SITE_URL}/notifications/{notice.pk}/open" in message.body
    assert f"{settings.SITE_URL}/profile/notifications" in message.body
    link = message.extra_headers["List-Unsubscribe"].strip("<>")
    assert message.extra_headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert link in message.body
    assert link in message.alternatives[0][0]


def test_markup_in_a_name_stays_text(user, outbox):
    notify(user, "folder_granted", folder="<script>x</script>", folder_slug="x")

    (message,) = outbox()

    assert "<script>" not in message.alternatives[0][0]
    assert "<script>" in message.body


def test_a_letter_of_security_offers_no_way_to_stop_it(user, outbox):
    notify(user, "security_changed", what="api_token_created")

    (message,) = outbox()

    assert "List-Unsubscribe" not in message.extra_headers
    assert "/profile/notifications" in message.body
    assert "/unsubscribe/" not in message.body


def test_letters_are_in_the_language_of_who_reads_them(user, outbox):
    user.language = "sw"
    user.save()
    notify(user, "folder_granted", **FACTS)

    (message,) = outbox()

    assert '<html lang="sw">' in message.alternatives[0][0]


# --- Once a day -------------------------------------------------------------------------------------


def test_the_daily_letter_holds_what_is_unread_once(user, outbox):
    want(user, folder_upload="digest")
    notify(user, "folder_upload", **FACTS)
    read = notify(user, "folder_upload", **{**FACTS, "filename": "read.pdf"})
    notifications.mark_read(user=user, ids=[read.pk])
    notify(user, "upload_refused", filename="b.exe", reason="A program.")

    assert digests.send_all(now=tomorrow()) == 1
    assert digests.send_all(now=tomorrow()) == 0

    (message,) = outbox()
    assert "a.pdf" in message.body
    assert "read.pdf" not in message.body
    assert "b.exe" not in message.body
    assert message.subject == "Portal: 1 notification"
    assert "/unsubscribe/" in message.extra_headers["List-Unsubscribe"]


def test_a_long_day_is_cut_after_fifty_lines(user, outbox):
    want(user, folder_upload="digest")
    for number in range(53):
        notify(user, "folder_upload", folder="F", filename=f"{number}.pdf", count=1)

    digests.send_all(now=tomorrow())

    (message,) = outbox()
    assert message.body.count("/open") == 50
    assert "And 3 more." in message.body
    assert "“52.pdf”" in message.body
    assert "“2.pdf”" not in message.body


def test_the_letter_waits_for_its_hour_and_takes_what_came_before_it(user, settings):
    settings.DIGEST_HOUR = 5
    want(user, folder_upload="digest")
    notice = notify(user, "folder_upload", **FACTS)
    day = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)

    Notification.objects.filter(pk=notice.pk).update(created_at=day.replace(hour=4))
    assert digests.send_all(now=day.replace(hour=4, minute=59)) == 0
    assert digests.send_all(now=day.replace(hour=5)) == 1

    Notification.objects.filter(pk=notice.pk).update(created_at=day.replace(hour=6), for_digest=True)
    assert digests.send_all(now=day.replace(hour=23)) == 0, "one letter a day"
    assert digests.send_all(now=day + timedelta(days=1, hours=7)) == 1, "however late the worker is"


def test_what_is_told_anew_comes_in_the_next_daily_letter(user):
    want(user, folder_upload="digest")
    notify(user, "folder_upload", about="f", **FACTS)
    digests.send_all(now=tomorrow())

    notify(user, "folder_upload", about="f", **FACTS)

    assert digests.send_all(now=tomorrow()) == 1


def test_who_wants_it_no_more_is_not_written_to(user):
    want(user, folder_upload="digest")
    notify(user, "folder_upload", **FACTS)
    want(user, folder_upload="off")

    assert digests.send_all(now=tomorrow()) == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("turn", range(2))
def test_two_workers_write_one_letter_to_each(turn):
    users = [UserFactory() for _n in range(5)]
    for user in users:
        notify(user, "file_expiring", **FACTS)

    written = at_once(*[lambda: digests.send_all(now=tomorrow())] * 3)

    assert sum(written) == 5
    assert sorted(letters("digest").values_list("to", flat=True)) == sorted(user.email for user in users)


@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_in_between_loses_nothing_and_repeats_nothing(monkeypatch):
    users = [UserFactory() for _n in range(3)]
    for user in users:
        notify(user, "file_expiring", **FACTS)
    post, seen = digests.mail.post, []

    def killed(*args, **kwargs):
        seen.append(kwargs["to"])
        if len(seen) == 2:
            raise KeyboardInterrupt
        return post(*args, **kwargs)

    monkeypatch.setattr(digests.mail, "post", killed)
    with pytest.raises(KeyboardInterrupt):
        digests.send_all(now=tomorrow())
    assert (letters("digest").count(), Notification.objects.filter(for_digest=True).count()) == (1, 2)

    monkeypatch.undo()
    assert digests.send_all(now=tomorrow()) == 2
    assert sorted(letters("digest").values_list("to", flat=True)) == sorted(user.email for user in users)


def test_the_daily_letters_cost_the_same_queries_each():
    def fill(count):
        for _n in range(count):
            user = UserFactory()
            for _turn in range(3):
                notify(user, "file_expiring", **FACTS)

    fill(1)
    digests.send_all(now=tomorrow())
    costs = []
    for count in (2, 4):
        fill(count)
        with CaptureQueriesContext(connection) as captured:
            digests.send_all(now=tomorrow())
        costs.append((len(captured) - 2) / count)
    assert costs[0] == costs[1]


# --- Unsubscribing ----------------------------------------------------------------------------------


def path_of(user, kind):
    return re.sub(r"^https?://[^/]+", "", preferences.unsubscribe_link(user, kind))


def test_a_look_at_the_link_changes_nothing(user, client):
    for method in (client.get, client.head):
        assert method(path_of(user, "request_answered")).status_code == 200

    assert preferences.chosen(user) == DEFAULTS


def test_one_click_of_a_mail_program_stops_that_kind(user):
    program = Client(enforce_csrf_checks=True)
    for _turn in range(2):
        response = program.post(path_of(user, "request_answered"), {"List-Unsubscribe": "One-Click"})
        assert response.status_code == 200

    assert preferences.chosen(user) == {**DEFAULTS, "request_answered": "off"}


def test_the_daily_letter_is_stopped_whole_but_for_security(user, client):
    want(user, folder_upload="digest", security_changed="digest")

    client.post(path_of(user, "digest"))

    stopped = {"folder_upload": "off", "file_expiring": "off", "file_renamed": "off"}
    assert preferences.chosen(user) == {**DEFAULTS, **stopped}


@pytest.mark.parametrize("kind", ["security_changed", "never_heard_of", ""])
def test_no_link_stops_what_cannot_be_stopped(kind, user, client):
    assert client.post(path_of(user, kind)).status_code == 404
    assert preferences.chosen(user) == DEFAULTS


def test_a_link_of_somebody_else_or_of_nobody_stops_nothing(user, people, client):
    path = path_of(user, "request_answered")
    assert client.post(path_of(people["stranger"], "request_answered")).status_code == 200
    assert client.post(path[:-1] + ("A" if path[-1] != "A" else "B")).status_code == 404
    assert client.post(f"/unsubscribe/{'x' * 4000}").status_code == 404

    assert preferences.chosen(user) == DEFAULTS


# --- The page and the API ---------------------------------------------------------------------------


def test_the_page_shows_and_takes_every_choice(user, client):
    client.force_login(user)
    page = client.get("/profile/notifications").content.decode()
    assert page.count('type="radio"') == 3 * len(DEFAULTS) - 2, "what concerns the account cannot be switched off"
    assert page.count(" checked") == len(DEFAULTS)

    wishes = {**dict.fromkeys(DEFAULTS, "digest")}
    response = client.post("/profile/notifications", {f"mail-{kind}": mail for kind, mail in wishes.items()})

    assert (response.status_code, response["Location"]) == (302, "/profile/notifications")
    assert preferences.chosen(user) == wishes


@pytest.mark.parametrize("form", [{"mail-security_changed": "off"}, {"mail-folder_upload": "often"}], ids=str)
def test_the_page_refuses_what_is_no_choice(form, user, client):
    client.force_login(user)

    assert client.post("/profile/notifications", {"mail-folder_granted": "off", **form}).status_code == 400
    assert preferences.chosen(user) == DEFAULTS


def test_scripts_read_and_set_them(user, api_as):
    body = api_as("client").get("/api/notifications/preferences").json()
    assert body["mail"] == DEFAULTS
    assert {"kind", "label", "group", "default", "choices"} == set(body["kinds"][0])

    body = api_as("client").put("/api/notifications/preferences", {"mail": {"folder_upload": "now"}}).json()
    assert body["mail"] == {**DEFAULTS, "folder_upload": "now"}


@pytest.mark.parametrize(
    "mail",
    [None, [], {}, "now", {"x": "now"}, {"folder_upload": 1}, {"folder_upload": "x"}, {"security_changed": "off"}],
    ids=str,
)
def test_scripts_are_told_what_is_no_choice(mail, user, api_as):
    response = api_as("client").put("/api/notifications/preferences", {"mail": mail})

    assert (response.status_code, response.json()["code"]) == (400, "invalid")
    assert preferences.chosen(user) == DEFAULTS
