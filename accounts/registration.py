"""Sign-up, the proof of an address, and the change of one."""

from contextlib import suppress
from datetime import timedelta

from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
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

UNCONFIRMED_DAYS = 30


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
    taken = user is not None and not user.is_unconfirmed
    # Without a letter nothing changes: whoever signs somebody up again and again must not make their link stale.
    may_write = not is_used_up("unasked_letters", email)
    if taken or not may_write:
        record(Action.SIGNUP, email=email, taken=taken, mailed=may_write)
        if may_write:
            # An invitation is accepted by its own link, or a stranger's password would come by what was meant for them.
            mail.post("invitation" if user.is_invited else "account_exists", to=email, user_id=str(user.pk))
        # Made of a user who is not there: it looks like a link and opens nothing.
        return mail.link_for(User(email=email, password=hashed), "verify_email")
    if user is None:
        user = User(email=email, is_active=False)
    user.name, user.password = name, hashed
    user.save()
    user.groups.set([Role.objects.get(name=CLIENT)])
    record(Action.SIGNUP, user=user)
    mail.post("verify_email", to=email, user_id=str(user.pk))
    return mail.link_for(user, "verify_email")


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
    record(Action.PROFILE_CHANGED, user=user, target=user, changed=["pending_email"])
    taken = User.objects.holding(email).exclude(pk=user.pk).first()
    # Anybody can make us write to this mailbox: so many letters and no more.
    if not is_used_up("unasked_letters", email):
        mail.post("account_exists" if taken else "change_email", to=email, user_id=str((taken or user).pk))
    # Whoever sits at a borrowed keyboard is not the last to read this: a new password makes the new link stale.
    notify(user, "security_changed", what="email_change_asked")


@transaction.atomic
def confirm_email_change(*, token):
    """Make the pending address the user's own; the old one is told. Returns the User.

    Raises LinkBad (400), LinkExpired or LinkUsed (410), also when the address was taken meanwhile.
    """
    user = tokens.read_link_token(token, tokens.CHANGE_EMAIL, users=User.objects.select_for_update(no_key=True))
    old, user.email, user.pending_email = user.email, user.pending_email, ""
    if User.objects.holding(user.email).exclude(pk=user.pk).exists():
        raise tokens.LinkUsed
    try:
        with transaction.atomic():
            # Whoever signed up with it and never proved it has no right to it.
            User.objects.unconfirmed().filter(email=user.email).exclude(pk=user.pk).delete()
            user.save(update_fields=["email", "pending_email", "updated_at"])
    except IntegrityError:
        raise tokens.LinkUsed from None
    record(Action.EMAIL_CHANGED, user=user, old_email=old)
    notify(user, "security_changed", what="email_changed")
    mail.post("email_changed", to=old, user_id=str(user.pk))
    return user


def forget_unconfirmed():
    """Delete the sign-ups that nobody confirmed in UNCONFIRMED_DAYS: their links are long over. Returns how many."""
    then, count = timezone.now() - timedelta(days=UNCONFIRMED_DAYS), 0
    for user in User.objects.unconfirmed().filter(updated_at__lt=then)[:1000]:
        # Held, or named by something else that stays: it stays as well.
        with suppress(ProtectedError), transaction.atomic():
            if User.objects.unconfirmed().select_for_update(no_key=True).filter(pk=user.pk).exists():
                record(Action.ACCOUNT_ERASED, target=user, reason="never confirmed")
                user.delete()
                count += 1
    return count
