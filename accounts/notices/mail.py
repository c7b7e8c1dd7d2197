"""The outbox. An e-mail ("letter") is a row in the caller's transaction. A worker sends it after the commit.

If sending fails, a worker tries again. Links with a token are made when the e-mail is sent, so that the database holds
no token, and its lifetime starts then.
"""

import logging
from datetime import timedelta
from urllib.parse import urlencode

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.urls import reverse
from django.utils import timezone, translation

from accounts.models import OutgoingMail, User
from config.contributions.registry import Registry
from config.http.site_path import absolute
from config.outside.queue import send_after_commit

from . import letters, mailed_links, preferences

logger = logging.getLogger(__name__)

# After so many tries, in about 28 hours, an e-mail is given up. The row stays, with `failed_at`.
MAX_TRIES = 16
# After so many failures in a row, stop the run: the mail server seems to be down, and each try may take EMAIL_TIMEOUT.
FAILURES_IN_A_ROW = 3
LINK_PAGES = {
    "verify_email": (mailed_links.VERIFY, "verify-email"),
    "reset_password": (mailed_links.RESET, "reset-password"),
    "change_email": (mailed_links.CHANGE_EMAIL, "change-email"),
    "invitation": (mailed_links.INVITE, "invitation"),
}
# Letters about notices. A user who is switched off does not get them, and each has a link to unsubscribe.
NOTICE_LETTERS = ("notice", "digest")
LETTERS = Registry("letter with a context of its app")


class NotYet(Exception):
    """A function of `context_for` raises this to postpone the e-mail: there may be a reason to send it later."""


def context_for(letter, function):
    """Register an app's `function`, which adds to the context of a kind of letter when it is sent.

    The function gets the stored context and returns a dict to add. It returns None when there is no reason to send the
    e-mail any more: then it is dropped. While the function raises NotYet, the e-mail waits, without a limit.
    """
    LETTERS.add(letter, function)


def link_for(user, letter):
    """Make the link that a letter of this kind contains for `user`, an absolute URL."""
    purpose, page = LINK_PAGES[letter]
    query = urlencode({"token": mailed_links.make_link_token(user, purpose)})
    return absolute(f"{reverse(page)}?{query}")


def post(letter, *, to, language=None, **context):
    """Store a letter in the outbox. A worker sends it after the commit of this transaction.

    Its language is the one that the user chose, else `language`, else that of the present request.

    With a `user_id` that has no user the row is written all the same, and the worker drops it. So a request does the
    same work for an address with and without an account.
    """
    language = language or translation.get_language() or settings.LANGUAGE_CODE
    mail = OutgoingMail.objects.create(letter=letter, to=to, language=language, context=context)
    send_after_commit("accounts.tasks.send_mail", mail_id=str(mail.pk))
    return mail


def post_many(letter, recipients, *, due=None):
    """post() for each (address, language, context), in a few inserts. One task sends them after those due before.

    With a time `due` they wait until then.
    """
    OutgoingMail.objects.bulk_create(
        OutgoingMail(
            letter=letter,
            to=to,
            language=language or settings.LANGUAGE_CODE,
            context=context,
            next_try_at=due or timezone.now(),
        )
        for to, language, context in recipients
    )
    if due is None:
        send_after_commit("accounts.tasks.send_waiting_mail")


def send(mail_id):
    """Send one e-mail if it is due. Returns True when it was sent now."""
    return _try(mail_id) is True


def _try(mail_id):
    """Try to send one e-mail: True when it was sent, False when that failed, None when it is not due or has to wait.

    One conditional UPDATE claims the row and sets the time of the next try. So two workers never both send it, and
    after a worker is killed, another tries again.
    """
    # Durable: this must not run inside another transaction. Its rollback would undo the claim, and a worker would send
    # the e-mail again.
    with transaction.atomic(durable=True):
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
        # The claim has set the next try. Do not count this one.
        OutgoingMail.objects.filter(pk=mail.pk).update(tries=F("tries") - 1)
        return None
    except Exception:  # a bug of ours: try again later, and log the traceback
        _put_off(mail)
        logger.exception("Mail %s (%s) could not be written, try %d", mail.pk, mail.letter, mail.tries)
        return False
    try:
        if message is not None:
            message.send()
    except Exception as error:  # noqa: BLE001 - whatever a mail provider raises, try again later
        _put_off(mail)
        logger.warning("Mail %s (%s) did not go, try %d: %s", mail.pk, mail.letter, mail.tries, type(error).__name__)
        return False
    OutgoingMail.objects.filter(pk=mail.pk).update(sent_at=timezone.now())
    return True


def _put_off(mail):
    """Set the next try, later after each failure; after MAX_TRIES give the e-mail up."""
    wait = timedelta(seconds=min(3600 * 4, 15 * 2**mail.tries))
    given_up = timezone.now() if mail.tries >= MAX_TRIES else None
    OutgoingMail.objects.filter(pk=mail.pk).update(next_try_at=timezone.now() + wait, failed_at=given_up)
    if given_up:
        logger.error("Mail %s (%s) is given up after %d tries", mail.pk, mail.letter, mail.tries)


def send_waiting():
    """Send up to 500 e-mails that are due, the longest due first. Returns how many were sent.

    It stops early when the mail server seems to be down. Otherwise other tasks would wait for the time-out of each
    e-mail. The schedule runs this again soon.
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
    """The message of an e-mail, or None when there is no reason to send it: no user, or a link that cannot work."""
    context = dict(mail.context)
    if "user_id" in context:
        user = User.objects.filter(pk=context["user_id"]).first()
        if user is None:
            return None
        context["user"] = user
        if mail.letter in LINK_PAGES:
            purpose, _page = LINK_PAGES[mail.letter]
            # The link proves the mailbox it is sent to. If the address has changed, the user has to ask for a new one.
            if not mailed_links.may_open(user, purpose) or mailed_links.mailbox_of(user, purpose) != mail.to:
                return None
            context["link"] = link_for(user, mail.letter)
        if mail.letter in NOTICE_LETTERS:
            if not user.is_active:
                return None
            context |= preferences.letter_context(user, mail.context)
    if mail.letter in LETTERS:
        more = LETTERS[mail.letter](mail.context)
        if more is None:
            return None
        context |= more
    # The user's own choice of language wins over that of the request.
    chosen = context["user"].language if "user" in context else ""
    return letters.compose(
        mail.letter, to=mail.to, language=chosen or mail.language, context=context, message_id=mail.pk
    )


def forget_sent(*, older_than=timedelta(days=30)):
    """Delete e-mails written longer ago than `older_than` that were sent or given up. Returns how many."""
    with transaction.atomic():
        return (
            OutgoingMail.objects.filter(created_at__lt=timezone.now() - older_than)
            .exclude(sent_at=None, failed_at=None)
            .delete()[0]
        )
