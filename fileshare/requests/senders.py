"""Senders: people without an account who answer a file request.

A sender acts on behalf of the request's owner. Each step checks that the owner may still upload to the folder; without
that right the request is over. A secret in a cookie identifies the sender, who sees only the files they sent.
"""

import hashlib
import secrets

from django.contrib.auth.hashers import check_password
from django.db import transaction
from django.http import Http404
from django.utils import translation
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.addresses import clean_email, clean_name
from accounts.credentials.passwords import MAX_PASSWORD_LENGTH
from audit.log import record, record_seldom
from config import context
from config.access import exists, get_visible
from config.errors import Invalid, Refused
from fileshare.contributions.actions import Action
from fileshare.incoming import completion, uploads
from fileshare.models import File, ReceivedFile, RequestSender, RequestState
from fileshare.space.request_room import RequestOver

from .file_requests import place_of

MAX_NAME = 150


class WrongPassword(Refused):
    """403: the request asks for a password, and this is not it."""

    def __init__(self):
        message = _("This is not the password. Ask whoever sent you the link.")
        super().__init__(403, "wrong_password", message, errors={"password": [message]})


class SenderUnknown(Refused):
    """403: the browser has no valid sender cookie, because the sender has not yet said who they are, or it is lost."""

    title = gettext_lazy("Please say who you are")

    def __init__(self):
        super().__init__(403, "sender_unknown", _("Open the link again and say who you are; then send the files."))


@transaction.atomic
def _enter(row, name, email):
    secret = secrets.token_urlsafe(32)
    sender = RequestSender.objects.create(
        request=row,
        secret_hash=_hash(secret),
        name=name,
        email=email,
        address=context.current().address,
        language=(translation.get_language() or "en")[:10],
    )
    return sender, f"{sender.pk}.{secret}"


def start(row, *, name="", email="", password=""):
    """Make a sender with the name and address they give. Returns (RequestSender, the text for their cookie).

    Raises RequestOver (410), WrongPassword (403, logged), Invalid (400) for a name or address that is invalid, or
    missing although the request asks for it.
    """
    state = row.state
    if state != RequestState.OPEN:
        refusal = RequestOver(state)
        record_seldom(Action.REQUEST_REFUSED, about=str(row.pk), code=refusal.code, target=row, folder=row.folder)
        raise refusal
    # Check the password first, so that a person without it does not learn what else the request asks for.
    if row.password and not check_password(password[: MAX_PASSWORD_LENGTH + 1], row.password):
        refusal = WrongPassword()
        record(Action.REQUEST_REFUSED, target=row, folder=row.folder, code=refusal.code)
        raise refusal
    name = " ".join(name.split())
    if row.asks_name and not name:
        raise Invalid("name", _("Please give your name."))
    if row.asks_email and not email.strip():
        raise Invalid("email", _("Please give your e-mail address."))
    if len(name) > MAX_NAME:
        raise Invalid("name", _("A name has at most %(most)d characters.") % {"most": MAX_NAME})
    return _enter(row, clean_name(name) if name else "", clean_email(email) if email.strip() else "")


def sender_of(row, cookie):
    """The RequestSender of this request that `cookie`, the text that `start` returned, identifies; or None."""
    pk, _dot, secret = (cookie or "").partition(".")
    try:
        sender = get_visible(pk, RequestSender.objects.filter(request=row))
    except Http404:
        return None
    sender.request = row
    return sender if constant_time_compare(sender.secret_hash, _hash(secret)) else None


def received_by(sender):
    """The receipts of a sender, newest first."""
    return ReceivedFile.objects.filter(sender=sender).select_related("file").order_by("-received_at", "-pk")


def initiate(*, sender, **facts):
    """uploads.initiate for a sender. Raises RequestOver (410), NoRoom, TooLarge (413), FileTypeRefused (415)."""
    return uploads.initiate(**_on_behalf(sender), **facts)


def initiate_many(*, sender, files, part_size=None):
    """uploads.initiate_many for a sender. Raises RequestOver (410) when the request takes nothing at all."""
    return uploads.initiate_many(**_on_behalf(sender), files=files, part_size=part_size)


def _on_behalf(sender):
    row = sender.request
    place = place_of(row)
    if row.state != RequestState.OPEN:
        raise RequestOver(row.state)
    return {"user": row.owner, "place": place, "type_policy": row.policy, "sender": sender}


def receive(*, sender, filename, content_type, stream, size_bytes):
    """completion.receive for a sender: a whole file from a form. Returns its ReceivedFile."""
    file = completion.receive(
        **_on_behalf(sender), filename=filename, content_type=content_type, stream=stream, size_bytes=size_bytes
    )
    return ReceivedFile.objects.get(pk=file.pk)


def resume(*, sender, file_id):
    """The Transfer of the missing bytes of this sender's upload, or its ReceivedFile when it is complete.

    An upload that began before the deadline may be finished after it. Raises Http404, RequestOver (410).
    """
    done = _received(sender, file_id)
    if done is not None:
        return done
    place_of(sender.request)
    found = completion.resume(user=sender.request.owner, sender=sender, file_id=file_id)
    # Another request may have completed the upload meanwhile.
    return _received(sender, file_id) if isinstance(found, File) else found


def complete(*, sender, file_id, upload_id=None, parts=None):
    """Turn a sender's upload into a file. Returns its ReceivedFile; a second call returns the same.

    Raises what completion.complete raises, and RequestOver (410).
    """
    done = _received(sender, file_id)
    if done is not None:
        return done
    place_of(sender.request)
    file = completion.complete(
        user=sender.request.owner, sender=sender, file_id=file_id, upload_id=upload_id, parts=parts
    )
    return ReceivedFile.objects.select_related("file").get(pk=file.pk)


def abort(*, sender, file_id):
    """Abort a sender's upload. What it reserved in the request and the folder is released at once. Raises Http404."""
    uploads.abort(user=sender.request.owner, sender=sender, file_id=file_id)


def _received(sender, file_id):
    rows = ReceivedFile.objects.filter(sender=sender)
    return rows.select_related("file").get(pk=file_id) if exists(file_id, rows) else None


def _hash(secret):
    return hashlib.sha256(secret.encode()).hexdigest()
