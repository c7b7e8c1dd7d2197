"""The chain: each row holds the hash of the row before, so that a changed, removed, moved or cut-off row is found.

A row is written in the transaction of the event that it records. Right after the commit it gets its place (`seq`,
`prev_hash`, `hash`) in a short transaction that locks only the end of the chain. So no request waits for the long
transaction of another. A process that finds the end locked leaves its rows to the lock's holder. A scheduled job places
the rows that are left.

    hash = SHA-256(prev_hash + "\\n" + the row as canonical JSON)

The end is signed with a key that is not in the database (SECRET_KEY). Once a day the signed end is stored outside the
database (audit.heads).
"""

import hashlib
import json
import math
import time
from datetime import UTC, datetime

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from . import heads, triggers
from .models import ChainHead, Event

BATCH = 1000
PAUSE_SECONDS = 5
# The hashed columns; never change them.
FACTS = (
    *("id", "action", "actor_id", "actor_email", "target_type", "target_id", "target_name", "folder_slug"),
    *("size_bytes", "detail", "address", "user_agent", "request_id", "created_at"),
)
# Columns that came later. They are hashed only in rows that have a value in them, so that older rows keep their hash.
LATER_FACTS = ("subfolder_slug",)
HASHED = (*FACTS, *LATER_FACTS)


class HeadForged(Exception):
    """The end of the chain has no valid signature of ours. No row is placed until an administrator looks into it."""


# --- Hashes -----------------------------------------------------------------------------------------


def canonical(row):
    """`row`, a dict of HASHED and seq, as the bytes that are hashed: sorted keys, no spaces, times in UTC."""
    facts = {name: plain(row[name]) for name in (*FACTS, "seq")}
    facts |= {name: plain(row[name]) for name in LATER_FACTS if row[name]}
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False, cls=DjangoJSONEncoder)
    return text.encode("utf-8", "surrogatepass")


def plain(value):
    """`value` as the chain writes it: a time in UTC with microseconds, anything else as it is."""
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    return value


def hash_of(row, prev_hash):
    """The hash (hex) of `row`, a dict of HASHED and seq, after a row with the hash `prev_hash` ("" for the first)."""
    return _hash(row, prev_hash)


def hash_of_older_version(row, prev_hash):
    """The hash that a version without LATER_FACTS gives `row`; None when the row has none of them.

    During a rolling upgrade, a process of the older version may place rows that a newer one wrote.
    """
    if not any(row[name] for name in LATER_FACTS):
        return None
    return _hash(row | dict.fromkeys(LATER_FACTS, ""), prev_hash)


def _hash(row, prev_hash):
    return hashlib.sha256(f"{prev_hash}\n".encode() + canonical(row)).hexdigest()


def signature_of(seq, digest, *, at="", key=None):
    """The keyed digest (hex) of an end of the chain; `at` is the time that a kept head adds."""
    return salted_hmac("audit.head", f"{seq} {digest} {at}", secret=key, algorithm="sha256").hexdigest()


def is_signed(seq, digest, signature, *, at=""):
    """True when `signature` was made with SECRET_KEY or one of its fallbacks."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return any(constant_time_compare(signature_of(seq, digest, at=at, key=key), signature) for key in keys)


# --- Placing ----------------------------------------------------------------------------------------


class _Last:
    """When this process last placed rows, by the monotonic clock."""

    moment = -math.inf


def seal_after_commit():
    """Place the rows of this transaction after its commit, once however often this is called.

    A process does so at most every PAUSE_SECONDS, for all rows that came meanwhile. This limits the chain's cost on a
    busy process. Later rows wait for the next call or for the schedule.
    """
    if not any(callback is _seal_unless_just_done for _savepoints, callback, _robust in connection.run_on_commit):
        transaction.on_commit(_seal_unless_just_done, robust=True)


def _seal_unless_just_done():
    now = time.monotonic()
    if now - _Last.moment >= PAUSE_SECONDS:
        _Last.moment = now
        # One batch only: a request must not place a large backlog.
        _seal_batch()


def seal():
    """Place all rows that have no place. Returns how many; 0 when another process is doing it."""
    placed = 0
    while True:
        count = _seal_batch()
        placed += count
        if not count or not Event.objects.unsealed().exists():
            return placed


@transaction.atomic
def _seal_batch():
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            # Do not wait for the disk: a place lost in a crash of the server is assigned again.
            cursor.execute("SET LOCAL synchronous_commit = off")
    head = held_head()
    if head is None:
        return 0
    if not is_ours(head):
        raise HeadForged(
            f"the end of the audit log ({head.seq}) is not signed by this portal, or SECRET_KEY was changed; "
            "run verify_audit"
        )
    places = []
    for row in Event.objects.unsealed().values(*HASHED)[:BATCH]:
        seq, prev_hash = head.seq + 1, head.hash
        head.seq, head.hash = seq, hash_of({**row, "seq": seq}, prev_hash)
        places.append((seq, prev_hash, head.hash, Event._meta.pk.get_db_prep_value(row["id"], connection)))
    if places:
        with connection.cursor() as cursor:
            cursor.executemany(
                f"UPDATE {triggers.TABLE} SET seq = %s, prev_hash = %s, hash = %s WHERE id = %s",  # noqa: S608
                places,
            )
        head.signature, head.sealed_at = signature_of(head.seq, head.hash), timezone.now()
        head.save()
    return len(places)


def held_head(*, wait=False):
    """The end of the chain, locked until the transaction ends; None when another process holds it, unless `wait`."""
    skip = connection.features.has_select_for_update_skip_locked and not wait
    held = ChainHead.objects.select_for_update(skip_locked=skip).first()
    if held is None and not ChainHead.objects.exists():
        ChainHead.objects.bulk_create([ChainHead()], ignore_conflicts=True)
        held = ChainHead.objects.select_for_update(skip_locked=skip).first()
    return held


def is_ours(head):
    """True when we signed the end of the chain, or the chain has not begun.

    An unsigned end counts as "not begun" only if no row has a place and no head is kept: a log begins once.
    """
    if head.seq == 0 and not head.signature:
        return not Event.objects.filter(seq__isnull=False).exists() and not heads.names()
    return is_signed(head.seq, head.hash, head.signature)


def unsealed_count():
    """The number of rows without a place. More than a handful, or any for longer than a minute, is a fault."""
    return Event.objects.unsealed().count()
