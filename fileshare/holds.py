"""Legal holds. Supers place and release them. While a hold is in force, no user and no task deletes what it keeps."""

from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.people.log_reasons import clean_reason
from accounts.people.roles import assert_super
from audit.log import record
from config.access import get_visible
from config.errors import Conflict, Invalid
from config.outside.queue import send_after_commit
from fileshare.contributions.actions import Action

from .models import File, Folder, Hold

LOCK_NUMBER = 8_351_902_644
"""The number of the advisory lock in PostgreSQL. No other lock may use it."""


class Held(Conflict):
    """409: a legal hold forbids to delete it."""

    def __init__(self, message):
        super().__init__(message, code="legal_hold")


def guard():
    """Keep new holds out until the transaction ends, so that what is not held now may be deleted.

    Call it before locking any row. Deletions share the lock and do not wait for each other. Placing a hold waits for
    them, and they wait for it. SQLite needs no lock: it has only one writer at a time.
    """
    _lock("pg_advisory_xact_lock_shared")


def _lock(function):
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {function}(%s)", [LOCK_NUMBER])


def assert_file_free(file):
    """Raise Held (409) when a legal hold keeps the file. Call `guard` first."""
    if File.objects.filter(pk=file.pk).held().exists():
        raise file_held()


def file_held():
    """The Held for a file that a legal hold keeps."""
    return Held(_("This file is under a legal hold and has to stay. A super can say more."))


def assert_folder_free(folder):
    """Raise Held (409) when a legal hold keeps the folder or its owner. Call `guard` first."""
    if Folder.objects.filter(pk=folder.pk).held().exists():
        raise Held(_("This folder is under a legal hold and has to stay. A super can say more."))


@transaction.atomic
def place(*, by, reason, folder_id=None, file_id=None, user_id=None):
    """Place a hold on one folder, one file (also in the trash) or one user. Returns the Hold.

    Deletions under way end first. Those that begin later are refused. Raises PermissionDenied unless `by` is a super,
    Http404, Invalid (400) when the reason is missing or not exactly one thing is named, and Conflict (409) when it is
    held already or the account has been erased.
    """
    assert_super(by)
    reason = clean_reason(reason)
    if sum(pk is not None for pk in (folder_id, file_id, user_id)) != 1:
        raise Invalid("file", _("Name one folder, one file or one user."))
    _lock("pg_advisory_xact_lock")
    if folder_id is not None:
        target = {"folder": get_visible(folder_id, Folder.objects.all())}
    elif file_id is not None:
        target = {"file": get_visible(file_id, File.objects.select_related("folder"))}
    else:
        target = {"user": get_visible(user_id, User.objects.all())}
        if target["user"].erased_at is not None:
            raise Conflict(_("Of this account nothing is left."), code="account_erased")
    try:
        with transaction.atomic():
            hold = Hold.objects.create(reason=reason, placed_by=by, **target)
    except IntegrityError:
        raise Conflict(_("A legal hold is on it already."), code="already_held") from None
    _record(Action.HOLD_PLACED, by, hold, reason)
    return hold


@transaction.atomic
def release(*, by, hold_id, reason):
    """End a hold: what it kept may be deleted and expire again. Returns the Hold.

    Raises PermissionDenied unless `by` is a super, Http404, Invalid (400) when the reason is missing, and
    Conflict (409) when the hold was released before.
    """
    assert_super(by)
    reason = clean_reason(reason)
    hold = get_visible(hold_id, Hold.objects.select_for_update(of=("self",), no_key=True))
    if not hold.is_live:
        raise Conflict(_("This hold was released before."), code="hold_released")
    hold.released_at, hold.released_by = timezone.now(), by
    hold.save(update_fields=["released_at", "released_by"])
    _record(Action.HOLD_RELEASED, by, hold, reason)
    return hold


def _record(action, by, hold, reason):
    folder = hold.folder or (hold.file.folder if hold.file_id else None)
    record(action, user=by, target=hold.target, folder=folder, hold=str(hold.pk), reason=reason)
    # Update the bucket's expiry rules: the bucket must not remove objects of a folder that contains something held.
    send_after_commit("fileshare.tasks.refresh_expiry")


def on_file(*, user, file):
    """The live Holds that keep a file, newest first; [] unless `user` is a super."""
    holds = Hold.objects.live()
    people = [pk for pk in (file.uploaded_by_id, file.folder.owner_id) if pk]
    either = holds.filter(file=file) | holds.filter(folder=file.folder_id) | holds.filter(user__in=people)
    return _shown(user, either)


def on_folder(*, user, folder):
    """The live Holds that keep a folder, newest first; [] unless `user` is a super."""
    holds = Hold.objects.live()
    either = holds.filter(folder=folder)
    return _shown(user, either | holds.filter(user=folder.owner_id) if folder.owner_id else either)


def _shown(user, rows):
    if not (user.is_active and user.is_superuser):
        return []
    return list(rows.select_related("folder", "file", "user", "placed_by"))


def keeping(user):
    """The live Holds that keep an account from being erased.

    Those on the user, on their own folder, and on any file that they uploaded or that lies in their folder. The
    account must stay because the identity of a file's owner is part of the evidence.
    """
    held = File.objects.held()
    ids = held.filter(uploaded_by=user) | held.filter(folder__owner=user)
    holds = Hold.objects.live()
    either = (
        holds.filter(user=user)
        | holds.filter(folder__owner=user)
        | holds.filter(file__in=ids.values("pk"))
        | holds.filter(folder__in=ids.values("folder"))
        | holds.filter(user__in=ids.values("uploaded_by"))
        | holds.filter(user__personal_folder__in=ids.values("folder"))
    )
    return either.select_related("folder", "file", "user").distinct()
