"""The rights of a user to their data: a copy of it, and its erasure.

When the owner closes an account, log-ins, tokens and links stop working at once. A super can open the account again for
ACCOUNT_CLOSURE_DAYS. Then a worker erases the personal data, in steps: each may be killed, run twice, or run by two
workers at once. A Keeper's veto, such as a legal hold, postpones the erasure. The audit log keeps the e-mail address,
as the law demands.

When a person asks by letter, a super makes the copy or erases the account for them.
"""

import json
import logging
from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.contributions.actions import Action
from accounts.credentials import api_tokens, passwords, sessions
from accounts.keepers import Vetoed, in_order, unless_vetoed, vetoes
from accounts.models import OutgoingMail, User
from accounts.notices import mail
from accounts.people.log_reasons import clean_reason
from accounts.people.roles import assert_super
from audit.log import record
from config.access import get_visible
from config.errors import Conflict, Invalid
from config.outside.queue import send_after_commit

logger = logging.getLogger(__name__)

BATCH = 1000
FORMAT = "portal-export-1"


# --- A copy -----------------------------------------------------------------------------------------


def export(*, user, password):
    """All data stored about `user`, as blocks of one JSON document. It needs the same memory for a long document.

    It records the copy in the audit log before the first block. Raises Invalid (400) for a wrong password.
    """
    passwords.prove(user, password)
    record(Action.DATA_EXPORTED, user=user)
    return _blocks(user)


def export_for(*, by, user_id, reason):
    """The same copy, made by a super for a person who asked. `reason` says how they asked and proved who they are.

    Raises PermissionDenied unless `by` is a super, Http404, Invalid (400) without a reason, or Conflict (409) for an
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
    for keeper in in_order():
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
    # UTF-8 cannot encode a lone surrogate (half of a character); write its JSON escape instead.
    yield text.encode("utf-8", "backslashreplace")


def newest_first(rows, *, time_field):
    """Yield the rows of a queryset, newest first, BATCH a query, so that no cursor stays open while a client reads."""
    rows = rows.order_by(f"-{time_field}", "-pk")
    batch = list(rows[:BATCH])
    while batch:
        yield from batch
        at, pk = getattr(batch[-1], time_field), batch[-1].pk
        # The first condition bounds the index range; the second only breaks ties at its edge.
        older = rows.filter(**{f"{time_field}__lte": at}).filter(Q(**{f"{time_field}__lt": at}) | Q(pk__lt=pk))
        batch = list(older[:BATCH]) if len(batch) == BATCH else []


def archives_of(user):
    """The Archives of the user's own files, one for each app that has one."""
    return [archive for keeper in in_order() if (archive := keeper.archive(user)) is not None]


# --- The end ----------------------------------------------------------------------------------------


@transaction.atomic
def close_account(*, user, password, email):
    """Close the account of `user`, who asks for it; end every session, refresh family and API token. Returns the User.

    The user types `email` to confirm. Raises Invalid (400) for another address or a wrong password, or Conflict (409)
    for the last active super and for a closed account.
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
    # Lock the supers first and in a fixed order, as roles.change_user does. Otherwise two supers could close their
    # accounts at once, each seeing the other as the one who stays.
    rows = User.objects.select_for_update(of=("self",), no_key=True)
    supers = list(rows.filter(is_superuser=True).order_by("pk"))
    user = get_visible(user_id, rows)
    return user, [other for other in supers if other.pk != user.pk]


def _close(user, other_supers, *, closed_at, by=None):
    if user.is_active and user.is_superuser and not any(other.is_active for other in other_supers):
        raise Conflict(_("Somebody active has to stay super. Make somebody else super first."), code="last_super")
    user.closed_at, user.is_active, user.pending_email = closed_at, False, ""
    # Sessions hold a digest of the password, so they stay invalid even if a super opens the account again.
    user.set_unusable_password()
    user.save(update_fields=["closed_at", "is_active", "pending_email", "password", "updated_at"])
    sessions.end_all(user)
    api_tokens.revoke_all(user, by=by)
    for keeper in in_order():
        keeper.close(user)


@transaction.atomic
def erase_now(*, by, user_id, reason):
    """Erase an account, closed or not, without days of grace, for a person who asked a super. Returns the User.

    It closes the account now. A worker erases the personal data after the commit, or in the next nightly run. `reason`
    says how the person asked and proved who they are.

    Raises PermissionDenied unless `by` is a super, Http404, or Invalid (400) without a reason. Raises Conflict (409)
    for an erased account, the last active super, or a veto (legal_hold), whose reasons it names. After an error
    nothing has changed.
    """
    assert_super(by)
    reason = clean_reason(reason)
    # Ask before locking any row, as keepers.vetoes demands.
    reasons = vetoes(get_visible(user_id, User.objects.all()))
    user, others = _locked(user_id)
    _assert_not_erased(user)
    if reasons:
        raise Vetoed(reasons)
    # Close it in the past, so that it is due now. If the erasure is interrupted, the nightly run continues it.
    _close(user, others, closed_at=timezone.now() - timedelta(days=settings.ACCOUNT_CLOSURE_DAYS), by=by)
    record(Action.ACCOUNT_CLOSED, user=by, target=user, reason=reason, on_behalf=True)
    send_after_commit("accounts.tasks.erase_closed_accounts")
    return user


def erase_rows(user, rows):
    """Delete the rows of a queryset for an erasure, BATCH at a time. Raises Vetoed as soon as a keeper forbids it."""
    pks = None
    while pks is None or len(pks) == BATCH:
        with unless_vetoed(user):
            pks = list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH])
            rows.model._base_manager.filter(pk__in=pks).delete()


def erased_on(user):
    """When the personal data of a closed account are due to be erased."""
    return user.closed_at + timedelta(days=settings.ACCOUNT_CLOSURE_DAYS)


@transaction.atomic
def reopen_account(*, by, user_id):
    """Open a closed account again within its days of grace. Returns the User, who has to choose a new password.

    Raises PermissionDenied unless `by` is a super, Http404, or Conflict (409) for an account that is not closed or
    whose days are over: its data may be erased already.
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
    """Erase the accounts whose days of grace are over. If one fails, go on with the others. Returns how many."""
    count = 0
    for user in newest_first(_due(), time_field="closed_at"):
        try:
            count += erase(user)
        except Exception:
            logger.exception("The closed account %s could not be erased; the next run goes on", user.pk)
    return count


def erase(user):
    """Erase the personal data of a closed account whose days of grace are over. Returns True when it was finished now.

    If it is killed, the next run continues: the account is marked as erased only at the end. Before each batch it asks
    the keepers. If one forbids it, for example by a legal hold placed just now, a later run continues.
    """
    try:
        return all(keeper.erase(user) for keeper in in_order()) and _erase_account(user)
    except Vetoed as veto:
        logger.info("The closed account %s is not erased now: %d reasons", user.pk, len(veto.reasons))
        return False


def _erase_account(user):
    with unless_vetoed(user):
        user = _due().select_for_update(of=("self",), no_key=True).filter(pk=user.pk).first()
        if user is None:
            return False
        OutgoingMail.objects.filter(to=user.email).delete()
        # Django admin's list of recent changes names the changed user; remove the name.
        LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(User), object_id=str(user.pk)).update(
            object_repr="Closed account", change_message=""
        )
        if user.avatar:
            # Delete the file before forgetting its name. If the store fails, the next run tries again.
            user.avatar.storage.delete(user.avatar.name)
        # Free the address, so that its owner can sign up again. No mail reaches a domain `.invalid`.
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
