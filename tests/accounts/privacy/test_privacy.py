"""A user's copy of their data, and closing, reopening and erasing an account."""

import json
from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.core.files.base import ContentFile
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import keepers, tasks
from accounts.contributions.actions import Action
from accounts.credentials import api_tokens, passwords, tokens
from accounts.models import ApiToken, Notification, OutgoingMail, RefreshToken, Session, User
from accounts.notices import mailed_links
from accounts.notices.notifications import notify
from accounts.people import registration, roles
from accounts.privacy import personal_data, subject_rights
from accounts.signing_in import sign_in
from audit import triggers
from audit.log import record, record_many
from audit.models import Event
from config.errors import Refused
from config.http.throttling import rate_of
from fileshare import files, folders
from fileshare.contributions.actions import Action as FileAction
from fileshare.models import File, Folder, FolderPermission, PermissionType
from fileshare.space import quotas
from fileshare.storage import get_store
from tests.accounts.test_races import at_once
from tests.factories import PASSWORD, FolderFactory, UserFactory, grant, store_file

pytestmark = pytest.mark.django_db


def exported(client, user, password=PASSWORD):
    client.force_login(user)
    answer = client.post("/profile/data", {"password": password})
    assert answer.status_code == 200, answer.content
    return json.loads(answer.getvalue())


def close(user, **facts):
    return subject_rights.close_account(**{"user": user, "password": PASSWORD, "email": user.email, **facts})


def make_due(user):
    """Move the closing back in time, so that the days of grace are over."""
    User.objects.filter(pk=user.pk).update(closed_at=timezone.now() - timedelta(days=30, seconds=1))


def own_file(user, **facts):
    return store_file(user=user, folder=folders.personal_folder(user), **facts)


# --- The copy ---------------------------------------------------------------------------------------


def test_the_copy_holds_what_is_kept_of_a_person(people, report, client):
    user = people["uploader"]
    mine = own_file(user, filename="notes.docx")
    api_tokens.create(user=user, name="night", scopes=["files:read"], expires_at=timezone.now() + timedelta(days=1))
    tokens.open_family(user)

    data = exported(client, user)

    assert (data["format"], data["account"]["email"]) == ("portal-export-1", "uploader@example.org")
    assert [row["filename"] for row in data["uploaded_files"]] == [mine.filename, report.filename]
    assert data["uploaded_files"][0]["download"].endswith(f"/files/{mine.pk}/download")
    assert data["uploaded_files"][0]["sha256"] == mine.sha256
    assert data["personal_folder"]["used_bytes"] == mine.size_bytes
    assert [row["name"] for row in data["api_tokens"]] == ["night"]
    assert len(data["script_logins"]) == len(data["browser_logins"]) == 1
    assert [row["permission"] for row in data["folder_permissions"]] == ["download", "upload"]
    assert {row["action"] for row in data["events"]} >= {"upload", "api_token_created", "data_exported"}
    assert [row["type"] for row in data["notifications"]] == ["security_changed"]


def test_every_section_is_there_for_a_person_of_whom_nothing_is_kept(client):
    data = exported(client, UserFactory())

    sections = {name for keeper in keepers.KEEPERS.values() for name in keeper.sections}
    assert sections | {"format", "portal", "exported_at"} == set(data)
    assert data["personal_folder"] is None
    assert data["uploaded_files"] == data["share_links"] == data["file_requests"] == []


def test_the_copy_is_a_download_that_nobody_keeps(people, client):
    client.force_login(people["client"])

    answer = client.post("/profile/data", {"password": PASSWORD})

    assert answer.streaming
    assert answer["Content-Type"] == "application/json"
    assert answer["Content-Disposition"].startswith('attachment; filename="portal-data-')
    assert "no-store" in answer["Cache-Control"]
    assert Event.objects.get(action=Action.DATA_EXPORTED).actor == people["client"]


def test_the_copy_holds_no_password_no_token_and_nothing_of_others(people, report, client):
    user = people["uploader"]
    secret = store_file(user=people["super"], folder=report.folder, filename="theirs.docx")
    _token, raw = api_tokens.create(
        user=user, name="night", scopes=["files:read"], expires_at=timezone.now() + timedelta(days=1)
    )
    refresh = tokens.open_family(user)["refresh"]
    record(Action.USER_CHANGED, user=user, target=people["stranger"], before="stranger@example.org")
    notify(people["client"], "upload_refused", filename="private.docx", reason="no")
    record(Action.LOGIN, user=people["client"])

    text = json.dumps(exported(client, user))

    user.refresh_from_db()
    for hidden in (
        raw,
        refresh,
        user.password,
        ApiToken.objects.get().token_hash,
        RefreshToken.objects.get().token_hash,
        Session.objects.get().key_hash,
        secret.filename,
        "private.docx",
        *(person.email for name, person in people.items() if name != "uploader"),
    ):
        assert hidden not in text


def test_the_log_of_an_address_that_changed_hands_stays_with_who_it_is_about(client):
    first = UserFactory(email="old@example.org")
    record(Action.LOGIN, user=first, by="the first")
    User.objects.filter(pk=first.pk).update(email="new@example.org")
    first.refresh_from_db()
    record(Action.EMAIL_CHANGED, user=first, old_email="old@example.org")
    second = UserFactory(email="old@example.org")
    record(Action.LOGOUT, user=second)

    assert [row["action"] for row in exported(client, first)["events"]][1:] == ["email_changed", "login"]
    assert "login" not in [row["action"] for row in exported(client, second)["events"]]


def test_the_page_gives_no_copy_for_a_wrong_password(people, client):
    client.force_login(people["client"])

    answer = client.post("/profile/data", {"password": "seven red boats"})

    assert answer.status_code == 400
    assert list(answer.context["form"].errors) == ["password"]
    assert not Event.objects.filter(action=Action.DATA_EXPORTED).exists()


@pytest.mark.parametrize(("path", "name"), [("/profile/data", "data_export"), ("/profile/close", "account_closure")])
def test_guessing_the_password_has_a_limit(path, name, people, client, limits_on):
    client.force_login(people["client"])
    wrong = {"password": "seven red boats", "email": people["client"].email}

    answers = [client.post(path, wrong).status_code for _n in range(6)]

    assert rate_of(name) == "5/h"
    assert answers == [400] * 5 + [429]


def test_the_copy_takes_no_more_memory_and_no_wider_queries_for_a_longer_log(people, monkeypatch):
    user = people["client"]
    monkeypatch.setattr(subject_rights, "BATCH", 10)
    record_many(FileAction.DOWNLOAD, user=user, targets=[(user, None, 1)] * 35)

    with CaptureQueriesContext(connection) as asked:
        blocks = subject_rights.export(user=user, password=PASSWORD)
        assert len(asked) <= 1, "nothing is read before the first block is asked for"
        data = json.loads(b"".join(blocks))

    assert len(data["events"]) == 36
    assert len({row["id"] for row in data["events"]}) == 36, "none twice, none left out"
    pages = [query["sql"] for query in asked if "audit_event" in query["sql"] and "LIMIT 10" in query["sql"]]
    assert len(pages) == 4


def test_events_of_the_same_moment_are_each_there_once(people, monkeypatch):
    user = people["client"]
    monkeypatch.setattr(subject_rights, "BATCH", 2)
    record_many(FileAction.DOWNLOAD, user=user, targets=[(user, None, 1)] * 7)
    with triggers.lifted():
        Event.objects.update(created_at=timezone.now())

    assert len({row["id"] for row in personal_data.events(user)}) == 7


@pytest.mark.sqlite  # PostgreSQL stores no lone surrogates
def test_half_a_character_does_not_break_the_document(people):
    user = people["client"]
    notify(user, "upload_refused", filename="a\ud800b", reason="no")

    data = json.loads(b"".join(subject_rights.export(user=user, password=PASSWORD)))

    assert data["notifications"][0]["payload"]["filename"] == "a\ud800b"


def test_the_page_offers_ones_own_files_as_a_zip(people, client, monkeypatch):
    user = people["client"]
    client.force_login(user)
    assert client.get("/profile/data").context["archives"] == []
    own_file(user)
    [archive] = client.get("/profile/data").context["archives"]

    assert archive.count == 1
    assert client.post(archive.url)["Content-Type"] == "application/zip"
    monkeypatch.setattr("fileshare.outgoing.archives.MAX_FILES", 0)
    assert client.get("/profile/data").context["archives"][0].url == ""


def test_the_page_costs_the_same_however_much_there_is(people, client):
    user = people["client"]
    client.force_login(user)
    own_file(user)
    client.get("/profile/data")
    with CaptureQueriesContext(connection) as few:
        client.get("/profile/data")
    for _n in range(4):
        own_file(user)

    with CaptureQueriesContext(connection) as many:
        client.get("/profile/data")

    assert len(many) == len(few)


# --- Closing ----------------------------------------------------------------------------------------


def test_a_closed_account_lets_nobody_in_by_any_door(people, client, api_as):
    user = people["client"]
    _token, raw = api_tokens.create(
        user=user, name="night", scopes=["files:read"], expires_at=timezone.now() + timedelta(days=1)
    )
    script = api_as("client")
    refresh = tokens.open_family(user)["refresh"]
    reset = mailed_links.make_link_token(user, mailed_links.RESET)
    client.force_login(user)
    other = type(client)()
    other.force_login(user)

    answer = client.post("/profile/close", {"email": "Client@Example.org ", "password": PASSWORD})

    assert answer.status_code == 200
    assert "is closed" in answer.content.decode()
    assert client.get("/profile").status_code == other.get("/profile").status_code == 302
    assert script.get("/api/users/me").status_code == 401
    assert script.get("/api/client/files", headers={"Authorization": f"Bearer {raw}"}).status_code == 401
    with pytest.raises(tokens.TokenInvalid):
        tokens.rotate(refresh=refresh)
    with pytest.raises(passwords.InvalidCredentials):
        passwords.authenticate(email=user.email, password=PASSWORD)
    with pytest.raises(mailed_links.LinkUsed):
        passwords.reset(token=reset, new_password="eleven brown goats")
    assert not Session.objects.filter(user=user).exists()
    assert Event.objects.get(action=Action.ACCOUNT_CLOSED).actor == user


def test_closing_is_told_by_mail_with_the_day(people, outbox):
    user = close(people["client"])

    letter = next(letter for letter in outbox() if letter.to == ["client@example.org"])

    assert "closed" in letter.subject
    assert (user.closed_at + timedelta(days=30)).date().isoformat() in letter.body
    assert not [row for row in OutgoingMail.objects.values_list("context", flat=True) if "token" in row]


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        ({"email": "stranger@example.org"}, "email"),
        ({"email": ""}, "email"),
        ({"password": "seven red boats"}, "password"),
        ({"password": "x" * 257}, "password"),
        ({"password": ""}, "password"),
    ],
)
def test_closing_takes_the_address_and_the_password(facts, field, people, client):
    client.force_login(people["client"])

    answer = client.post("/profile/close", {"email": "client@example.org", "password": PASSWORD, **facts})

    assert (answer.status_code, list(answer.context["form"].errors)) == (400, [field])
    people["client"].refresh_from_db()
    assert people["client"].is_active
    assert client.get("/profile").status_code == 200


def test_no_token_closes_an_account(people, api_as):
    assert api_as("client").post("/profile/close", {"email": "client@example.org"}).status_code == 302
    people["client"].refresh_from_db()
    assert people["client"].closed_at is None


def test_the_last_active_super_stays(people, client):
    client.force_login(people["super"])
    UserFactory(roles=["super"], is_superuser=True, is_active=False)

    answer = client.post("/profile/close", {"email": "super@example.org", "password": PASSWORD})

    assert answer.status_code == 409
    people["super"].refresh_from_db()
    assert people["super"].is_active


@pytest.mark.django_db(transaction=True)
def test_two_supers_cannot_both_leave():
    first, second = (UserFactory(roles=["super"], is_superuser=True) for _n in range(2))

    answers = at_once(lambda: close(first), lambda: close(second))

    assert [answer.code for answer in answers if isinstance(answer, Refused)] == ["last_super"]
    assert User.objects.filter(is_superuser=True, is_active=True).count() == 1


@pytest.mark.django_db(transaction=True)
def test_closed_twice_at_once_it_is_closed_once():
    user = UserFactory()

    answers = at_once(*[lambda: close(user)] * 2)

    assert [answer.code for answer in answers if isinstance(answer, Refused)] == ["account_closed"]
    assert Event.objects.filter(action=Action.ACCOUNT_CLOSED).count() == 1
    assert OutgoingMail.objects.filter(letter="account_closed").count() == 1


def test_public_files_of_the_own_folder_are_private_again_and_shared_ones_stay(people, report, api_as):
    user = people["uploader"]
    mine = own_file(user, visibility="public")
    assert api_as("stranger").get(f"/api/files/{mine.pk}").status_code == 200

    close(user)

    assert api_as("stranger").get(f"/api/files/{mine.pk}").status_code == 404
    shown = api_as("colleague").get(f"/api/files/{report.pk}").json()
    assert shown["uploaded_by"]["name"] == user.name


def test_signing_up_with_the_address_of_a_closed_account_says_what_it_always_says(people, outbox, client):
    close(people["client"])
    new = {"email": "client@example.org", "password": PASSWORD, "name": "Again"}

    answer = client.post("/api/auth/signup", new, content_type="application/json")

    assert answer.status_code == 201
    assert User.objects.filter(email="client@example.org").count() == 1
    assert {letter.subject for letter in outbox()} >= {"Your account on Portal"}


def test_the_database_refuses_a_closed_account_that_is_active(people):
    with pytest.raises(IntegrityError):
        User.objects.filter(pk=people["client"].pk).update(closed_at=timezone.now())


# --- Brought back -----------------------------------------------------------------------------------


def test_a_super_brings_a_closed_account_back_and_its_owner_chooses_a_new_password(people, client, outbox):
    user = close(people["client"])
    token = store_token(user)

    subject_rights.reopen_account(by=people["super"], user_id=user.pk)

    user.refresh_from_db()
    assert (user.is_active, user.closed_at) == (True, None)
    with pytest.raises(passwords.InvalidCredentials):
        passwords.authenticate(email=user.email, password=PASSWORD)
    assert api_tokens.identify(token) is None, "what was ended stays ended"
    assert "open again" in [letter for letter in outbox() if letter.to == [user.email]][-1].subject
    passwords.reset(token=mailed_links.make_link_token(user, mailed_links.RESET), new_password="eleven brown goats")
    assert passwords.authenticate(email=user.email, password="eleven brown goats") == user


def store_token(user):
    """An API token that a thief may have kept. Its row was revoked with the others."""
    raw = f"pat_{'x' * 43}"
    ApiToken.objects.create(
        user=user,
        name="old",
        token_hash=api_tokens._hash(raw),
        prefix=raw[:12],
        scopes=["files:read"],
        expires_at=timezone.now() + timedelta(days=9),
        revoked_at=timezone.now(),
    )
    return raw


def test_the_admin_opens_closed_accounts_again(people, client):
    user = close(people["client"])
    client.force_login(people["super"])

    chosen = {"action": "reopen", "_selected_action": [user.pk, people["stranger"].pk]}
    answer = client.post("/admin/accounts/user/", chosen, follow=True)

    user.refresh_from_db()
    assert user.is_active
    assert "1 account was changed" in answer.content.decode()
    assert "stranger@example.org: This account is not closed." in answer.content.decode()


@pytest.mark.parametrize("who", ["client", "ops"])
def test_nobody_but_a_super_opens_an_account_again(who, people):
    user = close(people["stranger"])

    with pytest.raises(PermissionDenied):
        subject_rights.reopen_account(by=people[who], user_id=user.pk)

    user.refresh_from_db()
    assert not user.is_active


def test_switching_a_closed_account_on_is_no_way_around_it(people, api_as):
    user = close(people["client"])

    answer = api_as("super").patch(f"/api/admin/users/{user.pk}", {"is_active": True})

    assert (answer.status_code, answer.json()["code"]) == (409, "account_closed")


def test_what_is_not_closed_or_closed_too_long_is_not_opened(people):
    codes = []
    user = people["client"]
    for prepare in (lambda: None, lambda: (close(user), make_due(user)), lambda: subject_rights.erase_closed()):
        prepare()
        with pytest.raises(Refused) as refusal:
            subject_rights.reopen_account(by=people["super"], user_id=user.pk)
        codes.append(refusal.value.code)

    assert codes == ["not_closed", "account_erased", "account_erased"]


# --- Erased -----------------------------------------------------------------------------------------


@pytest.fixture
def leaving(people, report, commits):
    """The uploader, closed a month ago: three own files, one of them in the trash, and one in the company's folder."""
    user = people["uploader"]
    mine = [own_file(user, filename=f"mine-{number}.docx") for number in range(3)]
    files.delete(user=user, file_id=mine[2].pk)
    User.objects.filter(pk=user.pk).update(bio="Likes boats.", company=people["colleague"].company)
    notify(user, "upload_refused", filename="x", reason="y")
    close(User.objects.get(pk=user.pk))
    make_due(user)
    return User.objects.get(pk=user.pk)


def keys_of(user):
    return list(File.objects.filter(folder__owner=user).values_list("object_key", flat=True))


def assert_erased(user, report):
    user.refresh_from_db()
    assert (user.email, user.name, user.bio) == (f"closed-{user.pk}@invalid", "Closed account", "")
    assert (user.company, user.erased_at is not None, user.is_active) == (None, True, False)
    assert not user.groups.exists()
    assert not user.is_superuser
    assert not Folder.objects.filter(owner=user).exists()
    assert not File.objects.filter(filename__startswith="mine-").exists()
    assert not Notification.objects.filter(user=user).exists()
    assert not FolderPermission.objects.filter(user=user).exists()
    assert not ApiToken.objects.filter(user=user).exists()
    report.refresh_from_db()
    assert (report.uploaded_by, report.deleted_at) == (user, None)


def test_after_the_days_of_grace_what_is_personal_is_gone(leaving, report, commits):
    keys = keys_of(leaving)
    assert len(keys) == 3

    with commits():
        assert tasks.erase_closed_accounts() == 1

    assert_erased(leaving, report)
    assert [get_store().head(key) for key in keys] == [None] * 3
    assert get_store().head(report.object_key) is not None
    assert not quotas.recalculate().repaired


def test_within_the_days_of_grace_nothing_is_touched(leaving, report):
    User.objects.filter(pk=leaving.pk).update(closed_at=timezone.now() - timedelta(days=29, hours=23))

    assert subject_rights.erase_closed() == 0
    assert len(keys_of(leaving)) == 3


def test_run_again_nothing_more_happens(leaving, report):
    subject_rights.erase_closed()
    before = Event.objects.count()

    assert subject_rights.erase_closed() == 0
    assert Event.objects.count() == before


def test_rows_of_the_log_read_as_before(leaving, report, api_as):
    subject_rights.erase_closed()

    rows = api_as("super").get("/api/admin/logs?user_email=uploader@example.org").json()["results"]

    assert {row["action"] for row in rows} >= {"upload", "delete", "account_closed"}
    assert {row["user_email"] for row in rows} == {"uploader@example.org"}
    shown = api_as("colleague").get(f"/api/files/{report.pk}").json()
    assert shown["uploaded_by"]["name"] == "Closed account"


def test_the_address_is_free_again(leaving, report):
    subject_rights.erase_closed()

    registration.sign_up(email="uploader@example.org", password=PASSWORD, name="Somebody")

    new = User.objects.get(email="uploader@example.org")
    assert new.pk != leaving.pk
    assert not File.objects.deletable_by(new).exists()


def test_no_letter_to_the_address_is_kept(leaving, report):
    assert OutgoingMail.objects.filter(to="uploader@example.org").exists()

    subject_rights.erase_closed()

    assert not OutgoingMail.objects.filter(to="uploader@example.org").exists()


def test_a_picture_goes_too(leaving, report, commits):
    leaving.avatar.save("x.png", ContentFile(b"bytes"))
    storage, name = leaving.avatar.storage, leaving.avatar.name

    with commits():
        subject_rights.erase_closed()

    assert not storage.exists(name)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("turn", ["second file", "folder", "account"])
def test_killed_halfway_the_next_run_ends_the_same(turn, people, leaving, report, monkeypatch):
    keys = keys_of(leaving)
    if turn == "second file":
        real, calls = quotas.free, []

        def die(**facts):
            calls.append(facts)
            if len(calls) == 2:
                raise RuntimeError("killed")
            return real(**facts)

        monkeypatch.setattr(quotas, "free", die)
    elif turn == "folder":
        monkeypatch.setattr(Folder, "delete", lambda folder: 1 / 0)
    else:
        monkeypatch.setattr(User, "save", lambda *args, **options: 1 / 0)

    assert subject_rights.erase_closed() == 0, "told in the log, and nobody else is kept waiting"
    monkeypatch.undo()
    leaving.refresh_from_db()
    assert (leaving.erased_at, leaving.email) == (None, "uploader@example.org")

    assert subject_rights.erase_closed() == 1
    assert_erased(leaving, report)
    assert [get_store().head(key) for key in keys] == [None] * 3
    assert not quotas.recalculate().repaired


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_erase_once(people, leaving, report):
    answers = at_once(*[subject_rights.erase_closed] * 2)
    # A worker that meets a file which the other worker holds leaves the account to the next run.
    answers.append(subject_rights.erase_closed())

    assert sum(answers) == 1
    assert_erased(leaving, report)
    assert Event.objects.filter(action=Action.ACCOUNT_ERASED).count() == 1
    assert Event.objects.filter(action=FileAction.PURGE).count() == 3


def test_one_that_fails_keeps_nobody_waiting(people, leaving, report, monkeypatch):
    other = close(people["client"])
    make_due(other)
    real = subject_rights.erase
    monkeypatch.setattr(subject_rights, "erase", lambda user: 1 / 0 if user == leaving else real(user))

    assert subject_rights.erase_closed() == 1
    other.refresh_from_db()
    assert other.erased_at is not None


def test_an_erased_super_is_none_any_more(people):
    UserFactory(roles=["super"], is_superuser=True)
    boss = close(people["super"])
    make_due(boss)

    subject_rights.erase_closed()

    boss.refresh_from_db()
    assert (boss.is_superuser, boss.is_staff) == (False, False)


def test_files_others_put_into_the_own_folder_go_with_it_and_others_folders_stay(people, leaving):
    folder = FolderFactory()
    grant(folder, PermissionType.UPLOAD, user=people["ops"])
    theirs = store_file(user=people["ops"], folder=folder)

    subject_rights.erase_closed()

    assert File.objects.filter(pk=theirs.pk).exists()


def test_a_person_who_was_erased_can_do_nothing(people, leaving, report):
    subject_rights.erase_closed()
    leaving.refresh_from_db()

    assert not File.objects.visible_to(leaving).exists()
    with pytest.raises(passwords.InvalidCredentials):
        sign_in.sign_in_script(email=leaving.email, password=PASSWORD)
    with pytest.raises(Refused):
        roles.change_user(by=people["super"], user_id=leaving.pk, is_active=True)
