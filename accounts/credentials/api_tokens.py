"""Personal API tokens: a script acts for a user without knowing their password.

A token is 256 random bits. The database stores its SHA-256; the user sees the token itself once. A token works while
its owner may log in, until it expires or is revoked.

A password reset by mail and switching the account off revoke all tokens, because a stranger may have used the account.
An ordinary change of the password keeps them, so that the user's scheduled scripts go on.
"""

import contextlib
import hashlib
import re
import secrets
from datetime import timedelta

from django.db import OperationalError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.addresses import clean_name
from accounts.contributions.actions import Action
from accounts.models import ApiToken, User
from accounts.notices.notifications import notify
from accounts.scopes import SCOPES, Scope
from audit.log import record
from config import context
from config.access import get_visible
from config.errors import Conflict, Invalid
from config.prepared import Prepared

MAX_LIVE = 50
MAX_DAYS = 366
PREFIX = "pat_"
SHAPE = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
SHOWN_CHARACTERS = 12
# How exact `last_used_at` is. A write for each request would cost more than the request.
USE_INTERVAL = timedelta(minutes=1)
KEPT_AFTER_END = timedelta(days=30)
LIVE = Prepared(
    lambda token_hash, now: (
        ApiToken.objects.live(now)
        .filter(token_hash=token_hash, user__is_active=True)
        .select_related("user__company")
        .order_by()
    ),
    token_hash=ApiToken._meta.get_field("token_hash"),
    now=ApiToken._meta.get_field("expires_at"),
)


def _hash(raw):
    return hashlib.sha256(raw.encode()).hexdigest()


@transaction.atomic
def create(*, user, name, scopes, expires_at):
    """Make a token of `user`. Returns (ApiToken, the token itself); the token itself cannot be read again.

    `expires_at` is an aware datetime within MAX_DAYS. Raises Invalid (400), or Conflict (409) when the user has
    MAX_LIVE live tokens. The lock on the user makes two requests at once count one after the other.
    """
    owner = User.objects.select_for_update(of=("self",), no_key=True).get(pk=user.pk)
    name, scopes = clean_name(name), _clean_scopes(owner, scopes)
    now = timezone.now()
    if not now < expires_at <= now + timedelta(days=MAX_DAYS):
        raise Invalid(
            "expires_at", _("A token expires within %(days)d days, and not in the past.") % {"days": MAX_DAYS}
        )
    if ApiToken.objects.live().filter(user=owner).count() >= MAX_LIVE:
        text = _("You have %(most)d tokens. Revoke one you no longer need.") % {"most": MAX_LIVE}
        raise Conflict(text, code="too_many_tokens")
    raw = PREFIX + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        user=owner,
        name=name,
        token_hash=_hash(raw),
        prefix=raw[:SHOWN_CHARACTERS],
        scopes=scopes,
        expires_at=expires_at,
    )
    record(Action.API_TOKEN_CREATED, user=owner, target=token, scopes=scopes, expires_at=expires_at)
    notify(owner, "security_changed", what="api_token_created", name=name)
    return token, raw


def _clean_scopes(user, scopes):
    chosen = set(scopes)
    unknown = sorted(chosen - set(SCOPES))
    if unknown:
        raise Invalid("scopes", _("There is no scope %(name)s.") % {"name": unknown[0][:60]})
    if not chosen:
        raise Invalid("scopes", _("Choose at least one thing the token is for."))
    if Scope.ADMIN in chosen and not user.is_superuser:
        raise Invalid("scopes", _("Only a super can give a token the scope admin."))
    return [scope for scope in SCOPES if scope in chosen]


@transaction.atomic
def revoke(*, user, token_id):
    """Revoke a token of `user`. Returns it. Raises Http404 for another user's token and for a revoked one."""
    return _revoke(user, token_id, ApiToken.objects.of(user), owner_id=user.pk)


@transaction.atomic
def end(*, by, token_id):
    """Revoke a token that `by` may end: their own, or for a super any. Returns it. Raises Http404 for any other."""
    token = get_visible(token_id, ApiToken.objects.endable_by(by))
    return _revoke(by, token_id, ApiToken.objects.endable_by(by), owner_id=token.user_id)


def _revoke(by, token_id, tokens, *, owner_id):
    # Lock the user first, then the token: revoke_all runs in this order too, and another order could deadlock.
    User.objects.select_for_update(no_key=True).get(pk=owner_id)
    token = get_visible(token_id, tokens.select_for_update(of=("self",)))
    token.revoked_at = timezone.now()
    token.save(update_fields=["revoked_at"])
    record(Action.API_TOKEN_REVOKED, user=by, target=token)
    notify(token.user, "security_changed", what="api_token_revoked", name=token.name)
    return token


def revoke_all(user, *, by=None):
    """Revoke every token of `user` in the caller's transaction: after a password reset, or when an account is switched
    off or closed.

    Notify the user when one of the tokens had not expired. `by` is the super who acted; None when it was the user.
    """
    tokens = list(ApiToken.objects.filter(user=user, revoked_at=None).order_by("pk").select_for_update(of=("self",)))
    for token in tokens:
        token.revoked_at = timezone.now()
        token.save(update_fields=["revoked_at"])
        record(Action.API_TOKEN_REVOKED, user=by or user, target=token, all=True)
    if any(token.expires_at > timezone.now() for token in tokens):
        notify(user, "security_changed", what="api_tokens_revoked")


def looks_like_one(raw):
    """True for a text that begins like an API token."""
    return raw.startswith(PREFIX)


def identify(raw):
    """The live ApiToken of the text `raw`, with its owner and their company joined; None for any other text."""
    if not SHAPE.fullmatch(raw):
        return None
    # No constant-time comparison: the time of the look-up tells an attacker nothing about 256 random bits.
    return LIVE.first(token_hash=_hash(raw), now=timezone.now())


def note_use(token):
    """Store when and from where `token` was used, at most once in USE_INTERVAL; of requests at once, one writes."""
    now = timezone.now()
    if token.last_used_at is not None and token.last_used_at > now - USE_INTERVAL:
        return
    stale = Q(last_used_at=None) | Q(last_used_at__lte=now - USE_INTERVAL)
    # Ignore a failed write: with a full disk or a read-only database, scripts must still be able to read.
    with contextlib.suppress(OperationalError):
        ApiToken.objects.filter(stale, pk=token.pk).update(
            last_used_at=now, last_used_address=context.current().address
        )


def forget_ended():
    """Delete tokens that expired or were revoked more than KEPT_AFTER_END ago. Returns how many."""
    then = timezone.now() - KEPT_AFTER_END
    return ApiToken.objects.filter(Q(expires_at__lt=then) | Q(revoked_at__lt=then)).delete()[0]
