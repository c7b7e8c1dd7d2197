"""Sign-up, the proof of an address, and the change of one."""

from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.log import record
from audit.models import Action
from config.errors import Invalid
from config.throttling import is_used_up

from . import mail, passwords, tokens
from .addresses import clean_email, clean_name
from .models import Role, User
from .models.roles import CLIENT
from .notifications import notify


def sign_up(*, email, password, name):
    """Make an inactive client and mail the link that activates it. Returns that link, for EXPOSE_VERIFICATION_LINK.

    An address that is taken gets a mail that says so, and the caller learns nothing: the answer, the
    work and the shape of the link are the same. Signing up again before the address was proved
    replaces name and password and makes earlier links stale, so nobody's password but that of
    the mailed sign-up is ever activated. Raises WeakPassword (400).
    """
    email, name = clean_email(email), clean_name(name)
    passwords.check_new(password, user=User(email=email, name=name))
    hashed = make_password(password)
    try:
        return _sign_up(email=email, hashed=hashed, name=name)
    except IntegrityError:
        # Somebody signed this address up in the same moment; now it is simply taken.
        return _sign_up(email=email, hashed=hashed, name=name)


@transaction.atomic
def _sign_up(*, email, hashed, name):
    user = User.objects.select_for_update(no_key=True).filter(email=email).first()
    if user is not None and (user.is_verified or user.is_active or user.is_invited):
        record(Action.SIGNUP, email=email, taken=True)
        # An invitation is accepted by its own link, or a stranger's password would come by what was meant for them.
        _post_unasked("invitation" if user.is_invited else "account_exists", to=email, user=user)
        # Made of a user who is not there: it looks like a link and opens nothing.
        return mail.link_for(User(email=email, password=hashed), "verify_email")
    if user is None:
        user = User(email=email, is_active=False)
    user.name, user.password = name, hashed
    user.save()
    user.groups.set([Role.objects.get(name=CLIENT)])
    record(Action.SIGNUP, user=user)
    _post_unasked("verify_email", to=email, user=user)
    return mail.link_for(user, "verify_email")


def _post_unasked(template, *, to, user):
    """Post a letter that anybody can make us write to this mailbox: so many and no more, whoever asks."""
    if not is_used_up("unasked_letters", to):
        mail.post(template, to=to, user_id=str(user.pk))


@transaction.atomic
def verify_email(*, token):
    """Activate the account a mailed token speaks of. Returns the User.

    Raises LinkBad (400), LinkExpired or LinkUsed (410).
    """
    user = tokens.read_link_token(token, tokens.VERIFY, users=User.objects.select_for_update(no_key=True))
    user.email_verified_at, user.is_active = timezone.now(), True
    user.save(update_fields=["email_verified_at", "is_active", "updated_at"])
    record(Action.EMAIL_VERIFIED, user=user)
    return user


@transaction.atomic
def request_email_change(*, user, email):
    """Mail a link to a new address of `user`; until it is opened the old one stays.

    Whether another account has the address shows only to the owner of that mailbox.
    Raises Invalid (400) for the address they have already.
    """
    email = clean_email(email)
    if email == user.email:
        raise Invalid("email", _("This is your address already."))
    User.objects.filter(pk=user.pk).update(pending_email=email, updated_at=timezone.now())
    user.pending_email = email
    taken = User.objects.filter(email=email).exclude(pk=user.pk).first()
    _post_unasked("change_email" if taken is None else "account_exists", to=email, user=taken or user)
    # Whoever sits at a borrowed keyboard is not the last to read this: a new password makes the new link stale.
    notify(user, "security_changed", what="email_change_asked")


@transaction.atomic
def confirm_email_change(*, token):
    """Make the pending address the user's own; the old one is told. Returns the User.

    Raises LinkBad (400), LinkExpired or LinkUsed (410), also when the address was taken meanwhile.
    """
    user = tokens.read_link_token(token, tokens.CHANGE_EMAIL, users=User.objects.select_for_update(no_key=True))
    old, user.email, user.pending_email = user.email, user.pending_email, ""
    if not user.email or User.objects.filter(email=user.email).exclude(pk=user.pk).exists():
        raise tokens.LinkUsed
    try:
        with transaction.atomic():
            user.save(update_fields=["email", "pending_email", "updated_at"])
    except IntegrityError:
        raise tokens.LinkUsed from None
    record(Action.EMAIL_CHANGED, user=user, old_email=old)
    notify(user, "security_changed", what="email_changed")
    mail.post("email_changed", to=old, user_id=str(user.pk))
    return user
