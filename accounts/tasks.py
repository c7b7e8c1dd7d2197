"""Background doors to the operations of this app. Each may run twice, or be killed and run again."""

from celery import shared_task
from django.utils import timezone

from . import mail
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
def forget_expired():
    """Remove refresh tokens past their time and letters long sent."""
    RefreshToken.objects.filter(expires_at__lt=timezone.now()).delete()
    mail.forget_sent()
