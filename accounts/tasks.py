"""Background doors to the operations of this app. Each may run twice, or be killed and run again."""

from celery import shared_task
from django.utils import timezone

from . import api_tokens, digests, lockout, mail, privacy, proofs, registration, second_factor, sessions
from .models import RefreshToken


@shared_task
def send_mail(*, mail_id):
    """Send one letter of the outbox now."""
    mail.send(mail_id)


@shared_task
def send_waiting_mail():
    """Send whatever the outbox holds that is due: what a broker lost, or a mail server refused."""
    return mail.send_waiting()


@shared_task
def send_digests():
    """Write the daily letters whose hour has come."""
    return digests.send_all()


@shared_task
def tell_of_lock(*, user_id):
    """Tell the owner of an account, if there is one, that it was locked."""
    lockout.tell_owner(user_id=user_id)


@shared_task
def forget_expired():
    """Remove sessions and refresh tokens past their time, API tokens long ended, sign-ups never confirmed and letters
    long sent; seal anew what an older key sealed."""
    RefreshToken.objects.filter(expires_at__lt=timezone.now()).delete()
    api_tokens.forget_ended()
    sessions.SessionStore.clear_expired()
    proofs.forget_expired()
    second_factor.keep_readable()
    registration.forget_unconfirmed()
    mail.forget_sent()


@shared_task
def erase_closed_accounts():
    """Erase what is personal of the accounts closed longer ago than ACCOUNT_CLOSURE_DAYS."""
    return privacy.erase_closed()
