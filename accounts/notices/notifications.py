"""Notices to users: write them, update them while unread, mark them read, and e-mail them.

The kinds and their sentences are in accounts.notices.kinds, the choice of mail in accounts.notices.preferences, the
daily digest in accounts.notices.digests, and the number on every page in accounts.notices.live_count.
"""

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from accounts.models import Notification

from . import kinds, live_count, mail, preferences


def notify(user, kind, *, about="", mail_again=False, **payload):
    """Write a notice for `user` in the caller's transaction. Returns it. `payload` holds names and ids, no secrets.

    `about` names the thing that the notice is about, for example by its id. If the user has an unread notice of this
    kind about it, this updates that row: the new `payload` overwrites its keys, a `count` is added up, and the notice
    moves to the top. Even of several requests at once, only one row results.

    A user who wants mail at once gets an e-mail for a new row only; with `mail_again`, also for an update that changes
    the payload. A user who wants the digest finds new and updated notices there, unless they have an e-mail of
    their own.
    """
    goes = kinds.goes_by_mail(kind, payload)
    wish = preferences.of_many([user.pk], kind)[user.pk] if goes else kinds.OFF
    with transaction.atomic():
        live_count.forget_after_commit([user.pk])
        writes = wish == kinds.NOW and user.is_active
        while True:
            notice = _unread_about(user, kind, about)
            if notice is not None:
                before = notice.payload
                _tell_more(notice, payload, goes and (notice.for_digest or wish == kinds.DIGEST))
                writes = writes and mail_again and notice.payload != before
                break
            try:
                with transaction.atomic():
                    notice = Notification.objects.create(
                        user=user, type=kind, about=about, payload=payload, for_digest=wish == kinds.DIGEST
                    )
                break
            except IntegrityError:
                # Another request wrote the row first and has committed. The next round updates it, or writes a new row
                # if it has been marked read meanwhile.
                if _unread_about(user, kind, about) is None and not about:
                    raise
        if writes:
            # Write in the language of `user`, not in that of the request.
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
        payload = {**payload, "count": kinds.Facts(notice.payload).count + payload["count"]}
    notice.payload = {**notice.payload, **payload}
    notice.created_at, notice.for_digest = timezone.now(), for_digest
    notice.save(update_fields=["payload", "created_at", "for_digest"])


def _letter(user, notice):
    """The context of the e-mail about a notice: names and ids."""
    return {"user_id": str(user.pk), "notice_id": str(notice.pk), "kind": notice.type, "payload": notice.payload}


def notify_many(users, kind, *, about, since, payload_of):
    """Write a notice about the same thing for each of `users`, a batch of a few hundred. Returns for how many.

    `payload_of(user, earlier)` returns the whole payload, or None to skip that user. `earlier` is their latest notice
    about it that is unread or not older than `since`, or None. An unread notice is overwritten.

    The number of queries does not grow with the batch. Two workers at once leave one row for each user.
    """
    told, todo = 0, {user.pk: user for user in users}
    while todo:
        count, todo = _notify_batch(todo, kind, about, since, payload_of)
        told += count
    return told


@transaction.atomic
def _notify_batch(users, kind, about, since, payload_of):
    """(number of users notified, users to try again because another worker wrote their row at the same moment)."""
    earlier, unread = _earlier(users, kind, about, since)
    wishes = preferences.of_many(list(users), kind)
    new, more, now = [], [], timezone.now()
    for user in users.values():
        payload = payload_of(user, earlier.get(user.pk))
        if payload is None:
            continue
        notice = unread.get(user.pk) or Notification(user=user, type=kind, about=about)
        notice.payload, notice.created_at = payload, now
        notice.for_digest = notice.for_digest or wishes[user.pk] == kinds.DIGEST
        (more if user.pk in unread else new).append(notice)
    Notification.objects.bulk_update(more, ["payload", "created_at", "for_digest"])
    Notification.objects.bulk_create(new, ignore_conflicts=True)
    left = _which_are_there(new)
    _post_letters([notice for notice in left if wishes[notice.user_id] == kinds.NOW])
    live_count.forget_after_commit([notice.user_id for notice in left + more])
    beaten = {notice.user_id for notice in new} - {notice.user_id for notice in left}
    return len(left) + len(more), {pk: users[pk] for pk in beaten}


def _earlier(users, kind, about, since):
    """Two dicts by user id: the latest notice of each user about it, and the unread ones. The rows are locked."""
    rows = Notification.objects.filter(user__in=list(users), type=kind, about=about)
    rows = list(
        # Lock in a fixed order, so that two workers wait for each other and do not deadlock.
        rows.filter(Q(is_read=False) | Q(created_at__gte=since)).order_by("user_id", "created_at").select_for_update()
    )
    return {row.user_id: row for row in rows}, {row.user_id: row for row in rows if not row.is_read}


def _which_are_there(new):
    there = set(Notification.objects.filter(pk__in=[notice.pk for notice in new]).values_list("pk", flat=True))
    return [notice for notice in new if notice.pk in there]


def _post_letters(told):
    letters = [
        (notice.user.email, notice.user.language, _letter(notice.user, notice))
        for notice in told
        if notice.user.is_active and kinds.goes_by_mail(notice.type, notice.payload)
    ]
    if letters:
        mail.post_many("notice", letters)


def unread_count(user):
    """How many notices `user` has not read; at most 100, which reads as "99+"."""
    return Notification.objects.filter(user=user, is_read=False)[:100].count()


@transaction.atomic
def mark_read(*, user, ids=(), everything=False):
    """Mark notices of `user` read: those of `ids`, or all. Returns how many changed. It ignores other users' ids."""
    unread = Notification.objects.filter(user=user, is_read=False)
    if not everything:
        unread = unread.filter(pk__in=list(ids))
    changed = unread.update(is_read=True)
    if changed:
        live_count.forget_after_commit([user.pk])
    return changed


def sentence(notice):
    """The sentence of the notice, in the active language."""
    return kinds.sentence(notice.type, notice.payload)


def url(notice):
    """The path on this portal that the notice leads to, or None."""
    return kinds.url(notice.type, notice.payload)
