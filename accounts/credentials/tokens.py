"""Tokens of scripts that are signed in. The database stores no token itself.

An access token is a JWT (RFC 7519) of fifteen minutes. It also names its refresh family and holds a digest of the
user's password state, so a new password or the end of that log-in ends it at once.

A refresh token is a JWT; the database stores its hash. It works once and is then replaced (RFC 9700 §4.14). All
refresh tokens of one log-in are a family.
"""

import hashlib
import uuid

from django.conf import settings
from django.db import transaction
from django.db.models import Exists
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext as _
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken
from rest_framework_simplejwt.tokens import RefreshToken as RefreshJWT

from accounts.contributions.actions import Action
from accounts.models import RefreshToken, User
from audit.log import record
from config import context
from config.errors import Refused

STATE_CLAIM = "state"
FAMILY_CLAIM = "family"


class TokenInvalid(Refused):
    """401: the token is not one of ours, has expired or was revoked."""

    def __init__(self):
        super().__init__(401, "token_invalid", _("The refresh token is not valid or has expired."))


class TokenReused(Refused):
    """401: a refresh token was used a second time, and its family has ended.

    `owner` is the User whose family this use ended; None when the family had ended before.
    """

    def __init__(self, owner=None):
        self.owner = owner
        super().__init__(401, "token_reused", _("This refresh token was used before; sign in again."))


def _hash(raw):
    return hashlib.sha256(raw.encode()).hexdigest()


def _session_state(user):
    return user.get_session_auth_hash()[:32]


def access_for(user, *, family=None):
    """A signed access JWT of `user`. It works for ACCESS_TOKEN_LIFETIME, or until its refresh family ends."""
    token = AccessToken.for_user(user)
    token[STATE_CLAIM] = _session_state(user)
    if family is not None:
        token[FAMILY_CLAIM] = str(family)
    return str(token)


def family_of(token):
    """The refresh family of an access `token`; None for a token that has none."""
    return token.get(FAMILY_CLAIM)


def still_logged_in(users, family):
    """Filter `users`: return none when the refresh `family` has ended."""
    return users.filter(Exists(RefreshToken.objects.filter(family=family, revoked_at=None)))


def speaks_for(user, token):
    """True unless the user changed the password after the access or refresh `token` was issued."""
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
    # Bind the token to the present password. Otherwise the log-in would go on after the password changed.
    token[STATE_CLAIM] = _session_state(user)
    token.set_exp(from_time=now, lifetime=expires_at - now)
    raw = str(token)
    row.token_hash = _hash(raw)
    return row, raw


def open_family(user):
    """Begin a refresh family; the caller has just checked the user's credentials. Returns {"access", "refresh"}."""
    row, raw = _issue(user, family=uuid.uuid4(), orig_iat=timezone.now())
    row.save(force_insert=True)
    return {"access": access_for(user, family=row.family), "refresh": raw}


def _locked(raw):
    """(user, row, token) of a refresh token with a valid signature and expiry, both rows locked. Raises TokenInvalid.

    It locks the user first and the token second, as a password reset does. Another order could deadlock.
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
    """Exchange a refresh token for {"access", "refresh"}; the old token no longer works.

    Of two requests at once, one succeeds. The other ends the whole family, as every later use of the old token does.
    The API calls sign_in.refresh_script, which also notifies the owner. Raises TokenInvalid or TokenReused (401).
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
    # Raise after the transaction. Inside it, the error would roll back the end of the family.
    raise TokenReused(owner)


@transaction.atomic
def close_family(*, refresh):
    """Log a script out: end its refresh family. With an invalid token, do nothing and raise nothing."""
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
    """End one refresh family of `user`. Returns True when it was live."""
    return bool(_end(RefreshToken.objects.filter(user=user, family=family)))


def _end(tokens):
    return tokens.filter(revoked_at=None).update(revoked_at=timezone.now())
