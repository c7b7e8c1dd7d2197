"""Tokens that sign people in or prove a mailbox. Nothing here is stored raw.

Access: a JWT (RFC 7519) of fifteen minutes that also bears a digest of the user's session state and the family
it came with, so a new password or the end of that log-in ends it at once. Refresh: a JWT whose hash is a row;
used once, then replaced (RFC 9700 §4.14). Mailed links: signed, dated statements about the state of the
account, so that using one makes it stale.
"""

import hashlib
import uuid

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.db.models import Exists
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext as _
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken
from rest_framework_simplejwt.tokens import RefreshToken as RefreshJWT

from audit.log import record
from audit.models import Action
from config import context
from config.errors import Refused

from .models import RefreshToken, User

STATE_CLAIM = "state"
FAMILY_CLAIM = "family"


class TokenInvalid(Refused):
    """401: not a token of ours, or one that has expired or was revoked."""

    def __init__(self):
        super().__init__(401, "token_invalid", _("The refresh token is not valid or has expired."))


class TokenReused(Refused):
    """401: a refresh token was shown a second time; its family has ended.

    `owner` is the User whose family this very use ended, None when it had ended before.
    """

    def __init__(self, owner=None):
        self.owner = owner
        super().__init__(401, "token_reused", _("This refresh token was used before; sign in again."))


def _hash(raw):
    return hashlib.sha256(raw.encode()).hexdigest()


def _session_state(user):
    return user.get_session_auth_hash()[:32]


def access_for(user, *, family=None):
    """A signed access JWT of `user`, good for ACCESS_TOKEN_LIFETIME or until its refresh family ends."""
    token = AccessToken.for_user(user)
    token[STATE_CLAIM] = _session_state(user)
    if family is not None:
        token[FAMILY_CLAIM] = str(family)
    return str(token)


def still_logged_in(users, token):
    """Those of `users` whose log-in, the one an access `token` came with, has not ended."""
    family = token.get(FAMILY_CLAIM)
    if family is None:
        return users
    return users.filter(Exists(RefreshToken.objects.filter(family=family, revoked_at=None)))


def speaks_for(user, token):
    """True while the password behind an access or refresh `token` is still the user's."""
    return constant_time_compare(str(token.get(STATE_CLAIM, "")), _session_state(user))


def _issue(user, *, family, orig_iat):
    """(row, raw refresh token); the row is not saved."""
    now = timezone.now()
    expires_at = min(now + settings.REFRESH_TOKEN_LIFETIME, orig_iat + settings.REFRESH_FAMILY_LIFETIME)
    asked = context.current()
    row = RefreshToken(
        family=family,
        user=user,
        expires_at=expires_at,
        orig_iat=orig_iat,
        address=asked.address,
        user_agent=asked.user_agent,
    )
    token = RefreshJWT()
    token["jti"] = str(row.jti)
    token[settings.SIMPLE_JWT["USER_ID_CLAIM"]] = str(user.pk)
    # A log-in that was proved under a password which is gone by now must not outlive it.
    token[STATE_CLAIM] = _session_state(user)
    token.set_exp(from_time=now, lifetime=expires_at - now)
    raw = str(token)
    row.token_hash = _hash(raw)
    return row, raw


def open_family(user):
    """Begin a refresh family for a log-in just proved: {"access", "refresh"}."""
    row, raw = _issue(user, family=uuid.uuid4(), orig_iat=timezone.now())
    row.save(force_insert=True)
    return {"access": access_for(user, family=row.family), "refresh": raw}


def _locked(raw):
    """(user, row, token) of a refresh token whose signature and expiry hold, both rows locked; raises TokenInvalid.

    The user is locked first, as by a password reset: whoever needs both takes them in this order.
    """
    try:
        token = RefreshJWT(raw)
        found = RefreshToken.objects.get(jti=uuid.UUID(str(token["jti"])))
        user = User.objects.select_for_update(no_key=True).get(pk=found.user_id)
        row = RefreshToken.objects.select_for_update().get(pk=found.pk)
    except (TokenError, KeyError, ValueError, RefreshToken.DoesNotExist, User.DoesNotExist):
        raise TokenInvalid from None
    if not constant_time_compare(row.token_hash, _hash(raw)):
        raise TokenInvalid
    return user, row, token


def rotate(*, refresh):
    """Trade a refresh token for {"access", "refresh"}; the old one is spent.

    Of two that come at once one wins; the other, like every later use, ends the whole family. Scripts come by
    sign_in.refresh_script, which tells the owner. Raises TokenInvalid or TokenReused (401).
    """
    owner = None
    with transaction.atomic():
        user, row, token = _locked(refresh)
        if row.replaced_by_id is not None:
            if _end(RefreshToken.objects.filter(family=row.family)):
                record(Action.TOKEN_REUSED, user=user, family=str(row.family))
                owner = user
        elif not user.is_active or row.revoked_at or row.expires_at <= timezone.now() or not speaks_for(user, token):
            raise TokenInvalid
        else:
            successor, raw = _issue(user, family=row.family, orig_iat=row.orig_iat)
            successor.save(force_insert=True)
            row.replaced_by = successor
            row.save(update_fields=["replaced_by"])
            return {"access": access_for(user, family=row.family), "refresh": raw}
    # Raised outside, so that the end of the family is committed.
    raise TokenReused(owner)


@transaction.atomic
def close_family(*, refresh):
    """Log a script out: its refresh family ends. A token that is no good ends nothing and says nothing."""
    try:
        user, row, _token = _locked(refresh)
    except TokenInvalid:
        return
    if _end(RefreshToken.objects.filter(family=row.family)):
        record(Action.LOGOUT, user=user)


def close_all_families(user):
    """End every refresh family of `user` (new password, account switched off)."""
    _end(RefreshToken.objects.filter(user=user))


def close_one(user, family):
    """End one refresh family of `user`. Returns whether it was alive."""
    return bool(_end(RefreshToken.objects.filter(user=user, family=family)))


def _end(tokens):
    return tokens.filter(revoked_at=None).update(revoked_at=timezone.now())


# --- Mailed links -----------------------------------------------------------------------------------


class LinkBad(Refused):
    """400: not a link of ours."""

    def __init__(self):
        super().__init__(400, "token_invalid", _("This link is not valid. Copy it whole, or ask for a new one."))


class LinkExpired(Refused):
    """410: its time is over."""

    def __init__(self):
        super().__init__(410, "token_expired", _("This link has expired. Ask for a new one."))


class LinkUsed(Refused):
    """410: it did its work already, or a newer one took its place."""

    def __init__(self):
        super().__init__(410, "token_used", _("This link has been used, or a newer one has taken its place."))


VERIFY, RESET, CHANGE_EMAIL, INVITE = "verify-email", "reset-password", "change-email", "invitation"
LIFETIMES = {
    VERIFY: settings.VERIFICATION_LINK_LIFETIME,
    RESET: settings.RESET_LINK_LIFETIME,
    CHANGE_EMAIL: settings.VERIFICATION_LINK_LIFETIME,
    INVITE: settings.INVITATION_LINK_LIFETIME,
}


def _account_state(user, purpose):
    """A digest of what using the link changes: afterwards the link no longer fits."""
    facts = {
        VERIFY: [user.email, user.password, user.email_verified_at],
        RESET: [user.email, user.password, user.is_active],
        CHANGE_EMAIL: [user.email, user.pending_email, user.password, user.is_active],
        INVITE: [user.email, user.password, user.email_verified_at, user.closed_at],
    }[purpose]
    return salted_hmac(f"accounts.{purpose}", repr([str(user.pk), *map(str, facts)]), algorithm="sha256").hexdigest()[
        :32
    ]


def may_open(user, purpose):
    """Whether a link for `purpose` has anything to open for `user` as they are now: nobody whom a super switched off,
    or who closed the account, comes back by an old letter."""
    if purpose == VERIFY:
        return not user.is_active and not user.is_verified and user.closed_at is None
    if purpose == INVITE:
        return user.is_invited
    return user.is_active and (purpose != CHANGE_EMAIL or bool(user.pending_email))


def mailbox_of(user, purpose):
    """The address whose owner a link for `purpose` speaks to."""
    return user.pending_email if purpose == CHANGE_EMAIL else user.email


def make_link_token(user, purpose):
    """A signed statement that its bearer reads the mailbox of `user`; good once, for `purpose` alone."""
    return signing.dumps({"u": str(user.pk), "s": _account_state(user, purpose)}, salt=f"accounts.{purpose}")


def read_link_token(token, purpose, *, users=None):
    """The user a mailed token speaks of (from `users`, which may lock the row).

    Raises LinkBad (400), LinkExpired or LinkUsed (410).
    """
    try:
        facts = signing.loads(str(token)[:2000], salt=f"accounts.{purpose}", max_age=LIFETIMES[purpose])
        user = (users if users is not None else User.objects.all()).get(pk=facts["u"])
    except signing.SignatureExpired:
        raise LinkExpired from None
    except (signing.BadSignature, User.DoesNotExist, KeyError, TypeError, ValueError):
        raise LinkBad from None
    if not may_open(user, purpose) or not constant_time_compare(facts["s"], _account_state(user, purpose)):
        raise LinkUsed
    return user
