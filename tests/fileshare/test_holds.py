"""Legal holds: a held file cannot be deleted by any user or task. After the release it can be deleted as usual."""

import contextlib
import datetime as dt
import threading

import pytest
import time_machine
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError
from django.db.models.signals import post_delete
from django.http import Http404
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import keepers
from accounts.models import Notification, NotificationPreference, User
from accounts.notices.notifications import notify
from accounts.privacy import subject_rights
from audit.models import Event
from config.errors import Refused
from fileshare import files, folders, holds, tasks
from fileshare.models import File, Folder, FolderPermission, Hold, ScanState, ShareLink
from fileshare.sharing import shares
from fileshare.storage import get_store
from fileshare.upkeep import lifecycle, reconcile
from tests.factories import PASSWORD, SubfolderFactory, proved, store_file
from tests.fileshare.helpers import REAL_TRANSACTIONS, at_once

pytestmark = pytest.mark.django_db
KINDS = ["file", "folder", "uploader", "owner"]
WHY = "Court of Nairobi, case 12"


@pytest.fixture
def hold_on(people):
    """hold_on(file=…) is a hold of the super on a file, a folder or a user."""

    def place(**target):
        ((name, row),) = target.items()
        return holds.place(by=people["super"], reason=WHY, **{f"{name}_id": row.pk})

    return place


@pytest.fixture
def mine(people):
    """A file in the uploader's personal folder."""
    folder = folders.personal_folder(people["uploader"])
    return store_file(user=people["uploader"], folder=folder, filename="mine.docx")


@pytest.fixture
def held(hold_on, people, mine):
    """held(kind) is (`mine`, hold). The hold is on the file, its folder, its uploader or its folder's owner."""

    def place(kind):
        if kind == "owner":
            File.objects.filter(pk=mine.pk).update(uploaded_by=None)
        target = {"file": {"file": mine}, "folder": {"folder": mine.folder}}.get(kind, {"user": people["uploader"]})
        return mine, hold_on(**target)

    return place


def refusal(call, **facts):
    with pytest.raises(Refused) as refused:
        call(**facts)
    return refused.value.status, refused.value.code


# --- Placing and releasing ----------------------------------------------------------------------------


def test_a_hold_is_placed_and_released_in_the_log(people, report):
    hold = holds.place(by=people["super"], reason=f" {WHY} ", file_id=report.pk)
    holds.release(by=people["super"], hold_id=hold.pk, reason="The case is closed.")

    hold.refresh_from_db()
    assert (hold.reason, hold.placed_by, hold.released_by) == (WHY, people["super"], people["super"])
    rows = Event.objects.filter(action__in=["hold_placed", "hold_released"]).order_by("created_at")
    told = [(row.action, row.actor, row.target_id, row.folder_slug, row.detail["reason"]) for row in rows]
    by, on = people["super"], (str(report.pk), report.folder.slug)
    assert told == [("hold_placed", by, *on, WHY), ("hold_released", by, *on, "The case is closed.")]


@pytest.mark.parametrize("who", ["client", "ops", "uploader", "off"])
def test_only_supers_place_and_release(who, people, report, hold_on):
    hold = hold_on(file=report)

    with pytest.raises(PermissionDenied):
        holds.place(by=people[who], reason=WHY, folder_id=report.folder.pk)
    with pytest.raises(PermissionDenied):
        holds.release(by=people[who], hold_id=hold.pk, reason=WHY)
    assert Hold.objects.live().count() == 1


def test_what_makes_no_sense_is_refused(people, report, hold_on):
    by = people["super"]
    hold = hold_on(file=report)
    both = {"file_id": report.pk, "folder_id": report.folder.pk}

    assert refusal(holds.place, by=by, reason=" ", folder_id=report.folder.pk) == (400, "invalid")
    assert refusal(holds.place, by=by, reason="x" * 2001, folder_id=report.folder.pk) == (400, "invalid")
    assert refusal(holds.place, by=by, reason=WHY) == (400, "invalid")
    assert refusal(holds.place, by=by, reason=WHY, **both) == (400, "invalid")
    assert refusal(holds.place, by=by, reason=WHY, file_id=report.pk) == (409, "already_held")
    with pytest.raises(Http404):
        holds.place(by=by, reason=WHY, file_id="no id")
    assert refusal(holds.release, by=by, hold_id=hold.pk, reason="") == (400, "invalid")
    holds.release(by=by, hold_id=hold.pk, reason="over")
    assert refusal(holds.release, by=by, hold_id=hold.pk, reason="over") == (409, "hold_released")
    assert hold_on(file=report).is_live, "and it can be placed anew"


@pytest.mark.both
@pytest.mark.parametrize("targets", [[], ["file", "user"], ["file", "folder", "user"]])
def test_the_database_knows_that_a_hold_is_on_one_thing(targets, people, report):
    rows = {"file": report, "folder": report.folder, "user": people["client"]}

    with pytest.raises(IntegrityError), transaction.atomic():
        Hold.objects.create(reason=WHY, **{name: rows[name] for name in targets})


@pytest.mark.both
def test_a_live_hold_protects_its_row_and_an_ended_one_goes_with_it(people, report, hold_on):
    hold = hold_on(file=report)
    with pytest.raises(ProtectedError):
        report.delete()

    holds.release(by=people["super"], hold_id=hold.pk, reason="over")

    report.delete()
    assert not Hold.objects.exists()
    assert Event.objects.filter(action="hold_placed").exists(), "the log remembers"


# --- What it beats ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_deletes_what_is_held_and_a_release_frees_it(kind, held, people, api_as, page_as):
    file, hold = held(kind)

    for who in ("uploader", "super"):
        for path in (f"/api/files/{file.pk}", f"/api/fileshare/files/{file.pk}"):
            answer = api_as(who).delete(path)
            assert (answer.status_code, answer.json()["code"]) == (409, "legal_hold")
            assert "legal hold" in answer.json()["detail"]
            assert WHY not in answer.content.decode()
        assert page_as(who).post(f"/files/{file.pk}/delete").status_code == 409
    holds.release(by=people["super"], hold_id=hold.pk, reason="over")

    assert api_as("uploader").delete(f"/api/files/{file.pk}").status_code == 204


def test_whoever_may_not_delete_it_is_told_nothing_of_a_hold(report, hold_on, api_as):
    hold_on(file=report)

    assert api_as("stranger").delete(f"/api/files/{report.pk}").status_code == 404
    assert api_as("colleague").delete(f"/api/files/{report.pk}").json()["code"] == "permission_denied"


@pytest.mark.local
@pytest.mark.parametrize("kind", KINDS)
def test_what_lies_in_the_trash_stays_and_can_be_restored_however_long_it_lay_there(kind, held, people, mine, api_as):
    files.delete(user=people["uploader"], file_id=mine.pk)
    file, hold = held(kind)

    with time_machine.travel(timezone.now() + dt.timedelta(days=100), tick=False):
        assert tasks.remove_expired_files() == 0
        assert refusal(files.purge, user=people["super"], file_id=file.pk) == (409, "legal_hold")
        assert api_as("super").delete(f"/api/files/trash/{file.pk}").status_code == 409
        files.restore(user=people["uploader"], file_id=file.pk)
        holds.release(by=people["super"], hold_id=hold.pk, reason="over")
        files.delete(user=people["uploader"], file_id=file.pk)
    with time_machine.travel(timezone.now() + dt.timedelta(days=120), tick=False):
        assert tasks.remove_expired_files() == 1


@pytest.mark.local
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_held_does_not_expire_and_does_when_released(kind, held, people, mine, api_as):
    folders.change_folder(user=people["super"], folder_id=mine.folder.pk, retention_days=1)
    file, hold = held(kind)

    with time_machine.travel(timezone.now() + dt.timedelta(days=9), tick=False):
        assert tasks.remove_expired_files() == 0
        assert api_as("super").get(f"/api/files/{file.pk}").status_code == 200
        folders.change_folder(user=people["super"], folder_id=mine.folder.pk, retention_days=2)
        assert tasks.remove_expired_files() == 0
        assert get_store().head(file.object_key) is not None
        holds.release(by=people["super"], hold_id=hold.pk, reason="over")
        assert api_as("super").get(f"/api/files/{file.pk}").status_code == 404
        assert tasks.remove_expired_files() == 1


@pytest.mark.local
def test_what_is_not_held_expires_beside_it(people, company_folder, report, hold_on):
    other = store_file(user=people["super"], folder=company_folder, filename="other.docx")
    orphan = store_file(user=people["super"], folder=company_folder, filename="orphan.docx")
    File.objects.filter(pk=orphan.pk).update(uploaded_by=None)
    hold_on(user=people["uploader"])

    with time_machine.travel(timezone.now() + dt.timedelta(days=60), tick=False):
        assert tasks.remove_expired_files() == 2

    assert list(File.objects.all()) == [report]
    assert other.pk != report.pk


def test_a_held_folder_and_its_subfolders_stay(people, company_folder, hold_on):
    subfolder = SubfolderFactory(folder=company_folder)
    hold = hold_on(folder=company_folder)
    by = people["super"]

    assert refusal(folders.delete_subfolder, user=by, subfolder_id=subfolder.pk) == (409, "legal_hold")
    assert refusal(folders.delete_folder, user=by, folder_id=company_folder.pk) == (409, "legal_hold")
    holds.release(by=by, hold_id=hold.pk, reason="over")
    folders.delete_folder(user=by, folder_id=company_folder.pk)

    assert not Folder.objects.filter(pk=company_folder.pk).exists()


def test_quarantine_deletes_nothing_that_is_held(people, report, hold_on):
    hold_on(folder=report.folder)
    File.objects.filter(pk=report.pk).update(scan_state=ScanState.INFECTED)

    assert refusal(files.purge_quarantined, by=people["super"], file_id=report.pk) == (409, "legal_hold")


@pytest.mark.both
@pytest.mark.local
def test_reconcile_leaves_what_is_held(report, hold_on):
    hold_on(file=report)

    with time_machine.travel(timezone.now() + dt.timedelta(days=60), tick=False):
        reconcile.reconcile()

    assert get_store().head(report.object_key) is not None


@pytest.mark.both
@pytest.mark.parametrize("kind", ["file", "folder", "user"])
def test_a_bucket_removes_nothing_where_something_is_held(kind, people, report, hold_on, commits, monkeypatch):
    asked = []
    monkeypatch.setattr("config.outside.queue.app.send_task", lambda task, **options: asked.append(task))
    prefix = f"files/{report.folder.slug}/"
    before = lifecycle.safety_net()
    target = {"file": report, "folder": report.folder, "user": people["uploader"]}[kind]

    with commits():
        hold = hold_on(**{kind: target})

    assert before[prefix] > 30
    assert prefix not in lifecycle.safety_net()
    with commits():
        holds.release(by=people["super"], hold_id=hold.pk, reason="over")
    assert lifecycle.safety_net() == before
    assert asked.count("fileshare.tasks.refresh_expiry") == 2


# --- Accounts -----------------------------------------------------------------------------------------


@pytest.mark.local
@pytest.mark.parametrize("kind", KINDS)
def test_an_account_under_a_hold_can_be_closed_and_is_not_erased(kind, held, people):
    file, hold = held(kind)
    user = people["uploader"]
    subject_rights.close_account(user=user, password=PASSWORD, email=user.email)

    with time_machine.travel(timezone.now() + dt.timedelta(days=31), tick=False):
        assert subject_rights.erase_closed() == 0
        user.refresh_from_db()
        assert (user.erased_at, user.email) == (None, "uploader@example.org")
        assert File.objects.filter(pk=file.pk).exists()
        assert len(keepers.vetoes(user)) == 1
        assert WHY in keepers.vetoes(user)[0]
        holds.release(by=people["super"], hold_id=hold.pk, reason="over")
        assert subject_rights.erase_closed() == 1

    assert not File.objects.filter(pk=file.pk).exists()


def test_a_held_file_elsewhere_keeps_its_uploader_s_account_and_nobody_else_s(people, report, hold_on):
    hold_on(folder=report.folder)

    assert keepers.vetoes(people["uploader"])
    assert not keepers.vetoes(people["colleague"])


def test_a_held_account_is_not_erased_on_request_either(people, hold_on):
    user = people["client"]
    hold_on(user=user)

    facts = {"by": people["super"], "user_id": user.pk, "reason": "A letter."}
    assert refusal(subject_rights.erase_now, **facts) == (409, "legal_hold")

    user.refresh_from_db()
    assert user.is_active


@pytest.fixture
def leaving(people, mine, report):
    """The uploader, closed a month ago, with a notice, a preference, grants, a link and files in two folders."""
    user = people["uploader"]
    store_file(user=user, folder=mine.folder, filename="second.docx")
    shares.create(user=user, file_id=report.pk, permission="view", expires_in=dt.timedelta(hours=1))
    notify(user, "upload_refused", filename="x", reason="y")
    NotificationPreference.objects.create(user=user, kind="file_shared", mail="off")
    User.objects.filter(pk=user.pk).update(is_active=False, closed_at=timezone.now() - dt.timedelta(days=31))
    return user


@contextlib.contextmanager
def at_the_first_delete(model, act):
    """Call `act` once, after the first delete of a row of the model and before its transaction ends."""
    acts = [act]

    def receive(**facts):
        if acts:
            acts.pop()()

    post_delete.connect(receive, sender=model)
    try:
        yield
    finally:
        post_delete.disconnect(receive, sender=model)


@pytest.mark.both
@pytest.mark.parametrize(
    ("first", "left"),
    [
        (Notification, lambda user: NotificationPreference.objects.filter(user=user)),
        (FolderPermission, lambda user: ShareLink.objects.filter(created_by=user)),
        (File, lambda user: File.objects.filter(folder__owner=user)),
    ],
    ids=["notice", "grant", "file"],
)
def test_a_hold_placed_in_the_middle_of_an_erasure_keeps_what_is_left(
    first, left, people, leaving, report, hold_on, monkeypatch
):
    monkeypatch.setattr("fileshare.privacy.ERASED_AT_ONCE", 1)

    with at_the_first_delete(first, lambda: hold_on(file=report)):
        assert subject_rights.erase_closed() == 0

    assert left(leaving).count() == 1
    assert subject_rights.erase_closed() == 0
    holds.release(by=people["super"], hold_id=Hold.objects.get().pk, reason="over")
    assert subject_rights.erase_closed() == 1
    assert not left(leaving).exists()


def test_nothing_is_left_to_hold_of_an_erased_account(people):
    now = timezone.now()
    User.objects.filter(pk=people["client"].pk).update(is_active=False, closed_at=now, erased_at=now)

    facts = {"by": people["super"], "reason": WHY, "user_id": people["client"].pk}
    assert refusal(holds.place, **facts) == (409, "account_erased")


# --- At once ------------------------------------------------------------------------------------------


@pytest.mark.both
@REAL_TRANSACTIONS
@pytest.mark.parametrize("kind", ["file", "folder", "user"])
def test_deleted_and_held_at_once_one_of_both_wins(kind, people, company_folder):
    rows = [store_file(user=people["uploader"], folder=company_folder, filename=f"{n}.docx") for n in range(4)]
    targets = {"folder": company_folder, "user": people["uploader"]}

    def act(number):
        row = rows[number // 2]
        try:
            if number % 2:
                holds.place(by=people["super"], reason=WHY, **{f"{kind}_id": targets.get(kind, row).pk})
                return "held", timezone.now()
            files.delete(user=people["uploader"], file_id=row.pk)
        except Refused as refused:
            return refused.code, timezone.now()
        return "deleted", timezone.now()

    answers = at_once(8, act)

    codes = [code for code, _at in answers]
    assert codes.count("held") == (4 if kind == "file" else 1)
    assert set(codes) <= {"held", "already_held", "deleted", "legal_hold"}
    for row, code in zip(rows, codes[::2], strict=True):
        row.refresh_from_db()
        assert (row.deleted_at is not None) == (code == "deleted")
    # Each delete came before the hold: the log has no later one.
    first_hold = Event.objects.filter(action="hold_placed").order_by("created_at").first()
    if kind != "file":
        assert not Event.objects.filter(action="delete", created_at__gt=first_hold.created_at).exists()


def somebody_waits():
    """True once another session waits for the lock of holds, False after about ten seconds."""
    with connection.cursor() as cursor:
        for _try in range(2000):
            cursor.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            if cursor.fetchone():
                return True
            cursor.execute("SELECT pg_sleep(0.005)")
    return False


@pytest.mark.both
@pytest.mark.postgres
@REAL_TRANSACTIONS
def test_a_hold_waits_for_a_batch_of_an_erasure_and_keeps_the_rest(people, leaving, report, hold_on):
    begun, waited = threading.Event(), []

    def meanwhile():
        begun.set()
        waited.append(somebody_waits())

    def act(number):
        if number == 1:
            assert begun.wait(30)
            return hold_on(file=report).is_live
        with at_the_first_delete(FolderPermission, meanwhile):
            return subject_rights.erase_closed()

    assert at_once(2, act) == [0, True]
    assert waited == [True]
    assert ShareLink.objects.filter(created_by=leaving).exists()


@pytest.mark.both
@pytest.mark.postgres
@REAL_TRANSACTIONS
def test_a_hold_waits_for_a_delete_under_way(people, report):
    begun = threading.Event()

    def act(number):
        if number == 1:
            assert begun.wait(30)
            holds.place(by=people["super"], reason=WHY, folder_id=report.folder.pk)
            return File.objects.get(pk=report.pk).deleted_at is not None
        with transaction.atomic():
            files.delete(user=people["uploader"], file_id=report.pk)
            begun.set()
            return somebody_waits()

    assert at_once(2, act) == [True, True]


@pytest.mark.both
@REAL_TRANSACTIONS
def test_held_twice_at_once_it_is_held_once(people, report):
    def act(number):
        try:
            return holds.place(by=people["super"], reason=WHY, file_id=report.pk) and "held"
        except Refused as refused:
            return refused.code

    assert sorted(at_once(4, act)) == ["already_held"] * 3 + ["held"]


# --- Where it is shown --------------------------------------------------------------------------------


def test_supers_see_the_hold_and_its_reason_and_nobody_else_does(people, report, hold_on, page_as):
    hold_on(folder=report.folder)

    for path in (f"/files/{report.pk}/", f"/fileshare/{report.folder.slug}/"):
        text = page_as("super").get(path).content.decode()
        assert "Legal hold" in text
        assert WHY in text
        for who in ("uploader", "colleague"):
            assert "egal hold" not in page_as(who).get(path).content.decode()


def test_the_history_of_a_file_tells_its_uploader_of_no_hold(people, report, hold_on, page_as):
    hold = hold_on(file=report)
    holds.release(by=people["super"], hold_id=hold.pk, reason="The case is closed.")
    texts = {who: page_as(who).get(f"/files/{report.pk}/").content.decode() for who in ("super", "uploader")}

    assert "Legal hold placed" in texts["super"]
    assert "Legal hold released" in texts["super"]
    assert "What happened, newest first" in texts["uploader"]
    assert "egal hold" not in texts["uploader"]


def test_a_super_s_pages_cost_the_same_however_many_holds_there_are(people, report, hold_on, page_as):
    page, counts = page_as("super"), []
    for target in ({"folder": report.folder}, {"file": report}, {"user": people["uploader"]}):
        hold_on(**target)
        for path in (f"/files/{report.pk}/", f"/fileshare/{report.folder.slug}/"):
            page.get(path)
            with CaptureQueriesContext(connection) as asked:
                page.get(path)
            counts.append((path, len(asked)))

    assert len(set(counts)) == 2


def test_the_admin_places_and_releases(people, report, client):
    proved(client, people["super"])
    base = "/admin/fileshare/hold/"

    asked = client.get(f"{base}add/")
    nothing = client.post(f"{base}add/", {"reason": WHY})
    placed = client.post(f"{base}add/", {"file": str(report.pk), "reason": WHY})
    again = client.post(f"{base}add/", {"file": str(report.pk), "reason": WHY})
    hold = Hold.objects.get()
    listed = client.get(f"{base}?state=live").content.decode()
    no_reason = client.post(f"{base}{hold.pk}/change/", {"release_reason": ""})
    released = client.post(f"{base}{hold.pk}/change/", {"release_reason": "The case is closed."})
    read = client.get(f"{base}{hold.pk}/change/")

    assert [answer.status_code for answer in (asked, nothing, placed, again)] == [200, 200, 302, 200]
    assert "Name one folder" in nothing.content.decode()
    assert "A legal hold is on it already." in again.content.decode()
    assert WHY in listed
    assert [answer.status_code for answer in (no_reason, released, read)] == [200, 302, 200]
    hold.refresh_from_db()
    assert hold.released_by == people["super"]
    assert client.get(f"{base}{hold.pk}/delete/").status_code == 403


@pytest.mark.parametrize("count", [1, 6])
def test_the_admin_s_list_asks_a_fixed_number_of_questions(count, people, company_folder, hold_on, client):
    for number in range(count):
        hold_on(file=store_file(user=people["uploader"], folder=company_folder, filename=f"{number}.docx"))
    proved(client, people["super"])
    client.get("/admin/fileshare/hold/")

    with CaptureQueriesContext(connection) as asked:
        client.get("/admin/fileshare/hold/")

    assert len(asked) <= 12
