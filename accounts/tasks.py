"""Background tasks of this app. Each may run twice, or be killed and run again, without harm."""

from celery import shared_task
from django.utils import timezone

from .credentials import api_tokens, lockout, sessions
from .models import RefreshToken
from .notices import digests, mail
from .people import registration
from .privacy import subject_rights
from .second_factors import factors, proofs


@shared_task
def send_mail(*, mail_id):
    """Send one e-mail of the outbox now."""
    mail.send(mail_id)


@shared_task
def send_waiting_mail():
    """Send the e-mails of the outbox that are due: the broker lost their task, or the mail server refused them."""
    return mail.send_waiting()


@shared_task
def send_digests():
    """Write the daily digests whose hour has come."""
    return digests.send_all()


@shared_task
def tell_of_lock(*, user_id):
    """Notify the owner of an account that it was locked; do nothing without such an account."""
    lockout.tell_owner(user_id=user_id)


@shared_task
def forget_expired():
    """Delete expired sessions and refresh tokens, API tokens that ended long ago, unconfirmed sign-ups and old mail.

    Also encrypt again, with the newest key, the secrets that an older key encrypted.
    """
    RefreshToken.objects.filter(expires_at__lt=timezone.now()).delete()
    api_tokens.forget_ended()
    sessions.SessionStore.clear_expired()
    proofs.forget_expired()
    factors.keep_readable()
    registration.forget_unconfirmed()
    mail.forget_sent()


@shared_task
def erase_closed_accounts():
    """Erase the personal data of the accounts that were closed more than ACCOUNT_CLOSURE_DAYS ago."""
    return subject_rights.erase_closed()
