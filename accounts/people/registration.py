"""Sign up, confirm an e-mail address, and change it."""

from contextlib import suppress
from datetime import timedelta

from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.addresses import clean_email, clean_name
from accounts.contributions.actions import Action
from accounts.credentials import passwords
from accounts.models import Role, User
from accounts.models.roles import CLIENT
from accounts.notices import mail, mailed_links
from accounts.notices.notifications import notify
from audit.log import record
from config.errors import Invalid
from config.http.throttling import is_used_up

from . import joining

UNCONFIRMED_DAYS = 30


def sign_up(*, email, password, name):
    """Make an inactive client and mail the link that activates it. Returns that link, for EXPOSE_VERIFICATION_LINK.

    When the address is taken, its owner gets an e-mail that says so. The caller cannot tell: the answer, the work and
    the shape of the link are the same.

    A second sign-up before the address is proved replaces name and password and makes earlier links stale. So a link
    only ever activates the password of the sign-up that it was mailed for.

    Raises SignupClosed (403), WeakPassword (400).
    """
    joining.assert_open()
    email, name = clean_email(email), clean_name(name)
    passwords.check_new(password, user=User(email=email, name=name))
    hashed = make_password(password)
    try:
        return _sign_up(email=email, hashed=hashed, name=name)
    except IntegrityError:
        # Another request signed this address up at the same moment. Try again: now it finds that account.
        return _sign_up(email=email, hashed=hashed, name=name)


@transaction.atomic
def _sign_up(*, email, hashed, name):
    user = User.objects.select_for_update(no_key=True).filter(email=email).first()
    taken = user is not None and not user.is_unconfirmed
    # Keep the old link valid when no mail is sent. Otherwise repeated sign-ups with a stranger's address would make
    # every link of theirs stale.
    may_write = not is_used_up("unasked_letters", email)
    if taken or not may_write:
        record(Action.SIGNUP, email=email, taken=taken, mailed=may_write)
        if may_write:
            # Mail an invited user the invitation again, not a link for this sign-up: its password may be a stranger's.
            mail.post("invitation" if user.is_invited else "account_exists", to=email, user_id=str(user.pk))
        # Return a link of the same shape for a user that is not stored: it never works.
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
    """Activate the account of a mailed token. Returns the User.

    Raises LinkBad (400), LinkExpired or LinkUsed (410), SignupClosed (403) when sign-up was closed meanwhile.
    """
    joining.assert_open()
    user = mailed_links.read_link_token(token, mailed_links.VERIFY, users=User.objects.select_for_update(no_key=True))
    user.email_verified_at, user.is_active = timezone.now(), True
    user.save(update_fields=["email_verified_at", "is_active", "updated_at"])
    record(Action.EMAIL_VERIFIED, user=user)
    return user


@transaction.atomic
def request_email_change(*, user, email):
    """Mail a link to the new address of `user`; the old address stays until that link is opened.

    When another account has the address, only the owner of that mailbox learns it. Raises Invalid (400) for the
    present address of `user`.
    """
    email = clean_email(email)
    if email == user.email:
        raise Invalid("email", _("This is your address already."))
    User.objects.filter(pk=user.pk).update(pending_email=email, updated_at=timezone.now())
    user.pending_email = email
    record(Action.PROFILE_CHANGED, user=user, target=user, changed=["pending_email"])
    taken = User.objects.holding(email).exclude(pk=user.pk).first()
    # Every user can make us send mail to this mailbox, so limit the e-mails.
    if not is_used_up("unasked_letters", email):
        mail.post("account_exists" if taken else "change_email", to=email, user_id=str((taken or user).pk))
    # Tell the owner, in case a stranger uses their open browser: a new password makes the link stale.
    notify(user, "security_changed", what="email_change_asked")


@transaction.atomic
def confirm_email_change(*, token):
    """Make the pending address the user's address, and tell the old address by mail. Returns the User.

    Raises LinkBad (400), LinkExpired or LinkUsed (410), also when the address was taken meanwhile.
    """
    user = mailed_links.read_link_token(
        token, mailed_links.CHANGE_EMAIL, users=User.objects.select_for_update(no_key=True)
    )
    old, user.email, user.pending_email = user.email, user.pending_email, ""
    if User.objects.holding(user.email).exclude(pk=user.pk).exists():
        raise mailed_links.LinkUsed
    try:
        with transaction.atomic():
            # Delete a sign-up that never proved this address: it has no right to it.
            User.objects.unconfirmed().filter(email=user.email).exclude(pk=user.pk).delete()
            user.save(update_fields=["email", "pending_email", "updated_at"])
    except IntegrityError:
        raise mailed_links.LinkUsed from None
    record(Action.EMAIL_CHANGED, user=user, old_email=old)
    notify(user, "security_changed", what="email_changed")
    mail.post("email_changed", to=old, user_id=str(user.pk))
    return user


def forget_unconfirmed():
    """Delete the sign-ups not confirmed within UNCONFIRMED_DAYS; their links expired long ago. Returns how many."""
    then, count = timezone.now() - timedelta(days=UNCONFIRMED_DAYS), 0
    for user in User.objects.unconfirmed().filter(updated_at__lt=then)[:1000]:
        # Keep a sign-up that a protected row, such as a legal hold, refers to.
        with suppress(ProtectedError), transaction.atomic():
            if User.objects.unconfirmed().select_for_update(no_key=True).filter(pk=user.pk).exists():
                record(Action.ACCOUNT_ERASED, target=user, reason="never confirmed")
                user.delete()
                count += 1
    return count
