"""Links in e-mails, which prove that a user reads the mailbox.

A link's token is signed, dated and holds a digest of the account's state. Using the link changes that state, so it
works once. The database stores no tokens.
"""

from django.conf import settings
from django.core import signing
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext as _

from accounts.models import User
from config.errors import Refused


class LinkBad(Refused):
    """400: the link is not one of ours."""

    def __init__(self):
        super().__init__(400, "token_invalid", _("This link is not valid. Copy it whole, or ask for a new one."))


class LinkExpired(Refused):
    """410: the link has expired."""

    def __init__(self):
        super().__init__(410, "token_expired", _("This link has expired. Ask for a new one."))


class LinkUsed(Refused):
    """410: the link was used, or something else changed the state of the account, such as a newer link."""

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
    """A digest of the fields that using the link changes. Afterwards the token does not match any more."""
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
    """True when a link for `purpose` may work for `user` as they are now.

    Otherwise a user whom a super switched off, or who closed the account, could come back by an old e-mail.
    """
    if purpose == VERIFY:
        return not user.is_active and not user.is_verified and user.closed_at is None
    if purpose == INVITE:
        return user.is_invited
    return user.is_active and (purpose != CHANGE_EMAIL or bool(user.pending_email))


def mailbox_of(user, purpose):
    """The address that a link for `purpose` is mailed to."""
    return user.pending_email if purpose == CHANGE_EMAIL else user.email


def make_link_token(user, purpose):
    """A signed token that proves that its user reads the mailbox of `user`. It works once, only for `purpose`."""
    return signing.dumps({"u": str(user.pk), "s": _account_state(user, purpose)}, salt=f"accounts.{purpose}")


def read_link_token(token, purpose, *, users=None):
    """The user of a mailed token, from the queryset `users`, which may lock the row.

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
