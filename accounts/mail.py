"""The outbox: a letter is a row in the caller's transaction, sent after the commit, tried again until it goes.

Letters are templates/mail/<letter>.subject.txt, .txt and .html. Links that let somebody in are made
when the letter is sent, so that no token lies in the database and their time starts with the mail.
"""

import logging
from datetime import timedelta
from urllib.parse import urlencode

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.db.models import F
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation

from config.queue import send_after_commit

from . import preferences, tokens
from .models import OutgoingMail, User

logger = logging.getLogger(__name__)

# A letter that a day of trying (28 hours) could not deliver is given up; the row stays and says so.
MAX_TRIES = 16
# After so many in a row the mail server is taken to be away: each further letter could cost EMAIL_TIMEOUT.
FAILURES_IN_A_ROW = 3
LINK_PAGES = {
    "verify_email": (tokens.VERIFY, "verify-email"),
    "reset_password": (tokens.RESET, "reset-password"),
    "change_email": (tokens.CHANGE_EMAIL, "change-email"),
    "invitation": (tokens.INVITE, "invitation"),
}
# Letters that come unasked: nobody gets them who is switched off, and each says how to stop them.
NOTICE_LETTERS = ("notice", "digest")


_more_context = {}


class NotYet(Exception):
    """Raised by a function of `context_for`: the letter's reason may come back, so its turn comes again."""


def context_for(letter, function):
    """Let an app add to the context of the letters of a kind, when they are sent.

    `function` gets what was stored and returns more, or None when the letter's reason is gone for good: then it is
    dropped. While it raises NotYet the letter waits, for as long as it takes.
    """
    _more_context[letter] = function


def link_for(user, letter):
    """The absolute URL a letter of this kind bears for `user`, made now."""
    purpose, page = LINK_PAGES[letter]
    query = urlencode({"token": tokens.make_link_token(user, purpose)})
    return f"{settings.SITE_URL}{reverse(page)}?{query}"


def post(letter, *, to, language=None, **context):
    """Put a letter in the outbox; it is sent once this transaction commits.

    It is in `language`, that of the present request without one, unless its reader has chosen another.

    One whose `user_id` names nobody is written like any other and quietly dropped when its turn
    comes, so that a request takes the same course whether or not an address has an account.
    """
    language = language or translation.get_language() or settings.LANGUAGE_CODE
    mail = OutgoingMail.objects.create(letter=letter, to=to, language=language, context=context)
    send_after_commit("accounts.tasks.send_mail", mail_id=str(mail.pk))
    return mail


def send(mail_id):
    """Send one letter that is due. Returns True when it went now."""
    return _try(mail_id) is True


def _try(mail_id):
    """True when the letter went now, False when it did not go, None when it is not due or not yet to be written.

    The row is claimed by one conditional UPDATE that also sets the next try, so two workers never
    send it both, and one killed in between leaves it to be tried again.
    """
    claimed = (
        OutgoingMail.objects.due()
        .filter(pk=mail_id)
        .update(tries=F("tries") + 1, next_try_at=timezone.now() + timedelta(minutes=5))
    )
    if not claimed:
        return None
    mail = OutgoingMail.objects.get(pk=mail_id)
    try:
        message = _message(mail)
    except NotYet:
        # Its next try is set; this one was none.
        OutgoingMail.objects.filter(pk=mail.pk).update(tries=F("tries") - 1)
        return None
    except Exception:  # a fault of ours: the letter waits until it is mended, and whoever mends it has to see where
        _put_off(mail)
        logger.exception("Mail %s (%s) could not be written, try %d", mail.pk, mail.letter, mail.tries)
        return False
    try:
        if message is not None:
            message.send()
    except Exception as error:  # noqa: BLE001 - whatever a mail provider raises, the letter waits for its next try
        _put_off(mail)
        logger.warning("Mail %s (%s) did not go, try %d: %s", mail.pk, mail.letter, mail.tries, type(error).__name__)
        return False
    OutgoingMail.objects.filter(pk=mail.pk).update(sent_at=timezone.now())
    return True


def _put_off(mail):
    """Have the letter wait longer after each try, and give it up after the last."""
    wait = timedelta(seconds=min(3600 * 4, 15 * 2**mail.tries))
    given_up = timezone.now() if mail.tries >= MAX_TRIES else None
    OutgoingMail.objects.filter(pk=mail.pk).update(next_try_at=timezone.now() + wait, failed_at=given_up)
    if given_up:
        logger.error("Mail %s (%s) is given up after %d tries", mail.pk, mail.letter, mail.tries)


def send_waiting():
    """Send the letters that are due, oldest first. Returns how many went.

    Ends early when the mail server seems to be away: what runs in turn with this is not to wait for each letter's
    time-out, and the schedule comes again.
    """
    waiting = OutgoingMail.objects.due().order_by("next_try_at").values_list("pk", flat=True)[:500]
    went = failures = 0
    for pk in list(waiting):
        done = _try(pk)
        went += done is True
        failures = failures + 1 if done is False else 0
        if failures == FAILURES_IN_A_ROW:
            break
    return went


def _message(mail):
    """The message of a letter, or None when its reason is gone: the account, or what its link would open."""
    context = dict(mail.context, site_name=settings.SITE_NAME, site_url=settings.SITE_URL)
    if "user_id" in context:
        user = User.objects.filter(pk=context["user_id"]).first()
        if user is None:
            return None
        context["user"] = user
        if mail.letter in LINK_PAGES:
            purpose, _page = LINK_PAGES[mail.letter]
            # Made now, a link proves the mailbox it goes to: another one has to be asked for since.
            if not tokens.may_open(user, purpose) or tokens.mailbox_of(user, purpose) != mail.to:
                return None
            context["link"] = link_for(user, mail.letter)
        if mail.letter in NOTICE_LETTERS:
            if not user.is_active:
                return None
            context |= preferences.letter_context(user, mail.context)
    if mail.letter in _more_context:
        more = _more_context[mail.letter](mail.context)
        if more is None:
            return None
        context |= more
    # Whoever has chosen a language is written to in it, whoever's request it was.
    chosen = context["user"].language if "user" in context else ""
    with translation.override(chosen or mail.language):
        subject, text, html = (
            render_to_string(f"mail/{mail.letter}{ending}", context) for ending in (".subject.txt", ".txt", ".html")
        )
    headers = preferences.letter_headers(context)
    message = EmailMultiAlternatives(" ".join(subject.split()), text, to=[mail.to], headers=headers)
    message.attach_alternative(html, "text/html")
    return message


def forget_sent(*, older_than=timedelta(days=30)):
    """Delete letters that went, or were given up, longer ago than that."""
    with transaction.atomic():
        return (
            OutgoingMail.objects.filter(created_at__lt=timezone.now() - older_than)
            .exclude(sent_at=None, failed_at=None)
            .delete()[0]
        )
