"""Undo a deletion, a move or new tags, for a while, by whoever did it.

What is needed for it travels in a signed token, so nothing is stored. Only what is still as that act left it is
undone: a later change, by whomever, stays.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.core import signing
from django.utils.translation import gettext as _

from config.errors import Refused

from . import deleting, moving, tagging

LIFETIME = timedelta(hours=1)
_SALT = "fileshare.many.undoing"
DELETED, MOVED, TAGGED = "deleted", "moved", "tagged"


class TooLate(Refused):
    """410: the token is too old, not this user's, or no token."""

    def __init__(self):
        super().__init__(410, "undo_over", _("This can no longer be undone."))


@dataclass(frozen=True)
class Undone:
    """What was undone: the `act` (DELETED, MOVED or TAGGED), for how many files, and the Refusals of others."""

    act: str
    count: int
    refused: list


def of_deletion(user, deleted):
    """The token that undoes this Deleted of `user`; "" when nothing was done."""
    if not deleted.files:
        return ""
    return _signed(user, DELETED, [deleted.deleted_at.isoformat(), [file.pk.hex for file in deleted.files]])


def of_move(user, moved):
    """The token that undoes this Moved of `user`; "" when nothing was done."""
    if not moved.before:
        return ""
    places, rows = {}, []
    for one in moved.before:
        place = (one.folder_id.hex, one.subfolder_id and one.subfolder_id.hex, one.retention_days)
        number = places.setdefault(place, len(places))
        rows.append([one.file_id.hex, number, one.expires_at and one.expires_at.isoformat(), one.visibility])
    return _signed(user, MOVED, [moved.mark, list(places), rows])


def of_tags(user, tagged):
    """The token that takes off the tags that this Tagged of `user` added; "" when nothing was added."""
    return _signed(user, TAGGED, tagged.added) if tagged.added else ""


def undo(*, user, token):
    """Undo the act of a token. Returns Undone; a second time it finds nothing to undo.

    The rights are asked as they are now. Raises TooLate (410).
    """
    try:
        who, act, facts = signing.loads(token, salt=_SALT, max_age=LIFETIME)
    except signing.BadSignature:
        raise TooLate from None
    if who != user.pk.hex:
        raise TooLate
    if act == DELETED:
        moment, ids = facts
        count = deleting.restore(user=user, file_ids=_ids(ids), deleted_at=datetime.fromisoformat(moment))
        return Undone(act, count, [])
    if act == TAGGED:
        return Undone(act, tagging.take_back(user=user, added=facts), [])
    mark, places, rows = facts
    before = [_before(places, *row) for row in rows]
    count, refused = moving.move_back(user=user, before=before, mark=mark)
    return Undone(act, count, refused)


def _before(places, file_id, number, expires_at, visibility):
    folder_id, subfolder_id, retention_days = places[number]
    return moving.Before(
        uuid.UUID(file_id),
        uuid.UUID(folder_id),
        subfolder_id and uuid.UUID(subfolder_id),
        retention_days,
        expires_at and datetime.fromisoformat(expires_at),
        visibility,
    )


def _signed(user, act, facts):
    return signing.dumps([user.pk.hex, act, facts], salt=_SALT, compress=True)


def _ids(texts):
    return [uuid.UUID(text) for text in texts]
