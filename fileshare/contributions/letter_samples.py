"""A context of each kind of letter of this app, to build one without the database (accounts.checks)."""

from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from accounts.models import User
from fileshare.models import File, Folder, ShareLink

GIVEN = {"owner": "Baraka Otieno", "company": "Otieno, Mwangi & Co", "title": "Accounts 2026"}


def _link():
    return f"{settings.SITE_URL}/request/sample"


def _files_waiting():
    return {
        "user": User(name="Amina Wanjiku", email=f"amina@{settings.MAIL_DOMAIN}"),
        "folder": Folder(name="Client documents", slug="documents"),
        "names": ["Accounts.xlsx"],
        "more": 1,
        "count": 2,
        "preferences_link": f"{settings.SITE_URL}/profile/notifications",
        "unsubscribe_link": f"{settings.SITE_URL}/unsubscribe/sample",
    }


def _share_link():
    sender = User(name="Baraka Otieno", email=f"baraka@{settings.MAIL_DOMAIN}")
    file = File(filename="Accounts.xlsx", size_bytes=2048)
    share = ShareLink(file=file, created_by=sender, expires_at=timezone.now() + timedelta(days=7))
    return {"link": _link(), "share": share, "file": file, "files": [file], "more": 0, "sender": sender}


def _request_invitation():
    deadline = timezone.now() + timedelta(days=7)
    return {**GIVEN, "link": _link(), "note": "", "deadline": deadline, "has_password": True}


def _request_receipt():
    file = {"name": "Accounts.xlsx", "size_bytes": 2048, "sha256": "", "received_at": "2026-01-31 12:00 UTC"}
    return {**GIVEN, "name": "Amina Wanjiku", "count": 1, "more": 1, "files": [file]}


def _new_files():
    return _files_waiting() | {"senders": ["Baraka Otieno"]}


SAMPLES = {
    "files_waiting": _files_waiting,
    "new_files": _new_files,
    "request_invitation": _request_invitation,
    "request_receipt": _request_receipt,
    "share_link": _share_link,
}
