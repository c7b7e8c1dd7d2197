"""Accounts that a super makes for others: the mailed link proves the address and sets the password."""

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.log import record
from audit.models import Action
from config.access import get_visible
from config.errors import Conflict, Refused

from . import mail, passwords, tokens
from .addresses import clean_email, clean_name
from .models import User
from .models.roles import SUPER
from .privacy import Vetoed, vetoes
from .roles import assert_super, company_of, roles_named


class AddressTaken(Refused):
    """409 under `email`: an account of this address is there."""

    def __init__(self):
        text = _("There is an account with this address already.")
        super().__init__(409, "email_taken", text, errors={"email": [text]})


class NotInvited(Conflict):
    """409: the account is no invitation that waits to be accepted."""

    def __init__(self):
        super().__init__(_("This account does not wait for its invitation to be accepted."), code="not_invited")


@transaction.atomic
def invite(*, by, email, name, roles=(), company_id=None):
    """Make an account without a password that cannot be used yet, and mail its owner a link. Returns the User.

    A sign-up with this address that nobody has confirmed becomes the invited account. `roles` are names. Raises
    PermissionDenied unless `by` is a super, Invalid (400), AddressTaken (409).
    """
    assert_super(by)
    email, name = clean_email(email), clean_name(name)
    user = User.objects.select_for_update(no_key=True).filter(email=email).first() or User(email=email)
    if not user._state.adding and not user.is_unconfirmed:
        raise AddressTaken
    company, found = company_of(company_id), roles_named(roles)
    is_super = SUPER in roles
    user.name, user.company, user.is_active = name, company, False
    user.is_superuser = user.is_staff = is_super
    user.set_unusable_password()
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError:
        raise AddressTaken from None
    user.groups.set(found)
    after = {"roles": sorted(roles), "company": str(user.company_id or ""), "is_active": False}
    record(Action.USER_CHANGED, user=by, target=user, invited=True, after=after)
    mail.post("invitation", to=email, user_id=str(user.pk))
    return user


def _invited(user_id):
    user = get_visible(user_id, User.objects.select_for_update(no_key=True))
    if not user.is_invited:
        raise NotInvited
    return user


@transaction.atomic
def invite_again(*, by, user_id):
    """Mail a fresh link to somebody invited; earlier ones are good no longer. Returns the User.

    Raises PermissionDenied unless `by` is a super, Http404, NotInvited (409).
    """
    assert_super(by)
    user = _invited(user_id)
    user.set_unusable_password()
    user.save(update_fields=["password", "updated_at"])
    record(Action.USER_CHANGED, user=by, target=user, invited=True)
    mail.post("invitation", to=user.email, user_id=str(user.pk))
    return user


@transaction.atomic
def withdraw(*, by, user_id):
    """Delete an account whose invitation was not accepted.

    Raises PermissionDenied unless `by` is a super, Http404, NotInvited or Vetoed (409).
    """
    assert_super(by)
    # Before any row is locked.
    reasons = vetoes(get_visible(user_id, User.objects.all()))
    user = _invited(user_id)
    if reasons:
        raise Vetoed(reasons)
    # Grants point here from an app above this one; the reverse relation asks without importing it.
    grants = [str(grant) for grant in user.folder_permissions.all()]
    record(Action.USER_CHANGED, user=by, target=user, withdrawn=True, grants=grants)
    user.delete()


@transaction.atomic
def accept(*, token, new_password):
    """Set the password of the account a mailed token speaks of, and open the account. Returns the User.

    Raises LinkBad (400), LinkExpired or LinkUsed (410), WeakPassword (400, which spends nothing).
    """
    user = tokens.read_link_token(token, tokens.INVITE, users=User.objects.select_for_update(no_key=True))
    passwords.check_new(new_password, user=user, field="new_password")
    user.set_password(new_password)
    user.email_verified_at, user.is_active = timezone.now(), True
    user.save(update_fields=["password", "email_verified_at", "is_active", "updated_at"])
    record(Action.EMAIL_VERIFIED, user=user, invited=True)
    return user
