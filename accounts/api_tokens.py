"""Personal API tokens: how a script speaks for a person without their password.

A token is 256 random bits; its SHA-256 is a row, the token itself is shown once. It counts while its owner
may log in, until it expires or is revoked. A new password by mail and an account switched off revoke all of
them, for then somebody else may have had their hands on the account; an ordinary change of the password
leaves them alone, as changing a lock on one's own day must not stop the night's jobs.
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

from audit.log import record
from audit.models import Action
from config import context
from config.access import get_visible
from config.errors import Conflict, Invalid

from .addresses import clean_name
from .models import ApiToken, Scope, User
from .notifications import notify

MAX_LIVE = 50
MAX_DAYS = 366
PREFIX = "pat_"
SHAPE = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
SHOWN_CHARACTERS = 12
# Often enough to see that a token is in use; a write for each request would cost more than the request.
USE_INTERVAL = timedelta(minutes=1)
KEPT_AFTER_END = timedelta(days=30)


def _hash(raw):
    return hashlib.sha256(raw.encode()).hexdigest()


@transaction.atomic
def create(*, user, name, scopes, expires_at):
    """Make a token of `user`. Returns (ApiToken, the token itself), which nobody can ask for again.

    `expires_at` is an aware datetime within MAX_DAYS. Raises Invalid (400), or Conflict (409) for more than
    MAX_LIVE that count; two at once are counted one after the other.
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
    unknown = sorted(chosen - set(Scope.values))
    if unknown:
        raise Invalid("scopes", _("There is no scope %(name)s.") % {"name": unknown[0][:60]})
    if not chosen:
        raise Invalid("scopes", _("Choose at least one thing the token is for."))
    if Scope.ADMIN in chosen and not user.is_superuser:
        raise Invalid("scopes", _("Only a super can give a token the scope admin."))
    return [scope for scope in Scope.values if scope in chosen]


@transaction.atomic
def revoke(*, user, token_id):
    """End a token of `user` at once. Returns it. Raises Http404 for anybody else's, and for one revoked before."""
    return _revoke(user, token_id, ApiToken.objects.of(user), owner_id=user.pk)


@transaction.atomic
def end(*, by, token_id):
    """End a token that `by` may end, a super anybody's, at once. Returns it. Raises Http404 for any other."""
    token = get_visible(token_id, ApiToken.objects.endable_by(by))
    return _revoke(by, token_id, ApiToken.objects.endable_by(by), owner_id=token.user_id)


def _revoke(by, token_id, tokens, *, owner_id):
    # The user before their tokens, as whoever ends all of them takes the two.
    User.objects.select_for_update(no_key=True).get(pk=owner_id)
    token = get_visible(token_id, tokens.select_for_update(of=("self",)))
    token.revoked_at = timezone.now()
    token.save(update_fields=["revoked_at"])
    record(Action.API_TOKEN_REVOKED, user=by, target=token)
    notify(token.user, "security_changed", what="api_token_revoked", name=token.name)
    return token


def revoke_all(user, *, by=None):
    """End every token of `user` in the caller's transaction (password reset by mail, account off or closed), and
    tell them when there were any. `by` is who did what ends them; None for themselves."""
    tokens = list(ApiToken.objects.filter(user=user, revoked_at=None).order_by("pk").select_for_update(of=("self",)))
    for token in tokens:
        token.revoked_at = timezone.now()
        token.save(update_fields=["revoked_at"])
        record(Action.API_TOKEN_REVOKED, user=by or user, target=token, all=True)
    if any(token.expires_at > timezone.now() for token in tokens):
        notify(user, "security_changed", what="api_tokens_revoked")


def looks_like_one(raw):
    """True for a text that could only be meant as an API token."""
    return raw.startswith(PREFIX)


def identify(raw):
    """The ApiToken that counts and is `raw`, its owner and their company joined; None for any other text."""
    if not SHAPE.fullmatch(raw):
        return None
    # Looking up the hash of 256 random bits tells a guesser nothing by its time.
    tokens = ApiToken.objects.live().select_related("user__company")
    return tokens.filter(token_hash=_hash(raw), user__is_active=True).first()


def note_use(token):
    """Keep when and from where `token` was last used, at most once in USE_INTERVAL; racing requests write once."""
    now = timezone.now()
    if token.last_used_at is not None and token.last_used_at > now - USE_INTERVAL:
        return
    stale = Q(last_used_at=None) | Q(last_used_at__lte=now - USE_INTERVAL)
    # A disk that is full or a database gone read-only must not stop a script from reading.
    with contextlib.suppress(OperationalError):
        ApiToken.objects.filter(stale, pk=token.pk).update(
            last_used_at=now, last_used_address=context.current().address
        )


def forget_ended():
    """Delete tokens that were revoked, or expired, long enough ago that nobody wonders. Returns how many."""
    then = timezone.now() - KEPT_AFTER_END
    return ApiToken.objects.filter(Q(expires_at__lt=then) | Q(revoked_at__lt=then)).delete()[0]
