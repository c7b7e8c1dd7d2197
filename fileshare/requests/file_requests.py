"""File requests, for their owners: make, change and close them."""

from datetime import timedelta

from django.contrib.auth.hashers import make_password
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.addresses import holds_web_address
from accounts.credentials.passwords import MAX_PASSWORD_LENGTH
from accounts.models import User
from audit.log import record
from config.access import get_visible
from config.errors import Conflict, Invalid
from fileshare import folders
from fileshare.contributions.actions import Action
from fileshare.incoming import uploads
from fileshare.models import FileRequest, RequestState, TypePolicy, Upload
from fileshare.models.requests import MAX_BYTES, MAX_FILES
from fileshare.space.request_room import RequestOver

from . import addresses

MAX_OPEN = 200
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=366)


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
    """Make a file request, for the user's personal folder unless `folder_id` names another. Returns the FileRequest.

    Raises Http404 or PermissionDenied for a folder that the user may not upload to, Invalid (400), Conflict (409)
    when the user has MAX_OPEN open requests already.
    """
    # Hash the password before the transaction. It is slow, and SQLite's only writer would wait for it.
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
        row.token_hash = addresses.token_hash(row)
        row.save(force_insert=True)
        record(Action.REQUEST_CREATED, user=user, target=row, folder=row.folder, **_told(row))
    return row


def _lock_owner(pk):
    """Lock the owner's row, so that two requests opened at the same time cannot exceed MAX_OPEN together.

    Call this before the row of a request is locked.
    """
    User.objects.select_for_update(no_key=True).filter(pk=pk).first()


def _assert_one_more_open(row):
    """Raise Conflict (409) when MAX_OPEN other requests of the owner are open. The owner must be locked."""
    if FileRequest.objects.filter(owner=row.owner_id).exclude(pk=row.pk).open().count() >= MAX_OPEN:
        text = _("You have %(most)d open requests; close one first.") % {"most": MAX_OPEN}
        raise Conflict(text, code="too_many_open")


def change(*, user, request_id, closed=None, **changes):
    """Change title, note, deadline, max_files, max_bytes, type_policy, asks_name, asks_email or password.

    Password "" removes it. `closed` True closes the request, False opens it again. Returns the FileRequest.
    Raises Http404, Invalid (400). Raises Conflict (409) for a request to open when its folder was deleted, when its
    owner may no longer upload to the folder, or when the owner has MAX_OPEN open requests already.
    """
    if "password" in changes:
        # Check the right first, so that other users cannot make the portal compute slow hashes. Hash before the
        # transaction, so that SQLite's only writer does not wait for it.
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
    """Close the request and give up its unfinished uploads. A second call changes nothing. Raises Http404."""
    return change(user=user, request_id=request_id, closed=True)


def _close(user, row):
    row.closed_at = timezone.now()
    row.save(update_fields=["closed_at"])
    record(Action.REQUEST_CLOSED, user=user, target=row, folder=row.folder)
    _end_uploads(row)


def _end_uploads(row):
    """End the request's unfinished uploads. The caller has locked the request.

    They expire in this transaction, so they take no more bytes. They are given up after the commit; if the process
    dies before that, the next clean-up does it.
    """
    # Skip uploads that another transaction has locked: it may wait for this request's row, and to wait for it here
    # would be a deadlock. It either makes its file, just before the end, or its upload is given up after the commit.
    free = Upload.objects.filter(sender__request=row).select_for_update(skip_locked=True, of=("self",))
    Upload.objects.filter(pk__in=list(free.values_list("pk", flat=True))).update(expires_at=timezone.now())
    transaction.on_commit(lambda: _give_up_uploads(row), robust=True)


def _give_up_uploads(row):
    """Give up each upload in a separate transaction, which locks the upload's folder before its request."""
    for pk in list(Upload.objects.filter(sender__request=row).values_list("pk", flat=True)):
        with transaction.atomic():
            upload = Upload.objects.select_for_update(of=("self",)).filter(pk=pk).first()
            if upload is not None:
                record(Action.UPLOAD_ABORTED, target=upload, folder=upload.folder, reason="request_closed")
                uploads.drop(upload)


@transaction.atomic
def renew_address(*, user, request_id):
    """Give a request a new address. The old one stops working, and unfinished uploads by it are given up.

    Returns the FileRequest. Raises Http404.
    """
    row = _locked(user, request_id)
    row.generation += 1
    row.token_hash = addresses.token_hash(row)
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


def place_of(row):
    """The Place of a request. Checks again that its owner may upload there. Raises RequestOver (410)."""
    if row.closed_at is not None or row.place_is_gone:
        raise RequestOver(RequestState.CLOSED)
    try:
        place = uploads.place_for(user=row.owner, folder_id=row.folder_id, subfolder_id=row.subfolder_id)
    except (Http404, PermissionDenied):
        raise RequestOver(RequestState.CLOSED) from None
    row.owner_may_upload = True  # saves `state` a query
    return place


def _clean_title(title):
    title = " ".join(title.split())
    if not title or not title.isprintable() or len(title) > 200:
        raise Invalid("title", _("A title is one line of at most 200 visible characters."))
    if holds_web_address(title):
        # The title appears in e-mails that the portal sends to people without an account. They must hold no links
        # to other sites.
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
    """Facts for the log about a request. They hold no secrets and not the note."""
    return {
        "deadline": row.deadline,
        "max_files": row.max_files,
        "max_bytes": row.max_bytes,
        "type_policy": row.type_policy,
        "has_password": bool(row.password),
        "asks_name": row.asks_name,
        "asks_email": row.asks_email,
    }
