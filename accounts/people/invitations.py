"""Invitations: a super makes an account. By the mailed link the user proves the address and sets a password."""

from django.db import IntegrityError, transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts.addresses import clean_email, clean_name
from accounts.contributions.actions import Action
from accounts.credentials import passwords
from accounts.keepers import Vetoed, in_order, vetoes
from accounts.models import User
from accounts.models.roles import SUPER
from accounts.notices import mail, mailed_links
from audit.log import record, record_many
from config.access import get_visible
from config.errors import Conflict, Refused

from . import joining
from .roles import assert_super, company_of, roles_named


class AddressTaken(Refused):
    """409 under `email`: there are accounts with these `addresses`."""

    def __init__(self, addresses):
        text = _("There is an account with this address already.")
        super().__init__(409, "email_taken", text, errors={"email": [text]})
        self.addresses = addresses


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
    people = {clean_email(email): clean_name(name)}
    (user,) = make_invited(by=by, people=people, roles=roles, company=company_of(company_id))
    return user


def make_invited(*, by, people, roles=(), company=None):
    """invite without the check of rights, for many, in the caller's transaction. Returns the Users.

    `people` is {address: name}, both clean. The number of queries does not grow with it. Raises SignupClosed (403),
    Invalid (400) for a role, and AddressTaken (409) with all the addresses that have accounts; then nobody is invited.
    """
    joining.assert_invitations()
    found = roles_named(roles)
    # Lock in a fixed order, so that two lists with the same addresses wait for each other and do not deadlock.
    there = User.objects.filter(email__in=people).order_by("pk").select_for_update(no_key=True)
    known = {user.email: user for user in there}
    if taken := [email for email, user in known.items() if not user.is_unconfirmed]:
        raise AddressTaken(taken)
    users = [known.get(email) or User(email=email) for email in people]
    for user in users:
        user.name, user.company, user.is_active = people[user.email], company, False
        user.is_superuser = user.is_staff = SUPER in roles
        user.updated_at = timezone.now()
        user.set_unusable_password()
    try:
        with transaction.atomic():
            User.objects.bulk_create([user for user in users if user._state.adding])
    except IntegrityError:
        raise AddressTaken(list(User.objects.filter(email__in=people).values_list("email", flat=True))) from None
    User.objects.bulk_update(known.values(), _INVITED_FIELDS)
    member = User.groups.through
    member.objects.filter(user__in=known.values()).delete()
    member.objects.bulk_create(member(user=user, group_id=role.pk) for user in users for role in found)
    after = {"roles": sorted(roles), "company": str(company.pk) if company else "", "is_active": False}
    record_many(Action.USER_CHANGED, user=by, targets=[(user, None, None) for user in users], invited=True, after=after)
    language = translation.get_language()
    mail.post_many("invitation", [(user.email, language, {"user_id": str(user.pk)}) for user in users])
    return users


_INVITED_FIELDS = ["name", "company", "is_active", "is_superuser", "is_staff", "password", "updated_at"]


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
    return invite_once_more(by=by, user_id=user_id)


def invite_once_more(*, by, user_id):
    """invite_again without the check of rights, in the caller's transaction."""
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
    take_back(by=by, user_id=user_id)


def take_back(*, by, user_id):
    """withdraw without the check of rights, in the caller's transaction, which has locked no row yet."""
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
