"""File requests: made and changed by their owners, answered by people without an account.

Whoever answers acts on behalf of the owner, whose right to upload there is asked at every step: with it
the request ends. A sender is known by a secret in their browser and sees nothing but what they sent.
"""

import base64
import hashlib
import secrets
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext as _

from accounts import mail
from accounts.addresses import clean_email, clean_name, holds_web_address
from accounts.models import User
from accounts.passwords import MAX_PASSWORD_LENGTH
from audit.log import record, record_seldom
from audit.models import Action
from config import context
from config.access import exists, get_visible
from config.errors import Conflict, Invalid, Refused

from . import completion, folders, uploads
from .models import FileRequest, ReceivedFile, RequestSender, RequestState, TypePolicy, Upload
from .models.requests import MAX_BYTES, MAX_FILES
from .receiving import RequestOver

MAX_OPEN = 200
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=366)
MAX_NAME = 150


class WrongPassword(Refused):
    """403: the request asks for a password, and this is not it."""

    def __init__(self):
        message = _("This is not the password. Ask whoever sent you the link.")
        super().__init__(403, "wrong_password", message, errors={"password": [message]})


class SenderUnknown(Refused):
    """403: nobody has said who they are in this browser, or their cookie is gone."""

    def __init__(self):
        super().__init__(403, "sender_unknown", _("Open the link again and say who you are; then send the files."))


# --- The owner's side -------------------------------------------------------------------------------


def create(
    *,
    user,
    title,
    deadline,
    max_files,
    max_bytes,
    note="",
    folder_id=None,
    subfolder_id=None,
    type_policy=None,
    password="",
    asks_name=False,
    asks_email=False,
):
    """Ask for files, into the user's own folder unless another is named. Returns the FileRequest.

    Raises Http404 or PermissionDenied for a folder they may not upload to, Invalid (400), Conflict (409)
    for one open request too many.
    """
    # A database with one writer does not wait for this.
    hashed = _hashed(password)
    with transaction.atomic():
        _lock_owner(user.pk)
        place = uploads.place_for(
            user=user, folder_id=folder_id or folders.personal_folder(user).pk, subfolder_id=subfolder_id
        )
        row = FileRequest(
            owner=user,
            folder=place.folder,
            subfolder=place.subfolder,
            in_subfolder=place.subfolder is not None,
            title=_clean_title(title),
            note=_clean_note(note),
            deadline=_clean_deadline(deadline),
            max_files=_within("max_files", max_files, MAX_FILES),
            max_bytes=_within("max_bytes", max_bytes, MAX_BYTES),
            type_policy=_clean_policy(place.folder, type_policy),
            password=hashed,
            asks_name=asks_name,
            asks_email=asks_email,
        )
        _assert_one_more_open(row)
        row.token_hash = _hash(_token(row))
        row.save(force_insert=True)
        record(Action.REQUEST_CREATED, user=user, target=row, folder=row.folder, **_told(row))
    return row


def _lock_owner(pk):
    """Two of an owner's requests that open at once must not both be the last one: the owner's row is the lock, and
    is taken before a request's."""
    User.objects.select_for_update(no_key=True).filter(pk=pk).first()


def _assert_one_more_open(row):
    """Raise Conflict (409) where a request that opens, its owner locked, is one too many."""
    if FileRequest.objects.filter(owner=row.owner_id).exclude(pk=row.pk).open().count() >= MAX_OPEN:
        text = _("You have %(most)d open requests; close one first.") % {"most": MAX_OPEN}
        raise Conflict(text, code="too_many_open")


def change(*, user, request_id, closed=None, **changes):
    """Change title, note, deadline, max_files, max_bytes, type_policy, asks_name, asks_email or password.

    A password "" takes it away. `closed` closes the request, or opens it again. Returns the FileRequest.
    Raises Http404, Invalid (400), Conflict (409) to open one whose folder is gone or closed to its owner, and one
    open request too many.
    """
    if "password" in changes:
        # A stranger has no hash made; a database with one writer does not wait for it.
        get_visible(request_id, FileRequest.objects.visible_to(user))
        changes["password"] = _hashed(changes["password"])
    with transaction.atomic():
        return _change(user, request_id, closed, changes)


def _change(user, request_id, closed, changes):
    if closed is False or "deadline" in changes:
        _lock_owner(get_visible(request_id, FileRequest.objects.visible_to(user)).owner_id)
    row = _locked(user, request_id)
    was_open = row.is_open
    cleaners = {
        "title": _clean_title,
        "note": _clean_note,
        "deadline": _clean_deadline,
        "max_files": lambda value: _within("max_files", value, MAX_FILES),
        "max_bytes": lambda value: _within("max_bytes", value, MAX_BYTES),
        "type_policy": lambda value: _clean_policy(row.folder, value),
        "password": lambda hashed: hashed,
        "asks_name": bool,
        "asks_email": bool,
    }
    for name, value in changes.items():
        setattr(row, name, cleaners[name](value))
    if closed is False and row.closed_at is not None:
        _assert_may_open(row)
        row.closed_at = None
        changes["closed"] = False
    if row.is_open and not was_open and not closed:
        _assert_one_more_open(row)
    if changes:
        row.save(update_fields=[*(set(changes) & set(cleaners)), "closed_at"])
        record(Action.REQUEST_CHANGED, user=user, target=row, folder=row.folder, after=_told(row), fields=[*changes])
    if closed and row.closed_at is None:
        _close(user, row)
    return row


def close(*, user, request_id):
    """Take nothing more by this request: what is on its way is given up. Again: nothing. Raises Http404."""
    return change(user=user, request_id=request_id, closed=True)


def _close(user, row):
    row.closed_at = timezone.now()
    row.save(update_fields=["closed_at"])
    record(Action.REQUEST_CLOSED, user=user, target=row, folder=row.folder)
    _end_uploads(row)


def _end_uploads(row):
    """What is on its way comes no further from this transaction on; it is given up after the commit, or by the
    next clean-up where nobody lives to do so. The request is locked."""
    # Whoever holds an upload's row may wait for this request's, so none of them is waited for here. What they make
    # a file of came just before the end; the others are given up with the rest.
    free = Upload.objects.filter(sender__request=row).select_for_update(skip_locked=True, of=("self",))
    Upload.objects.filter(pk__in=list(free.values_list("pk", flat=True))).update(expires_at=timezone.now())
    transaction.on_commit(lambda: _give_up_uploads(row), robust=True)


def _give_up_uploads(row):
    """Each in a transaction of its own: an upload's folder is locked before its request."""
    for pk in list(Upload.objects.filter(sender__request=row).values_list("pk", flat=True)):
        with transaction.atomic():
            upload = Upload.objects.select_for_update(of=("self",)).filter(pk=pk).first()
            if upload is not None:
                record(Action.UPLOAD_ABORTED, target=upload, folder=upload.folder, reason="request_closed")
                uploads.drop(upload)


@transaction.atomic
def renew_address(*, user, request_id):
    """Give a request another address; the old one is dead from now on, and so is what was on its way by it.

    Returns the FileRequest. Raises Http404.
    """
    row = _locked(user, request_id)
    row.generation += 1
    row.token_hash = _hash(_token(row))
    row.save(update_fields=["generation", "token_hash"])
    record(Action.REQUEST_CHANGED, user=user, target=row, folder=row.folder, fields=["address"])
    _end_uploads(row)
    return row


def _locked(user, request_id):
    return get_visible(request_id, FileRequest.objects.visible_to(user).select_for_update(of=("self",), no_key=True))


def _assert_may_open(row):
    if row.place_is_gone:
        raise Conflict(_("The folder of this request was deleted."), code="folder_gone")
    try:
        uploads.place_for(user=row.owner, folder_id=row.folder_id, subfolder_id=row.subfolder_id)
    except (Http404, PermissionDenied):
        text = _("Whoever made this request may no longer upload to its folder.")
        raise Conflict(text, code="no_upload_right") from None


def _clean_title(title):
    title = " ".join(title.split())
    if not title or not title.isprintable() or len(title) > 200:
        raise Invalid("title", _("A title is one line of at most 200 visible characters."))
    if holds_web_address(title):
        # It stands in letters to strangers, and must not lead them anywhere but here.
        raise Invalid("title", _("A title holds no web address; the note may."))
    return title


def _clean_note(note):
    note = note.replace("\r\n", "\n").strip()
    if len(note) > 2000 or not note.replace("\n", "").replace("\t", "").isprintable():
        raise Invalid("note", _("A note is plain text of at most 2000 characters."))
    return note


def _clean_deadline(deadline):
    now = timezone.now()
    if deadline < now + SHORTEST:
        raise Invalid("deadline", _("The deadline has to lie at least a minute ahead."))
    if deadline > now + LONGEST:
        raise Invalid("deadline", _("The deadline can be a year ahead at most."))
    return deadline


def _within(field, value, most):
    if not 1 <= value <= most:
        raise Invalid(field, _("A whole number from 1 to %(most)d.") % {"most": most})
    return value


def _clean_policy(folder, policy):
    of_folder = folder.type_policy if folder is not None else TypePolicy.GENERAL
    if policy is None:
        return of_folder
    if policy != of_folder and policy != TypePolicy.OFFICE:
        raise Invalid("type_policy", _("The folder takes Office documents only, and a request can take no more."))
    return policy


def _hashed(password):
    if len(password) > MAX_PASSWORD_LENGTH:
        text = _("A password has at most %(most)d characters.") % {"most": MAX_PASSWORD_LENGTH}
        raise Invalid("password", text)
    return make_password(password) if password else ""


def _told(row):
    """What the log keeps of a request: no secret, and of the note only that there is one."""
    return {
        "deadline": row.deadline,
        "max_files": row.max_files,
        "max_bytes": row.max_bytes,
        "type_policy": row.type_policy,
        "has_password": bool(row.password),
        "asks_name": row.asks_name,
        "asks_email": row.asks_email,
    }


INVITATION = "request_invitation"
MAX_INVITED = 50


@transaction.atomic
def invite(*, user, request_id, emails):
    """Mail the address to people; it is put into each letter when that is sent. Returns how many are invited.

    Raises Http404, Invalid (400), RequestOver (410) for a request that takes nothing more.
    """
    row = get_visible(request_id, FileRequest.objects.visible_to(user))
    cleaned = clean_invited(emails)
    _place_of(row)
    if row.state != RequestState.OPEN:
        raise RequestOver(row.state)
    for email in cleaned:
        mail.post(INVITATION, to=email, request_id=str(row.pk))
    record(Action.REQUEST_CHANGED, user=user, target=row, folder=row.folder, fields=["invited"], invited=cleaned)
    return len(cleaned)


def clean_invited(emails):
    """The addresses of `emails`, each once. Raises Invalid (400) for what is none, for none and for too many."""
    cleaned = list(dict.fromkeys(clean_email(email, field="emails") for email in emails if email.strip()))
    if not 1 <= len(cleaned) <= MAX_INVITED:
        raise Invalid("emails", _("Name one to %(most)d e-mail addresses.") % {"most": MAX_INVITED})
    return cleaned


def invitation(stored):
    """What a letter of invitation says besides, asked when it is sent; None when there is nothing to invite to."""
    row = FileRequest.objects.select_related("owner__company").filter(pk=stored["request_id"]).first()
    if row is None or row.state != RequestState.OPEN or not address(row):
        return None
    return {
        "link": address(row),
        "title": row.title,
        # The page shows it too; a letter from the portal leads nowhere else.
        "note": "" if holds_web_address(row.note) else row.note,
        "deadline": row.deadline,
        "owner": row.owner.get_full_name(),
        "company": row.owner.company.name if row.owner.company else "",
        "has_password": bool(row.password),
    }


def write_letters():
    """Register what the letters of this module say when they are sent."""
    mail.context_for(INVITATION, invitation)


# --- The address ------------------------------------------------------------------------------------


def _token(row, key=None):
    """256 bits that nobody guesses, computed anew whenever they are shown; URL-safe, 43 characters."""
    mac = salted_hmac("fileshare.request", f"{row.pk}:{row.generation}", secret=key, algorithm="sha256")
    return base64.urlsafe_b64encode(mac.digest()).decode().rstrip("=")


def _hash(text):
    return hashlib.sha256(text.encode()).hexdigest()


def address(row):
    """The absolute URL that senders open; "" when it was made with a SECRET_KEY that is gone (renew it then)."""
    for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        token = _token(row, key)
        if constant_time_compare(_hash(token), row.token_hash):
            return f"{settings.SITE_URL}{reverse('request', args=[token])}"
    return ""


def by_token(token):
    """The FileRequest of an address, its owner and place joined. Raises Http404."""
    rows = FileRequest.objects.select_related("owner__company", "folder", "subfolder")
    row = rows.filter(token_hash=_hash(token)).first()
    if row is None:
        raise Http404
    return row


# --- The sender's side ------------------------------------------------------------------------------


def _place_of(row):
    """The Place of a request, its owner's right asked anew. Raises RequestOver (410)."""
    if row.closed_at is not None or row.place_is_gone:
        raise RequestOver(RequestState.CLOSED)
    try:
        place = uploads.place_for(user=row.owner, folder_id=row.folder_id, subfolder_id=row.subfolder_id)
    except (Http404, PermissionDenied):
        raise RequestOver(RequestState.CLOSED) from None
    row.owner_may_upload = True  # `state` need not ask again
    return place


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
    """Let somebody in who says who they are. Returns (RequestSender, the text for their cookie).

    Raises RequestOver (410), WrongPassword (403, recorded), Invalid (400) for a name or address that is
    none, or is missing where the request asks for it.
    """
    state = row.state
    if state != RequestState.OPEN:
        refusal = RequestOver(state)
        record_seldom(Action.REQUEST_REFUSED, about=str(row.pk), code=refusal.code, target=row, folder=row.folder)
        raise refusal
    # The password first: who does not know it learns nothing of the rest.
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
    """The RequestSender of this request whom `cookie` (from `start`) names, or None."""
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


def initiate(*, sender, filename, size_bytes, content_type):
    """uploads.initiate for a sender. Raises RequestOver (410), NoRoom, TooLarge (413), FileTypeRefused (415)."""
    return uploads.initiate(**_on_behalf(sender), filename=filename, size_bytes=size_bytes, content_type=content_type)


def initiate_many(*, sender, files):
    """uploads.initiate_many for a sender. Raises RequestOver (410) when the request takes nothing at all."""
    return uploads.initiate_many(**_on_behalf(sender), files=files)


def _on_behalf(sender):
    row = sender.request
    place = _place_of(row)
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
    """The Transfer of what an upload of this sender still lacks, or its ReceivedFile when it is complete.

    What was begun before the deadline may be finished after it. Raises Http404, RequestOver (410).
    """
    done = _received(sender, file_id)
    if done is not None:
        return done
    _place_of(sender.request)
    return uploads.resume(user=sender.request.owner, sender=sender, file_id=file_id)


def complete(*, sender, file_id, upload_id=None, parts=None):
    """Make a file of a sender's upload. Returns its ReceivedFile; again: the same.

    Raises what completion.complete raises, and RequestOver (410).
    """
    done = _received(sender, file_id)
    if done is not None:
        return done
    _place_of(sender.request)
    file = completion.complete(
        user=sender.request.owner, sender=sender, file_id=file_id, upload_id=upload_id, parts=parts
    )
    return ReceivedFile.objects.select_related("file").get(pk=file.pk)


def abort(*, sender, file_id):
    """Give up a sender's upload: its place and its space are free at once. Raises Http404."""
    uploads.abort(user=sender.request.owner, sender=sender, file_id=file_id)


def _received(sender, file_id):
    rows = ReceivedFile.objects.filter(sender=sender)
    return rows.select_related("file").get(pk=file_id) if exists(file_id, rows) else None
