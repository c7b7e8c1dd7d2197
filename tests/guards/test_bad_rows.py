"""For every constraint a row that breaks only this one: the database refuses the row.

The test saves a complete row of the model, then an UPDATE turns it into the bad row. Deleting a constraint, or
adding one without a case, fails test_each_constraint_has_its_case.
"""

import uuid
from contextlib import contextmanager
from copy import copy

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import DatabaseError, IntegrityError, connection, models, transaction

from accounts.contributions.actions import Action
from accounts.models import (
    ApiToken,
    Company,
    Notification,
    NotificationPreference,
    Passkey,
    RecoveryCode,
    RefreshToken,
    RolePolicy,
    Session,
    SpentProof,
    TotpDevice,
    User,
)
from accounts.models.roles import CLIENT, OPS
from audit import triggers
from audit.models import ChainHead, Event
from config.models import Heartbeat
from fileshare.models import (
    Archive,
    File,
    FileRequest,
    Folder,
    FolderPermission,
    Hold,
    QuotaGrant,
    ReceivedFile,
    RedeemedLink,
    SharedFile,
    ShareDownload,
    ShareLink,
    Subfolder,
    Tag,
    Upload,
)
from fileshare.models.requests import MAX_FILES
from payments.models import MAX_AMOUNT, MAX_DAYS, MAX_EXTRA_BYTES, Plan, Transaction
from tests.factories import CompanyFactory, FolderFactory, SubfolderFactory, UserFactory
from tests.guards.rows import EARLY, called, complete, role, saved
from tests.test_imports import FLOORS

pytestmark = pytest.mark.django_db


# Each CheckConstraint: (model, rows that break it, valid rows that come close).
CHECKS = {
    "archive_of_user_or_use": (
        Archive,
        [{"user": None}, {"use": saved(ShareDownload)}],
        [{"user": None, "use": saved(ShareDownload)}],
    ),
    "closed_is_off": (User, [{"closed_at": EARLY}], [{"closed_at": EARLY, "is_active": False}]),
    "erased_was_closed": (
        User,
        [{"erased_at": EARLY}],
        [{"erased_at": EARLY, "closed_at": EARLY, "is_active": False}],
    ),
    "file_scan_is_due": (File, [{"scan_state": "waiting"}], [{"scan_state": "waiting", "scan_due_at": EARLY}]),
    "file_scan_state_known": (File, [{"scan_state": "fine"}], [{"scan_state": "infected"}]),
    "file_size_not_negative": (File, [{"size_bytes": -1}], [{"size_bytes": 0}]),
    "file_visibility_known": (File, [{"visibility": "secret"}], [{"visibility": "public"}]),
    "folder_bytes_positive": (
        Folder,
        [{"quota_bytes": -1}, {"used_bytes": -1}, {"reserved_bytes": -1}],
        [{"quota_bytes": 0, "used_bytes": 0, "reserved_bytes": 0}],
    ),
    "folder_of_company_or_owner": (
        Folder,
        [{"company": CompanyFactory, "owner": UserFactory}],
        [{"company": CompanyFactory}, {"owner": UserFactory}],
    ),
    "folder_share_days_positive": (Folder, [{"share_max_days": 0}], [{"share_max_days": 1}]),
    "grant_bytes_positive": (QuotaGrant, [{"extra_bytes": 0}], [{"extra_bytes": 1}]),
    "grant_ends_after_start": (QuotaGrant, [{"ends_at": EARLY}], []),
    "hold_on_one_thing": (
        Hold,
        [
            {"folder": None},
            {"user": UserFactory},
            {"file": saved(File)},
            {"folder": None, "file": saved(File), "user": UserFactory},
        ],
        [{"folder": None, "file": saved(File)}, {"folder": None, "user": UserFactory}],
    ),
    "mail_is_known": (NotificationPreference, [{"mail": "hourly"}], [{"mail": "now"}, {"mail": "digest"}]),
    "one_chain_head": (ChainHead, [{"id": 2}], []),
    "payment_amount": (
        Transaction,
        [{"amount": 0}, {"amount": MAX_AMOUNT + 1}],
        [{"amount": 1}, {"amount": MAX_AMOUNT}],
    ),
    "payment_paid_has_time": (
        Transaction,
        [{"status": "paid"}, {"paid_at": EARLY}, {"status": "failed", "paid_at": EARLY}],
        [{"status": "paid", "paid_at": EARLY}],
    ),
    "payment_status_known": (Transaction, [{"status": "lost"}], [{"status": "timed_out"}]),
    "permission_for_one_holder": (
        FolderPermission,
        [{"user": None}, {"role": role(OPS)}, {"company": CompanyFactory}],
        [{"user": None, "role": role(OPS)}, {"user": None, "company": CompanyFactory}],
    ),
    "permission_type_known": (FolderPermission, [{"permission_type": "delete"}], [{"permission_type": "download"}]),
    "plan_amount": (Plan, [{"amount": 0}, {"amount": MAX_AMOUNT + 1}], [{"amount": 1}, {"amount": MAX_AMOUNT}]),
    "plan_bytes": (
        Plan,
        [{"extra_bytes": 0}, {"extra_bytes": MAX_EXTRA_BYTES + 1}],
        [{"extra_bytes": 1}, {"extra_bytes": MAX_EXTRA_BYTES}],
    ),
    "plan_days": (Plan, [{"days": 0}, {"days": MAX_DAYS + 1}], [{"days": 1}, {"days": MAX_DAYS}]),
    "request_bytes_positive": (
        FileRequest,
        [{"received_bytes": -1}, {"reserved_bytes": -1}],
        [{"received_bytes": 0, "reserved_bytes": 0}],
    ),
    "request_limits_sane": (
        FileRequest,
        [{"max_files": 0}, {"max_files": MAX_FILES + 1}, {"max_bytes": 0}],
        [{"max_files": 1, "max_bytes": 1}, {"max_files": MAX_FILES}],
    ),
    "request_policy_known": (FileRequest, [{"type_policy": "any"}], [{"type_policy": "office"}]),
    "share_of_one_kind": (
        ShareLink,
        [
            {"file": None},
            {"file": None, "file_count": 1},
            {"file": None, "file_count": 1001},
            {"file": None, "file_count": 2, "folder": FolderFactory},
            {"file": None, "subfolder": SubfolderFactory},
            {"file": None, "file_count": 2, "subfolder": SubfolderFactory},
            {"folder": FolderFactory},
            {"subfolder": SubfolderFactory},
            {"file_count": 2},
        ],
        [
            {"file": None, "file_count": 2},
            {"file": None, "file_count": 1000},
            {"file": None, "folder": FolderFactory},
            {"file": None, "folder": FolderFactory, "subfolder": SubfolderFactory},
        ],
    ),
    "share_lives": (ShareLink, [{"expires_at": EARLY}], []),
    "share_permission_known": (ShareLink, [{"permission": "edit"}], []),
    "share_view_counts_none": (
        ShareLink,
        [{"permission": "view", "max_downloads": 1}, {"permission": "view", "download_count": 1}],
        [{"permission": "view"}],
    ),
    "share_within_limit": (
        ShareLink,
        [{"max_downloads": 0}, {"max_downloads": 1, "download_count": 2}],
        [{"max_downloads": 1, "download_count": 1}, {"download_count": 9}],
    ),
    "upload_size_not_negative": (Upload, [{"size_bytes": -1}], [{"size_bytes": 0}]),
    "user_email_is_lower_case": (User, [{"email": "Amina@example.org"}], []),
}

# Each UniqueConstraint: (model, values that two rows may not share, values that they may share).
TWINS = {
    "checkout_id_once": (Transaction, {"checkout_request_id": "ws_CO_1"}, [{"checkout_request_id": ""}]),
    "event_seq_once": (Event, {"seq": 1}, []),
    "hold_once_on_file": (
        Hold,
        {"folder": None, "file": saved(File)},
        [{"folder": None, "file": saved(File), "released_at": EARLY}],
    ),
    "hold_once_on_folder": (Hold, {"folder": FolderFactory}, [{"folder": FolderFactory, "released_at": EARLY}]),
    "hold_once_on_user": (
        Hold,
        {"folder": None, "user": UserFactory},
        [{"folder": None, "user": UserFactory, "released_at": EARLY}],
    ),
    "notification_unread_about": (
        Notification,
        {"user": UserFactory, "about": "folder:1"},
        [{"user": UserFactory}, {"user": UserFactory, "about": "folder:1", "is_read": True}, {"about": "folder:1"}],
    ),
    "one_pending_payment_a_phone": (
        Transaction,
        {"phone_number": "254712345678"},
        [{"phone_number": "254712345678", "status": "failed"}],
    ),
    "one_preference_a_kind": (
        NotificationPreference,
        {"user": UserFactory, "kind": "share_opened"},
        [{"user": UserFactory}, {"kind": "share_opened"}],
    ),
    "permission_once_per_company": (
        FolderPermission,
        {"folder": FolderFactory, "user": None, "company": CompanyFactory},
        [{"user": None, "company": CompanyFactory}],
    ),
    "permission_once_per_role": (
        FolderPermission,
        {"folder": FolderFactory, "user": None, "role": role(OPS)},
        [{"user": None, "role": role(OPS)}],
    ),
    "permission_once_per_user": (
        FolderPermission,
        {"folder": FolderFactory, "user": UserFactory},
        [{"folder": FolderFactory}, {"user": UserFactory}],
    ),
    "receipt_once": (Transaction, {"receipt_number": "RLA0R69NXM"}, [{"receipt_number": ""}]),
    "recovery_code_once": (RecoveryCode, {"user": UserFactory, "code_hash": "abc"}, [{"code_hash": "abc"}]),
    "shared_file_once": (
        SharedFile,
        {"share": saved(ShareLink), "file": saved(File)},
        [{"share": saved(ShareLink)}, {"file": saved(File)}],
    ),
    "subfolder_slug_in_folder": (Subfolder, {"folder": FolderFactory, "slug": "2026"}, [{"slug": "2026"}]),
    # Fields that are unique, and primary keys that the code chooses.
    "ApiToken.token_hash": (ApiToken, {"token_hash": "abc"}, []),
    "Archive.use": (Archive, {"user": None, "use": saved(ShareDownload)}, []),
    "Company.name": (Company, {"name": "Baobab"}, []),
    "Company.slug": (Company, {"slug": "baobab"}, []),
    "File.id": (File, {"id": uuid.uuid4}, []),
    "File.object_key": (File, {"object_key": "files/a"}, []),
    "FileRequest.token_hash": (FileRequest, {"token_hash": "abc"}, []),
    "Folder.owner": (Folder, {"owner": UserFactory}, [{"owner": None}]),
    "Folder.slug": (Folder, {"slug": "baobab"}, []),
    "Heartbeat.name": (Heartbeat, {"name": "celery@here"}, []),
    "Passkey.credential_id": (Passkey, {"credential_id": "abc"}, []),
    "QuotaGrant.source": (QuotaGrant, {"source": "payment:1"}, []),
    "ReceivedFile.file": (ReceivedFile, {"file": saved(File)}, [{"file": None}]),
    "ReceivedFile.id": (ReceivedFile, {"id": uuid.uuid4}, []),
    "RedeemedLink.nonce": (RedeemedLink, {"nonce": "abc"}, []),
    "RefreshToken.replaced_by": (RefreshToken, {"replaced_by": saved(RefreshToken)}, [{"replaced_by": None}]),
    "RefreshToken.token_hash": (RefreshToken, {"token_hash": "abc"}, []),
    "RolePolicy.role": (RolePolicy, {"role": role(CLIENT)}, []),
    "Session.key_hash": (Session, {"key_hash": "abc"}, []),
    "ShareLink.token_hash": (ShareLink, {"token_hash": "abc"}, []),
    "SpentProof.digest": (SpentProof, {"digest": "abc"}, []),
    "Tag.name": (Tag, {"name": "tax"}, []),
    "TotpDevice.user": (TotpDevice, {"user": UserFactory}, []),
    "Transaction.grant": (Transaction, {"grant": saved(QuotaGrant)}, [{"grant": None}]),
    "Upload.object_key": (Upload, {"object_key": "files/a"}, []),
    "User.email": (User, {"email": "amina@example.org"}, []),
}

# Each trigger of the log: what it refuses, in a log of one row with a place and one without.
REFUSED = {
    triggers.NO_UPDATE: lambda: Event.objects.update(action=Action.LOGOUT),
    triggers.NO_DELETE: lambda: Event.objects.filter(seq=None).delete(),
    triggers.PLACED_ONCE: lambda: Event.objects.filter(seq=1).update(hash="x"),
    triggers.NO_PLACED_INSERT: lambda: Event.objects.create(action=Action.LOGIN, seq=2),
    triggers.NO_TRUNCATE: lambda: execute("TRUNCATE audit_event"),
}


def execute(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


def change(row, facts):
    """Change the saved row to these values, without the checks of the model."""
    type(row).objects.filter(pk=row.pk).update(**facts)


def violated(error, model):
    """The name of the constraint, or "Model.field", that the database reports as broken."""
    table, named = model._meta.db_table, {constraint.name for constraint in model._meta.constraints}
    if connection.vendor == "postgresql":
        broken = error.__cause__.diag.constraint_name
        if broken in named:
            return broken
        with connection.cursor() as cursor:
            columns = connection.introspection.get_constraints(cursor, table)[broken]["columns"]
    else:
        reason, _, broken = str(error).partition(" constraint failed: ")
        if reason == "CHECK":
            return broken
        columns = [name.removeprefix(f"{table}.") for name in broken.split(", ")]
    for constraint in model._meta.constraints:
        if [model._meta.get_field(name).column for name in getattr(constraint, "fields", ())] == columns:
            return constraint.name
    return ".".join([model.__name__, *[field.name for field in model._meta.local_fields if field.column in columns]])


def refused_by_the_model(row, facts):
    """The names of the constraints by which the model refuses the row with these facts."""
    row = copy(row)
    for name, value in facts.items():
        setattr(row, name, value)
    broken = set()
    for constraint in row._meta.constraints:
        try:
            constraint.validate(type(row), row)
        except ValidationError:
            broken.add(constraint.name)
    return broken


def assert_refused(row, facts, name):
    with pytest.raises(IntegrityError) as raised, transaction.atomic():
        change(row, facts)
    assert violated(raised.value, type(row)) == name, facts
    if "." not in name:
        assert refused_by_the_model(row, facts) == {name}, facts


def assert_taken(row, facts):
    change(row, facts)
    assert refused_by_the_model(row, facts) == set(), facts


@contextmanager
def undone():
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.mark.parametrize("name", CHECKS)
def test_a_bad_row_is_refused_and_one_that_comes_close_is_taken(name):
    model, bad, close = CHECKS[name]
    row = complete(model)

    for facts in bad:
        assert_refused(row, called(facts), name)
    for facts in close:
        with undone():
            assert_taken(row, called(facts))


@pytest.mark.parametrize("name", TWINS)
def test_what_is_unique_is_there_once(name):
    model, shared, may_be_shared = TWINS[name]
    first, second = complete(model), complete(model)

    with undone():
        facts = called(shared)
        change(first, facts)
        assert_refused(second, facts, name)
    for some in may_be_shared:
        with undone():
            facts = called(some)
            change(first, facts)
            assert_taken(second, facts)


def test_each_constraint_has_its_case():
    constraints = {}
    for model in apps.get_models():
        if model._meta.app_label in FLOORS:
            constraints |= {constraint.name: model for constraint in model._meta.constraints}
            assert not model._meta.unique_together, "say it as a UniqueConstraint, which has a name"
            for field in model._meta.local_fields:
                made_up = isinstance(field, models.AutoField) or (field.primary_key and field.has_default())
                if field.unique and not made_up:
                    constraints[f"{model.__name__}.{field.name}"] = model

    assert {name: case[0] for name, case in (CHECKS | TWINS).items()} == constraints


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.postgres] if name == triggers.NO_TRUNCATE else []) for name in REFUSED],
)
def test_a_trigger_of_the_log_refuses_alone_what_the_others_let_pass(name):
    placed, _waiting = complete(Event), complete(Event)
    change(placed, {"seq": 1})
    others = triggers._statements()
    own = others.pop(name)

    triggers.take_away()
    with undone():
        for other in others.values():
            execute(other)
        REFUSED[name]()

    execute(own)
    with pytest.raises(DatabaseError, match=triggers.MESSAGE), transaction.atomic():
        REFUSED[name]()


def test_each_trigger_has_its_case():
    assert set(REFUSED) == set(triggers.NAMES)
