"""Notices: rows for what concerns a user, and the sentence each of them becomes."""

from django.db import transaction
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _

from .models import Notification


def notify(user, kind, **payload):
    """Leave `user` a notice in the caller's transaction; `payload` holds names and ids, no secrets."""
    return Notification.objects.create(user=user, type=kind, payload=payload)


def unread_count(user):
    """How many notices `user` has not read; at most 100, which reads as "99+"."""
    return Notification.objects.filter(user=user, is_read=False)[:100].count()


@transaction.atomic
def mark_read(*, user, ids=(), everything=False):
    """Mark own notices read: those of `ids`, or everything. Returns how many changed; foreign ids change nothing."""
    notices = Notification.objects.filter(user=user, is_read=False)
    if not everything:
        notices = notices.filter(pk__in=list(ids))
    return notices.update(is_read=True)


def sentence(notice):
    """What the notice says, in the reader's language."""
    facts = {"folder": "", "filename": "", "reason": "", **notice.payload}
    texts = {
        "folder_granted": _("You may now use the folder “%(folder)s”."),
        "folder_revoked": _("You may no longer use the folder “%(folder)s” as before."),
        "upload_refused": _("“%(filename)s” was refused: %(reason)s"),
    }
    return texts.get(notice.type, notice.type.replace("_", " ").capitalize()) % facts


def url(notice):
    """Where the notice leads, or None."""
    slug = notice.payload.get("folder_slug")
    if not slug:
        return None
    try:
        return reverse("folder", args=[slug])
    except NoReverseMatch:
        return None
