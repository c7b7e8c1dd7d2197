"""Notices to users: left, told again in the same row while unread, marked read. Their mail goes with them.

What each kind says is accounts.notices, how it goes by mail accounts.preferences, the daily letter
accounts.digests, and the number on every page accounts.live.
"""

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from config.queue import send_after_commit

from . import live, mail, notices, preferences
from .models import Notification, OutgoingMail


def notify(user, kind, *, about="", mail_again=False, **payload):
    """Leave `user` a notice in the caller's transaction. Returns it. `payload` holds names and ids, no secrets.

    With `about`, an id or so, an unread notice of this kind about the same thing is told anew: `payload` goes
    over its own, a `count` adds up, and it moves to the top. However many do so at once, there is one such
    row. Mail that is wanted at once goes with the first only; with `mail_again` also with each that says something
    else than the one before. The digest tells each day's news, but what a letter of its own has told.
    """
    goes = notices.goes_by_mail(kind, payload)
    wish = preferences.of_many([user.pk], kind)[user.pk] if goes else notices.OFF
    with transaction.atomic():
        live.forget_after_commit([user.pk])
        writes = wish == notices.NOW and user.is_active
        while True:
            notice = _unread_about(user, kind, about)
            if notice is not None:
                before = notice.payload
                _tell_more(notice, payload, goes and (notice.for_digest or wish == notices.DIGEST))
                writes = writes and mail_again and notice.payload != before
                break
            try:
                with transaction.atomic():
                    notice = Notification.objects.create(
                        user=user, type=kind, about=about, payload=payload, for_digest=wish == notices.DIGEST
                    )
                break
            except IntegrityError:
                # Another was faster, and has committed by now: it is found the next time. Or marked read, and then not.
                if _unread_about(user, kind, about) is None and not about:
                    raise
        if writes:
            # In the reader's language, whatever the one speaks whose request this is.
            language = user.language or settings.LANGUAGE_CODE
            mail.post("notice", to=user.email, language=language, **_letter(user, notice))
        return notice


def _unread_about(user, kind, about):
    if not about:
        return None
    unread = Notification.objects.filter(user=user, type=kind, about=about, is_read=False)
    return unread.select_for_update().first()


def _tell_more(notice, payload, for_digest):
    if "count" in payload:
        payload = {**payload, "count": notices.Facts(notice.payload).count + payload["count"]}
    notice.payload = {**notice.payload, **payload}
    notice.created_at, notice.for_digest = timezone.now(), for_digest
    notice.save(update_fields=["payload", "created_at", "for_digest"])


def _letter(user, notice):
    """The context of its letter: names and ids."""
    return {"user_id": str(user.pk), "notice_id": str(notice.pk), "kind": notice.type, "payload": notice.payload}


def notify_many(users, kind, *, about, since, payload_of):
    """Leave each of `users` (one batch, a few hundred) a notice about the same thing. Returns how many were told.

    `payload_of(user, earlier)` is the whole payload, or None to leave that user alone; `earlier` is their latest
    notice about it, unread or not older than `since`, or None. An unread one is overwritten. The number of
    queries depends on the size of the batch alone, and two workers at once leave one row each.
    """
    told, todo = 0, {user.pk: user for user in users}
    while todo:
        count, todo = _notify_batch(todo, kind, about, since, payload_of)
        told += count
    return told


@transaction.atomic
def _notify_batch(users, kind, about, since, payload_of):
    """(how many were told, those whom another worker told in the same instant: to be asked about again)."""
    earlier, unread = _earlier(users, kind, about, since)
    wishes = preferences.of_many(list(users), kind)
    new, more, now = [], [], timezone.now()
    for user in users.values():
        payload = payload_of(user, earlier.get(user.pk))
        if payload is None:
            continue
        notice = unread.get(user.pk) or Notification(user=user, type=kind, about=about)
        notice.payload, notice.created_at = payload, now
        notice.for_digest = notice.for_digest or wishes[user.pk] == notices.DIGEST
        (more if user.pk in unread else new).append(notice)
    Notification.objects.bulk_update(more, ["payload", "created_at", "for_digest"])
    Notification.objects.bulk_create(new, ignore_conflicts=True)
    left = _which_are_there(new)
    _post_letters([notice for notice in left if wishes[notice.user_id] == notices.NOW])
    live.forget_after_commit([notice.user_id for notice in left + more])
    beaten = {notice.user_id for notice in new} - {notice.user_id for notice in left}
    return len(left) + len(more), {pk: users[pk] for pk in beaten}


def _earlier(users, kind, about, since):
    """The latest notice about it of each user, and the unread ones: two dicts by user id. The rows are locked."""
    rows = Notification.objects.filter(user__in=list(users), type=kind, about=about)
    rows = list(
        # Always in the same order, so that two workers wait for each other and do not lock each other out.
        rows.filter(Q(is_read=False) | Q(created_at__gte=since)).order_by("user_id", "created_at").select_for_update()
    )
    return {row.user_id: row for row in rows}, {row.user_id: row for row in rows if not row.is_read}


def _which_are_there(new):
    there = set(Notification.objects.filter(pk__in=[notice.pk for notice in new]).values_list("pk", flat=True))
    return [notice for notice in new if notice.pk in there]


def _post_letters(told):
    """Letters to many are left for the schedule, which sends them behind those that somebody waits for."""
    letters = [
        OutgoingMail(
            letter="notice",
            to=notice.user.email,
            language=notice.user.language or settings.LANGUAGE_CODE,
            context=_letter(notice.user, notice),
        )
        for notice in told
        if notice.user.is_active and notices.goes_by_mail(notice.type, notice.payload)
    ]
    if letters:
        OutgoingMail.objects.bulk_create(letters)
        send_after_commit("accounts.tasks.send_waiting_mail")


def unread_count(user):
    """How many notices `user` has not read; at most 100, which reads as "99+"."""
    return Notification.objects.filter(user=user, is_read=False)[:100].count()


@transaction.atomic
def mark_read(*, user, ids=(), everything=False):
    """Mark own notices read: those of `ids`, or everything. Returns how many changed; foreign ids change nothing."""
    unread = Notification.objects.filter(user=user, is_read=False)
    if not everything:
        unread = unread.filter(pk__in=list(ids))
    changed = unread.update(is_read=True)
    if changed:
        live.forget_after_commit([user.pk])
    return changed


def sentence(notice):
    """What the notice says, in the reader's language."""
    return notices.sentence(notice.type, notice.payload)


def url(notice):
    """Where the notice leads, a path of this portal, or None."""
    return notices.url(notice.type, notice.payload)
