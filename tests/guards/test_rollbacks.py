"""Effects outside the database wait for the commit: after a rollback the bytes are there and nothing was sent.

Each case runs its operation in a transaction and looks at the effect outside the database: unchanged while the
transaction is open and after its rollback, changed once the same operation is committed.
"""

import io
import re
import sys
import uuid
from ast import unparse
from contextlib import suppress

import pytest
from django.core.cache import cache
from django.core.files.storage import default_storage
from django.db import transaction
from django.utils import timezone

from accounts.contributions.actions import Action
from accounts.credentials import lockout, passwords
from accounts.models import Notification
from accounts.notices import live_count, mail, mailed_links, notifications
from accounts.people import avatars
from accounts.privacy import subject_rights
from audit import chain, heads, log, verifying
from audit.models import Event
from config.outside import queue
from fileshare import files, folders, holds
from fileshare.content.file_types import FileTypeRefused
from fileshare.incoming import completion, uploads
from fileshare.many import carrying, copying, moving
from fileshare.requests import file_requests, senders
from fileshare.storage import MultipartMissing, ObjectInfo, get_store
from payments import transactions
from payments.models import CallbackRecord, Transaction, Verdict
from payments.mpesa import callback_records, daraja
from tests.factories import PASSWORD, CompanyFactory, FolderFactory, PlanFactory, UserFactory
from tests.fakes.documents import png
from tests.fileshare.requests.request_helpers import ask_for_files
from tests.guards.inventory import functions_that_call, name_of
from tests.guards.rows import EARLY, a_file, a_super, an_upload, complete

pytestmark = pytest.mark.django_db


class Undone(Exception):
    """Raised to roll a transaction back."""


# --- Bytes: an operation, and whether the bytes are there -------------------------------------------


def purge():
    user = UserFactory()
    file = a_file(uploaded_by=user, deleted_at=timezone.now(), deleted_by=user)
    folders.personal_folder(user)
    return lambda: files.purge(user=a_super(), file_id=file.pk), lambda: is_stored(file)


def purge_quarantined():
    file = a_file(scan_state="infected")
    return lambda: files.purge_quarantined(by=a_super(), file_id=file.pk), lambda: is_stored(file)


def remove_expired():
    file = a_file(expires_at=EARLY)
    return files.remove_expired, lambda: is_stored(file)


def remove_from_a_folder():
    file = a_file()
    return lambda: files.remove_from(file.folder), lambda: is_stored(file)


def abort():
    user = UserFactory()
    upload = an_upload(user=user)
    return lambda: uploads.abort(user=user, file_id=upload.pk), lambda: has_arrived(upload)


def give_up_parts(settings):
    settings.MULTIPART_THRESHOLD_BYTES = settings.PART_SIZE_BYTES = 1000
    upload = an_upload(body=b"x" * 1500)
    return lambda: uploads.give_up(user=a_super(), file_id=upload.pk), lambda: has_parts(upload)


def remove_abandoned():
    upload = an_upload(expires_at=EARLY)
    return uploads.remove_abandoned, lambda: has_arrived(upload)


def refuse_content():
    user = a_super()
    upload = an_upload(user=user, filename="report.docx", body=b"MZ\x90\x00 no document")

    def complete_it():
        with suppress(FileTypeRefused):
            completion.complete(user=user, file_id=upload.pk)

    return complete_it, lambda: has_arrived(upload)


def close_request():
    owner = UserFactory()
    row = ask_for_files(owner)
    sender, _cookie = senders.start(row)
    upload = an_upload(user=owner, sender=sender)
    return lambda: file_requests.close(user=owner, request_id=row.pk), lambda: has_arrived(upload)


def remove_picture():
    user = avatars.set_avatar(user=UserFactory(), image=io.BytesIO(png()))
    name = user.avatar.name
    return lambda: avatars.remove_avatar(user=user), lambda: default_storage.exists(name)


def carry_a_moved_file():
    file = a_file(next_key=f"files/moved/{uuid.uuid4()}/a.docx")
    return carrying.carry_all, lambda: is_stored(file)


def is_stored(file):
    return get_store().head(file.object_key) is not None


def has_arrived(upload):
    return get_store().received(upload.object_key) is not None


def has_parts(upload):
    try:
        return len(get_store().list_parts(upload.object_key, upload.store_upload_id)) == 2
    except MultipartMissing:
        return False


BYTES = {  # operation: the function that hands the work to on_commit
    purge: "fileshare.files._remove",
    purge_quarantined: "fileshare.files._remove",
    remove_expired: "fileshare.files._remove",
    remove_from_a_folder: "fileshare.files._remove",
    carry_a_moved_file: "fileshare.many.carrying._switch",
    abort: "fileshare.incoming.uploads.drop",
    give_up_parts: "fileshare.incoming.uploads.drop",
    remove_abandoned: "fileshare.incoming.uploads.drop",
    refuse_content: "fileshare.incoming.uploads.drop",
    close_request: "fileshare.requests.file_requests._end_uploads",
    remove_picture: "accounts.people.avatars._replace",
}


# --- Tasks: an operation that queues one ------------------------------------------------------------


def ask_for_a_new_password():
    user = UserFactory()
    return lambda: passwords.request_reset(email=user.email)


def tell_many():
    user = UserFactory()
    return lambda: notify_many(user)


def notify_many(user):
    facts = {"about": "x", "since": timezone.now(), "payload_of": lambda user, earlier: {}}
    notifications.notify_many([user], "request_answered", **facts)


def lock_log_ins():
    return lambda: lockout._lock(uuid.uuid4().hex, UserFactory().email)


def erase_an_account():
    user = UserFactory()
    return lambda: subject_rights.erase_now(by=a_super(), user_id=user.pk, reason="They asked by letter.")


def change_retention():
    folder = FolderFactory(retention_days=30)
    return lambda: folders.change_folder(user=a_super(), folder_id=folder.pk, retention_days=10)


def grant_to_a_role():
    folder = FolderFactory()
    return lambda: folders.grant(user=a_super(), folder_id=folder.pk, permission_type="upload", role="ops")


def grant_to_a_company():
    folder, company = FolderFactory(), CompanyFactory()
    return lambda: folders.grant(user=a_super(), folder_id=folder.pk, permission_type="upload", company_id=company.pk)


def make_a_file_of_parts():
    upload = an_upload(status="completing", claimed_at=timezone.now())
    info = ObjectInfo(upload.size_bytes, "etag", None, None, timezone.now())
    return lambda: completion._make_file(upload, info, "txt")


def make_a_file_to_scan(settings):
    settings.CLAMD_URL = "tcp://127.0.0.1:1"
    return make_a_file_of_parts()


def move_a_file():
    file, folder = a_file(), FolderFactory()
    return lambda: moving.move(user=a_super(), file_ids=[file.pk], folder_id=folder.pk)


def copy_a_file():
    file, folder = a_file(sha256="", crc32=None), FolderFactory()
    info = ObjectInfo(file.size_bytes, "etag", None, None, timezone.now())
    made = {file.pk: copying._Object(uuid.uuid4(), uuid.uuid4().hex, info)}
    return lambda: copying._make_rows(a_super(), uploads.Place(folder), made, [], partial=False)


def place_a_hold():
    file = a_file()
    return lambda: holds.place(by=a_super(), reason="A lawsuit", file_id=file.pk)


def receive_a_callback():
    return lambda: callback_records.receive_callback(raw=b"{}")


def accept_a_push_called_back_early():
    row = complete(Transaction)
    complete(CallbackRecord, checkout_request_id="ws_CO_1", verdict=Verdict.UNMATCHED)
    return lambda: transactions._accepted(row.pk, daraja.Pushed("1-2-3", "ws_CO_1", "Success"))


TASKS = {  # operation: the task, and the function that queues it
    ask_for_a_new_password: ("accounts.tasks.send_mail", "accounts.notices.mail.post"),
    tell_many: ("accounts.tasks.send_waiting_mail", "accounts.notices.mail.post_many"),
    lock_log_ins: ("accounts.tasks.tell_of_lock", "accounts.credentials.lockout._lock"),
    erase_an_account: ("accounts.tasks.erase_closed_accounts", "accounts.privacy.subject_rights.erase_now"),
    change_retention: ("fileshare.tasks.refresh_expiry", "fileshare.folders.change_folder"),
    grant_to_a_role: ("fileshare.tasks.tell_role", "fileshare.folders._tell"),
    grant_to_a_company: ("fileshare.tasks.tell_company", "fileshare.folders._tell"),
    make_a_file_of_parts: ("fileshare.tasks.complete_checksums", "fileshare.incoming.completion._make_file"),
    make_a_file_to_scan: ("fileshare.tasks.scan_waiting_files", "fileshare.scanning.virus_gate.queue_scan"),
    move_a_file: ("fileshare.tasks.carry_moved_files", "fileshare.many.moving._carry_out"),
    copy_a_file: ("fileshare.tasks.complete_checksums", "fileshare.many.copying._make_rows"),
    place_a_hold: ("fileshare.tasks.refresh_expiry", "fileshare.holds._record"),
    receive_a_callback: ("payments.tasks.process_callback", "payments.mpesa.callback_records.receive_callback"),
    accept_a_push_called_back_early: ("payments.tasks.process_callback", "payments.transactions._accepted"),
}


# --- Marks in the cache, places in the log, heads of it: an operation, and its trace ----------------


def set_a_new_password(settings):
    settings.RATELIMIT_ENABLE = True
    user = UserFactory()
    token = mailed_links.make_link_token(user, mailed_links.RESET)
    counter = lockout._counter(lockout._digest(user.email))
    lockout._count(counter)
    return lambda: passwords.reset(token=token, new_password=f"new {PASSWORD}"), lambda: cache.get(counter)


def tell_one():
    user = UserFactory()
    return lambda: notifications.notify(user, "request_answered"), lambda: version_of(user)


def tell_several():
    user = UserFactory()
    return lambda: notify_many(user), lambda: version_of(user)


def mark_read():
    notice = complete(Notification)
    return lambda: notifications.mark_read(user=notice.user, everything=True), lambda: version_of(notice.user)


def version_of(user):
    return cache.get(live_count._version_key(user.pk))


def write_the_log():
    return lambda: log.record(Action.LOGIN), placed


def write_the_log_at_once():
    return lambda: log.record_many(Action.LOGIN, user=None, targets=[(UserFactory(), None, None)]), placed


def placed():
    return Event.objects.exclude(seq=None).count()


def accept_the_log():
    return verifying.accept, heads.names


TRACES = {  # operation: the function that hands the work to on_commit
    set_a_new_password: "accounts.credentials.passwords.reset",
    tell_one: "accounts.notices.notifications.notify",
    tell_several: "accounts.notices.notifications._notify_batch",
    mark_read: "accounts.notices.notifications.mark_read",
    write_the_log: "audit.log.append",
    write_the_log_at_once: "audit.log.append",
    accept_the_log: "audit.verifying.accept",
}

# Functions that hand work to on_commit, or to a function that does.
TOOLS = {
    "on_commit",
    "send_after_commit",
    "forget_after_commit",
    "queue_scan",
    "seal_after_commit",
}
# Callers of TOOLS that need no case of their own.
NO_OPERATION = {
    "accounts.notices.live_count.forget_after_commit": "a tool; notify, _notify_batch and mark_read call it",
    "audit.chain.seal_after_commit": "a tool; append calls it",
    "config.outside.queue.send_after_commit": "a tool; every case of TASKS goes through it",
    "fileshare.management.commands.rescan_files.Command.handle": "outside of any transaction",
    "fileshare.scanning.virus_gate.scan_waiting": "outside of any transaction",
}
# The calls that remove bytes or send something.
ACTS = re.compile(
    r"(store|get_store\(\)|storage)\.(delete|discard_put|abort_multipart|expire_after|sweep)$"
    r"|^(remove_bytes|heads\.write|app\.send_task|message\.send|daraja\.push)$"
)
# Functions that do so at once, and why a rollback does no harm.
AT_ONCE = {
    "accounts.notices.mail._try": "the claim is durable: test_what_is_sent_at_once_stands_in_no_transaction",
    "accounts.privacy.subject_rights._erase_account": "the picture goes before its name is forgotten; the account is "
    "due for erasure, and after a rollback the next run erases it",
    "audit.verifying.keep_head": "writes of committed rows, and no row itself",
    "config.outside.queue._publish": "called after the commit by send_after_commit",
    "fileshare.backups.objects.copy_back": "a restore puts objects in place; rows follow",
    "fileshare.backups.shelf.Shelf._drop_unnamed_copies": "copies of backups have no rows",
    "fileshare.backups.shelf.Shelf.prune": "backups have no rows",
    "fileshare.incoming.completion._publish": "the upload's row has gone in another transaction",
    "fileshare.incoming.uploads._begin_parts": "the multipart upload's id was never written down",
    "fileshare.incoming.uploads.remove_bytes": "called after the commit by drop, and by completion._publish",
    "fileshare.many.carrying._carry": "removes a copy that no row names",
    "fileshare.many.copying._remove": "copies without rows: those that were not needed, and all when it failed",
    "fileshare.upkeep.lifecycle.refresh": "tells the bucket of committed rows, from a task",
    "fileshare.upkeep.reconcile._remove": "removes what has no row",
    "fileshare.upkeep.reconcile.discard_unwanted": "removes what has no row",
    "fileshare.upkeep.reconcile.reconcile": "removes what has no row",
    "payments.transactions._start": "the row is durable: test_what_is_sent_at_once_stands_in_no_transaction",
}


# --- The tests --------------------------------------------------------------------------------------


@pytest.fixture
def sent(monkeypatch):
    """The names of the tasks that were queued."""
    tasks = []
    monkeypatch.setattr(queue.app, "send_task", lambda task, **options: tasks.append(task))
    return tasks


@pytest.fixture
def left(monkeypatch):
    """All functions on the stack when on_commit was called."""
    functions, on_commit = set(), transaction.on_commit

    def watched(*arguments, **options):
        frame = sys._getframe(1)
        while frame is not None:
            functions.add(f"{frame.f_globals['__name__']}.{frame.f_code.co_qualname}")
            frame = frame.f_back
        on_commit(*arguments, **options)

    monkeypatch.setattr(transaction, "on_commit", watched)
    return functions


@pytest.fixture(autouse=True)
def own_chain(monkeypatch):
    """A chain that may place rows at once, and a folder of heads for this test alone."""
    monkeypatch.setattr(chain._Last, "moment", float("-inf"))
    monkeypatch.setattr(heads, "FOLDER", f"heads-{uuid.uuid4().hex}")


def arranged(case, settings):
    return case(settings) if case.__code__.co_argcount else case()


def assert_waits_for_the_commit(operation, trace, commits):
    before = trace()
    with commits(), suppress(Undone), transaction.atomic():
        operation()
        assert trace() == before, "nothing happens while the transaction may still be rolled back"
        raise Undone
    assert trace() == before, "nothing happens when it is"

    with commits():
        operation()

    assert trace() != before, "it happens when it is committed"


@pytest.mark.parametrize("case", BYTES)
def test_bytes_go_after_the_commit(case, settings, commits, left):
    operation, are_there = arranged(case, settings)
    assert are_there()

    assert_waits_for_the_commit(operation, are_there, commits)

    assert BYTES[case] in left


@pytest.mark.parametrize("case", TASKS)
def test_a_task_is_queued_after_the_commit(case, settings, commits, sent, left):
    task, function = TASKS[case]
    operation = arranged(case, settings)

    assert_waits_for_the_commit(operation, lambda: sent.count(task), commits)

    assert function in left


@pytest.mark.parametrize("case", TRACES)
def test_a_trace_is_left_after_the_commit(case, settings, commits, left):
    operation, trace = arranged(case, settings)

    assert_waits_for_the_commit(operation, trace, commits)

    assert TRACES[case] in left


def send_a_letter(settings):
    letter = mail.post("password_changed", to="amina@example.org")
    return lambda: mail.send(letter.pk)


def ask_a_phone(settings):
    settings.MPESA_ENV = "simulator"
    user, plan = UserFactory(), PlanFactory()
    return lambda: transactions.start(user=user, phone_number="254712345678", plan_id=plan.pk)


@pytest.mark.parametrize("case", [send_a_letter, ask_a_phone])
def test_what_is_sent_at_once_stands_in_no_transaction(case, settings, mailoutbox, monkeypatch):
    pushed = []
    monkeypatch.setattr(daraja, "access_token", lambda **options: pushed.append("token"))
    monkeypatch.setattr(daraja, "push", lambda **facts: pushed.append(facts))
    operation = case(settings)

    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        operation()

    assert (mailoutbox, pushed) == ([], [])


@pytest.mark.once
def test_each_function_that_leaves_something_to_the_commit_has_its_case():
    functions = functions_that_call(lambda call, _used: name_of(call) in TOOLS)

    covered = {*BYTES.values(), *(function for _task, function in TASKS.values()), *TRACES.values()}
    assert set(functions) == covered | set(NO_OPERATION)


@pytest.mark.once
def test_each_function_that_acts_at_once_says_why():
    functions = functions_that_call(lambda call, _used: ACTS.search(unparse(call.func)))

    # The function that on_commit gets is written inside the function that calls on_commit.
    later = {*BYTES.values(), *TRACES.values()}
    assert set(functions) - later == set(AT_ONCE)
