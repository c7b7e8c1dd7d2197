"""Invitations: a super makes an account. By the mailed link the user proves the address and sets a password."""

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.addresses import clean_email, clean_name
from accounts.contributions.actions import Action
from accounts.credentials import passwords
from accounts.keepers import Vetoed, in_order, vetoes
from accounts.models import User
from accounts.models.roles import SUPER
from accounts.notices import mail, mailed_links
from audit.log import record
from config.access import get_visible
from config.errors import Conflict, Refused

from . import joining
from .roles import assert_super, company_of, roles_named


class AddressTaken(Refused):
    """409 under `email`: there is an account with this address."""

    def __init__(self):
        text = _("There is an account with this address already.")
        super().__init__(409, "email_taken", text, errors={"email": [text]})


class NotInvited(Conflict):
    """409: the account is not waiting for its invitation to be accepted."""

    def __init__(self):
        super().__init__(_("This account does not wait for its invitation to be accepted."), code="not_invited")


@transaction.atomic
def invite(*, by, email, name, roles=(), company_id=None):
    """Make an inactive account without a password, and mail its owner a link. Returns the User.

    An unconfirmed sign-up with this address becomes the invited account. `roles` are names. Raises PermissionDenied
    unless `by` is a super, SignupClosed (403), Invalid (400), AddressTaken (409).
    """
    assert_super(by)
    joining.assert_invitations()
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
    """Mail a new link to an invited user; earlier links stop working. Returns the User.

    Raises PermissionDenied unless `by` is a super, SignupClosed (403), Http404, NotInvited (409).
    """
    assert_super(by)
    joining.assert_invitations()
    user = _invited(user_id)
    user.set_unusable_password()
    user.save(update_fields=["password", "updated_at"])
    record(Action.USER_CHANGED, user=by, target=user, invited=True)
    mail.post("invitation", to=user.email, user_id=str(user.pk))
    return user


@transaction.atomic
def withdraw(*, by, user_id):
    """Withdraw an invitation that was not accepted: delete its account.

    Raises PermissionDenied unless `by` is a super, Http404, NotInvited or Vetoed (409).
    """
    assert_super(by)
    # Ask before locking any row, as keepers.vetoes demands.
    reasons = vetoes(get_visible(user_id, User.objects.all()))
    user = _invited(user_id)
    if reasons:
        raise Vetoed(reasons)
    lost = {name: value for keeper in in_order() for name, value in keeper.withdrawn(user).items()}
    record(Action.USER_CHANGED, user=by, target=user, withdrawn=True, **lost)
    user.delete()


@transaction.atomic
def accept(*, token, new_password):
    """Accept the invitation of a mailed token: set the password and activate the account. Returns the User.

    Raises SignupClosed (403), LinkBad (400), LinkExpired or LinkUsed (410), or WeakPassword (400). After the first and
    the last the link still works.
    """
    joining.assert_invitations()
    user = mailed_links.read_link_token(token, mailed_links.INVITE, users=User.objects.select_for_update(no_key=True))
    passwords.check_new(new_password, user=user, field="new_password")
    user.set_password(new_password)
    user.email_verified_at, user.is_active = timezone.now(), True
    user.save(update_fields=["password", "email_verified_at", "is_active", "updated_at"])
    record(Action.EMAIL_VERIFIED, user=user, invited=True)
    return user
