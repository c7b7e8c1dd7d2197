"""What a person has a right to: a copy of what is kept of them, and its end.

Each app tells what it keeps by registering a Keeper, so that this module need not look up.

An account is closed by its owner at once: nobody logs in, nothing made in its name opens. A super can bring
it back for ACCOUNT_CLOSURE_DAYS; then what is personal is erased, in steps that may be killed, run twice or by
two. A Keeper's veto, such as a legal hold, lets it wait. The audit log keeps its copies of the address, as the law
asks of it. For a person who asks by letter, a super does both.
"""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.log import record
from audit.models import Action
from config.access import get_visible
from config.errors import Conflict, Invalid
from config.queue import send_after_commit

from . import api_tokens, mail, passwords, sessions
from .models import OutgoingMail, User
from .reasons import clean_reason
from .roles import assert_super

logger = logging.getLogger(__name__)

BATCH = 1000
FORMAT = "portal-export-1"


@dataclass(frozen=True)
class Keeper:
    """What one app keeps of people.

    `sections` {name: function(user)} gives the copy: a JSON value, or an iterator whose rows are sent one by
    one. `close(user)` is called in the transaction that closes an account. `veto(user)` is a list of sentences,
    for supers, on why nothing of the account may be erased now; inside a transaction its answer holds until the end.
    `erase(user)` removes what is personal, each batch within `unless_vetoed`, and returns False when something had to
    stay for the next run. `archive(user)` is an Archive of the person's own files, or None.
    """

    name: str
    sections: dict = field(default_factory=dict)
    close: Callable = lambda user: None
    veto: Callable = lambda user: []
    erase: Callable = lambda user: True
    archive: Callable = lambda user: None


@dataclass(frozen=True)
class Archive:
    """A person's own files: where a POST gets all of them as one ZIP, "" when they are too many for one."""

    url: str
    count: int


_keepers = {}


class Vetoed(Conflict):
    """409: something forbids to erase the account now; `reasons` are a keeper's sentences."""

    def __init__(self, reasons):
        super().__init__(" ".join([_("This account cannot be erased now."), *reasons]), code="legal_hold")
        self.reasons = reasons


def register(keeper):
    """Make an app's Keeper known; a later one of the same name takes its place."""
    _keepers[keeper.name] = keeper


def _in_order():
    """Apps are made ready in an order of their own; people come first."""
    return [_keepers[name] for name in sorted(_keepers)]


# --- A copy -----------------------------------------------------------------------------------------


def export(*, user, password):
    """All that is kept of `user`, as the blocks of one JSON document; memory does not grow with its length.

    Raises Invalid (400) for a wrong password. The copy is recorded before the first block.
    """
    passwords.prove(user, password)
    record(Action.DATA_EXPORTED, user=user)
    return _blocks(user)


def export_for(*, by, user_id, reason):
    """The same copy for a person who asked a super for it. `reason` says how they asked and were known.

    Raises PermissionDenied for anybody but a super, Http404, Invalid (400) for no reason, Conflict (409) for an
    erased account.
    """
    assert_super(by)
    reason = clean_reason(reason)
    user = get_visible(user_id, User.objects.all())
    _assert_not_erased(user)
    record(Action.DATA_EXPORTED, user=by, target=user, reason=reason, on_behalf=True)
    return _blocks(user)


def _assert_not_erased(user):
    if user.erased_at is not None:
        raise Conflict(_("Of this account nothing is left."), code="account_erased")


def _blocks(user):
    head = {"format": FORMAT, "portal": settings.SITE_URL, "exported_at": timezone.now()}
    yield from _bytes("{\n" + _json(head)[1:-1])
    for keeper in _in_order():
        for name, function in keeper.sections.items():
            yield from _bytes(f",\n{_json(name)}: ")
            yield from _value(function(user))
    yield b"\n}\n"


def _value(value):
    if not isinstance(value, Iterator):
        yield from _bytes(_json(value))
        return
    separator = "[\n"
    for row in value:
        yield from _bytes(separator + _json(row))
        separator = ",\n"
    yield b"[]" if separator == "[\n" else b"\n]"


def _json(value):
    return json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False)


def _bytes(text):
    # Half a character, which no UTF-8 can carry, becomes the escape that JSON has for it.
    yield text.encode("utf-8", "backslashreplace")


def newest_first(rows, *, time_field):
    """Yield the rows of a queryset, newest first, some at a time: no cursor stays open while a client reads."""
    rows = rows.order_by(f"-{time_field}", "-pk")
    batch = list(rows[:BATCH])
    while batch:
        yield from batch
        at, pk = getattr(batch[-1], time_field), batch[-1].pk
        # The first condition bounds the index range; the second only breaks ties at its edge.
        older = rows.filter(**{f"{time_field}__lte": at}).filter(Q(**{f"{time_field}__lt": at}) | Q(pk__lt=pk))
        batch = list(older[:BATCH]) if len(batch) == BATCH else []


def archives_of(user):
    """The Archives of a person's own files, app by app."""
    return [archive for keeper in _in_order() if (archive := keeper.archive(user)) is not None]


# --- The end ----------------------------------------------------------------------------------------


@transaction.atomic
def close_account(*, user, password, email):
    """Close one's own account: every log-in, refresh family and API token ends. Returns the User.

    `email` is typed by hand, to be sure. Raises Invalid (400) for another address or a wrong password,
    Conflict (409) for the last active super, and for an account that is closed.
    """
    user, others = _locked(user.pk)
    if user.closed_at is not None:
        raise Conflict(_("This account is closed."), code="account_closed")
    if email.strip().lower() != user.email:
        raise Invalid("email", _("This is not the address of your account."))
    passwords.prove(user, password)
    _close(user, others, closed_at=timezone.now())
    record(Action.ACCOUNT_CLOSED, user=user, target=user)
    mail.post("account_closed", to=user.email, user_id=str(user.pk), erased_on=erased_on(user).date().isoformat())
    return user


def _locked(user_id):
    """(the User's row, the other supers), locked until the transaction ends. Raises Http404."""
    # As by roles.change_user, first the supers and in one order, so that two cannot both be the last but one.
    rows = User.objects.select_for_update(of=("self",), no_key=True)
    supers = list(rows.filter(is_superuser=True).order_by("pk"))
    user = get_visible(user_id, rows)
    return user, [other for other in supers if other.pk != user.pk]


def _close(user, other_supers, *, closed_at, by=None):
    if user.is_active and user.is_superuser and not any(other.is_active for other in other_supers):
        raise Conflict(_("Somebody active has to stay super. Make somebody else super first."), code="last_super")
    user.closed_at, user.is_active, user.pending_email = closed_at, False, ""
    # Sessions bear a digest of the password: they stay dead even if the account is opened again.
    user.set_unusable_password()
    user.save(update_fields=["closed_at", "is_active", "pending_email", "password", "updated_at"])
    sessions.end_all(user)
    api_tokens.revoke_all(user, by=by)
    for keeper in _in_order():
        keeper.close(user)


@transaction.atomic
def erase_now(*, by, user_id, reason):
    """Erase the account of a person who asked a super for it, closed or not, without days of grace. Returns the User.

    It is closed here and now; what is personal goes by the queue after the commit, or with the next night's run.
    `reason` says how they asked and were known. Raises PermissionDenied for anybody but a super, Http404, Invalid
    (400) for no reason, Conflict (409) for an erased account, the last active super, or a veto (legal_hold), which
    it tells: then nothing has changed.
    """
    assert_super(by)
    reason = clean_reason(reason)
    # Before any row is locked.
    reasons = vetoes(get_visible(user_id, User.objects.all()))
    user, others = _locked(user_id)
    _assert_not_erased(user)
    if reasons:
        raise Vetoed(reasons)
    # Due at once, so that whatever interrupts the erasure, the schedule goes on with it.
    _close(user, others, closed_at=timezone.now() - timedelta(days=settings.ACCOUNT_CLOSURE_DAYS), by=by)
    record(Action.ACCOUNT_CLOSED, user=by, target=user, reason=reason, on_behalf=True)
    send_after_commit("accounts.tasks.erase_closed_accounts")
    return user


def vetoes(user):
    """Sentences, for supers, on why the account cannot be erased now; none when it can.

    Asked before any row is locked, its answer holds until the end of the transaction.
    """
    return [reason for keeper in _in_order() for reason in keeper.veto(user)]


@contextmanager
def unless_vetoed(user):
    """A transaction in which nothing forbids to erase the account, nor can begin to. Raises Vetoed."""
    with transaction.atomic():
        if reasons := vetoes(user):
            raise Vetoed(reasons)
        yield


def erase_rows(user, rows):
    """Delete the rows of a queryset for an erasure, BATCH at a time. Raises Vetoed as soon as something forbids it."""
    pks = None
    while pks is None or len(pks) == BATCH:
        with unless_vetoed(user):
            pks = list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH])
            rows.model._base_manager.filter(pk__in=pks).delete()


def erased_on(user):
    """When a closed account's personal data go."""
    return user.closed_at + timedelta(days=settings.ACCOUNT_CLOSURE_DAYS)


@transaction.atomic
def reopen_account(*, by, user_id):
    """Bring a closed account back within its days of grace. Returns the User, who has to choose a new password.

    Raises PermissionDenied for anybody but a super, Http404, Conflict (409) for an account that is not closed
    or whose days are over: then nothing may be left of it.
    """
    assert_super(by)
    user = get_visible(user_id, User.objects.select_for_update(of=("self",), no_key=True))
    if user.closed_at is None:
        raise Conflict(_("This account is not closed."), code="not_closed")
    if user.erased_at is not None or erased_on(user) <= timezone.now():
        raise Conflict(_("The days of grace of this account are over."), code="account_erased")
    user.closed_at, user.is_active = None, True
    user.save(update_fields=["closed_at", "is_active", "updated_at"])
    record(Action.USER_CHANGED, user=by, target=user, reopened=True)
    mail.post("account_reopened", to=user.email, user_id=str(user.pk))
    return user


def _due():
    then = timezone.now() - timedelta(days=settings.ACCOUNT_CLOSURE_DAYS)
    return User.objects.filter(closed_at__lte=then, erased_at=None)


def erase_closed():
    """Erase the accounts whose days of grace are over; one that fails costs the others nothing. Returns how many."""
    count = 0
    for user in newest_first(_due(), time_field="closed_at"):
        try:
            count += erase(user)
        except Exception:
            logger.exception("The closed account %s could not be erased; the next run goes on", user.pk)
    return count


def erase(user):
    """Erase what is personal of a closed account whose days are over. Returns True when it was done now.

    Killed anywhere, the next run goes on: what is gone is gone, and the account counts as erased last of all. Before
    each batch the keepers are asked: what one forbids, a hold that was placed just now too, waits for a later run.
    """
    try:
        return all(keeper.erase(user) for keeper in _in_order()) and _erase_account(user)
    except Vetoed as veto:
        logger.info("The closed account %s is not erased now: %d reasons", user.pk, len(veto.reasons))
        return False


def _erase_account(user):
    with unless_vetoed(user):
        user = _due().select_for_update(of=("self",), no_key=True).filter(pk=user.pk).first()
        if user is None:
            return False
        OutgoingMail.objects.filter(to=user.email).delete()
        # The administration's own list of recent changes names whoever was changed.
        LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(User), object_id=str(user.pk)).update(
            object_repr="Closed account", change_message=""
        )
        if user.avatar:
            # Before its name is forgotten: a store that is away makes this wait for the next run.
            user.avatar.storage.delete(user.avatar.name)
        # Free for its owner to sign up with again; `.invalid` takes no mail.
        user.email, user.name = f"closed-{user.pk}@invalid", "Closed account"
        user.bio = user.avatar = user.language = user.pending_email = ""
        user.company = user.last_login = None
        user.is_staff = user.is_superuser = False
        user.erased_at = timezone.now()
        user.save()
        user.groups.clear()
        user.user_permissions.clear()
        record(Action.ACCOUNT_ERASED, target=user)
    return True
