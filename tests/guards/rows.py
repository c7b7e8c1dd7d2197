"""A complete row of any model, different from every other row; files and uploads have their bytes."""

import uuid
from datetime import UTC, datetime

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
from accounts.models.roles import Role
from audit.models import ChainHead, Event
from config.models import Heartbeat
from fileshare.incoming import uploads
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
    RequestSender,
    SharedFile,
    ShareDownload,
    ShareLink,
    Subfolder,
    Tag,
    Upload,
)
from payments.models import CallbackRecord, Plan, Transaction
from tests.factories import CompanyFactory, FolderFactory, PlanFactory, SubfolderFactory, UserFactory, store_file
from tests.fileshare.helpers import send

EARLY, LATE = datetime(2026, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)


def role(name):
    return lambda: Role.objects.get(name=name)


def saved(model):
    """A function that saves a complete row of the model."""
    return lambda: complete(model)


def text():
    return uuid.uuid4().hex


# Models without a factory: the values of a complete row. A value that is a function is called.
COMPLETE = {
    ApiToken: {"user": UserFactory, "name": "backup", "token_hash": text, "scopes": [], "expires_at": LATE},
    Archive: {"user": UserFactory, "entries": [], "expires_at": LATE},
    CallbackRecord: {"raw": "{}"},
    ChainHead: {},
    Event: {"action": Action.LOGIN},
    Heartbeat: {"name": text, "kind": "worker", "created_at": EARLY},
    File: {
        "id": uuid.uuid4,
        "folder": FolderFactory,
        "filename": "a.txt",
        "size_bytes": 1,
        "content_type": "text/plain",
        "object_key": text,
    },
    FileRequest: {
        "owner": UserFactory,
        "folder": FolderFactory,
        "token_hash": text,
        "title": "Your papers",
        "deadline": LATE,
        "max_files": 5,
        "max_bytes": 500,
        "type_policy": "general",
    },
    FolderPermission: {"folder": FolderFactory, "user": UserFactory, "permission_type": "upload"},
    Hold: {"folder": FolderFactory, "reason": "A lawsuit"},
    Notification: {"user": UserFactory, "type": "file_received"},
    NotificationPreference: {"user": UserFactory, "kind": text, "mail": "off"},
    Passkey: {"user": UserFactory, "name": "Key", "credential_id": text, "public_key": b"key"},
    QuotaGrant: {"folder": FolderFactory, "extra_bytes": 5, "starts_at": EARLY, "ends_at": LATE, "source": text},
    ReceivedFile: {
        "id": uuid.uuid4,
        "request": saved(FileRequest),
        "sender": saved(RequestSender),
        "filename": "a.txt",
        "size_bytes": 1,
    },
    RecoveryCode: {"user": UserFactory, "code_hash": text},
    RedeemedLink: {"nonce": text, "file": saved(File), "user": UserFactory, "redeemed_at": EARLY},
    RefreshToken: {
        "family": uuid.uuid4,
        "user": UserFactory,
        "token_hash": text,
        "expires_at": LATE,
        "orig_iat": EARLY,
    },
    RequestSender: {"request": saved(FileRequest), "secret_hash": text},
    RolePolicy: {"role": lambda: Role.objects.create(name=text())},
    Session: {"key_hash": text, "session_data": "", "expire_date": LATE},
    ShareDownload: {"share": saved(ShareLink)},
    SharedFile: {"share": saved(ShareLink), "file": saved(File)},
    ShareLink: {
        "file": saved(File),
        "created_by": UserFactory,
        "token_hash": text,
        "permission": "download",
        "created_at": EARLY,
        "expires_at": LATE,
    },
    SpentProof: {"digest": text, "expires_at": LATE},
    Tag: {"name": text},
    TotpDevice: {"user": UserFactory, "secret": "sealed"},
    Transaction: {
        "plan": PlanFactory,
        "plan_name": "Small",
        "amount": 100,
        "extra_bytes": 5,
        "days": 30,
        "phone_number": lambda: str(uuid.uuid4().int)[:12],
    },
    Upload: {
        "folder": FolderFactory,
        "filename": "a.txt",
        "size_bytes": 1,
        "content_type": "text/plain",
        "object_key": text,
        "uploaded_by": UserFactory,
        "expires_at": LATE,
    },
}
FACTORIES = {
    Company: CompanyFactory,
    Folder: FolderFactory,
    Plan: PlanFactory,
    Subfolder: SubfolderFactory,
    User: UserFactory,
}


def called(facts):
    return {name: value() if callable(value) else value for name, value in facts.items()}


def complete(model, **facts):
    """A saved row of the model, different from every other row; `facts` may be set."""
    if model in FACTORIES:
        return FACTORIES[model](**facts)
    return model.objects.create(**called({**COMPLETE[model], **facts}))


def fresh(row):
    """The row as it is now."""
    return type(row).objects.get(pk=row.pk)


def a_super():
    return UserFactory(roles=["super"], is_superuser=True, is_staff=True)


def a_file(**facts):
    """A File with its bytes; `facts` of its row may be set."""
    file = store_file(user=facts.pop("uploaded_by", None) or UserFactory(), folder=FolderFactory(), filename="a.docx")
    File.objects.filter(pk=file.pk).update(**facts)
    return File.objects.get(pk=file.pk)


def an_upload(*, user=None, filename="notes.txt", body=b"some words", **facts):
    """An Upload whose bytes are in the store and which is not completed; `facts` of its row may be set."""
    upload = uploads.initiate(
        user=user or UserFactory(),
        place=uploads.Place(FolderFactory()),
        filename=filename,
        size_bytes=len(body),
        content_type="",
    )
    transfer = uploads.transfer(upload)
    if upload.is_multipart:
        for part in transfer.parts:
            start = (part["part_number"] - 1) * upload.part_size
            send(part["upload_url"], body[start : start + upload.part_size])
    else:
        send(transfer.url, body, transfer.headers.get("Content-Type", "application/octet-stream"))
    Upload.objects.filter(pk=upload.pk).update(**facts)
    return Upload.objects.get(pk=upload.pk)
