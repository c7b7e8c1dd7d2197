"""The chain: each row of the log holds the hash of the one before, so that no row can be changed, taken out, moved
or cut off without a trace.

A row is written in the transaction of what it tells of, and gets its place (`seq`, `prev_hash`, `hash`) right after
that commit, in a transaction of its own that holds nothing but the end of the chain: so nobody's work waits for
somebody else's, however long it takes. Whoever finds the end held leaves the rows to the holder, and a schedule
places what was left.

    hash = SHA-256(prev_hash + "\\n" + the row as canonical JSON)

The end is signed with a key that is not in the database (SECRET_KEY), and once a day the signed end is kept outside
of it (audit.heads).
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
# What is hashed, for good: a column that comes later is hashed only in rows that have a value in it.
FACTS = (
    *("id", "action", "actor_id", "actor_email", "target_type", "target_id", "target_name", "folder_slug"),
    *("size_bytes", "detail", "address", "user_agent", "request_id", "created_at"),
)


class HeadForged(Exception):
    """The end of the chain does not bear our signature: nothing is placed behind it before somebody has looked."""


# --- Hashes -----------------------------------------------------------------------------------------


def canonical(row):
    """`row`, a dict of FACTS and seq, as the bytes that are hashed: sorted keys, no spaces, times in UTC."""
    facts = {name: plain(row[name]) for name in (*FACTS, "seq")}
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False, cls=DjangoJSONEncoder)
    return text.encode("utf-8", "surrogatepass")


def plain(value):
    """`value` as the chain writes it: a time in UTC with microseconds, anything else as it is."""
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    return value


def hash_of(row, prev_hash):
    """The hash (hex) of `row`, a dict of FACTS and seq, behind a row of the hash `prev_hash` ("" for the first)."""
    return hashlib.sha256(f"{prev_hash}\n".encode() + canonical(row)).hexdigest()


def signature_of(seq, digest, *, at="", key=None):
    """The keyed digest (hex) of an end of the chain; `at` is the time that a kept head says besides."""
    return salted_hmac("audit.head", f"{seq} {digest} {at}", secret=key, algorithm="sha256").hexdigest()


def is_signed(seq, digest, signature, *, at=""):
    """True when `signature` is ours, by SECRET_KEY or one of its fallbacks."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return any(constant_time_compare(signature_of(seq, digest, at=at, key=key), signature) for key in keys)


# --- Placing ----------------------------------------------------------------------------------------


class _Last:
    """When this process placed rows last, by the clock that never goes back."""

    moment = -math.inf


def seal_after_commit():
    """Place the rows of this transaction after its commit; asked for often, done once.

    One process does so at most every PAUSE_SECONDS, for all that came meanwhile: however busy it is, that is all
    the chain costs it. What is left waits for the next row or the schedule.
    """
    if not any(callback is _seal_unless_just_done for _savepoints, callback, _robust in connection.run_on_commit):
        transaction.on_commit(_seal_unless_just_done, robust=True)


def _seal_unless_just_done():
    now = time.monotonic()
    if now - _Last.moment >= PAUSE_SECONDS:
        _Last.moment = now
        # One batch: whatever has piled up, nobody's request places all of it.
        _seal_batch()


def seal():
    """Give each row that has none its place. Returns how many got one; 0 when somebody else is at it.

    Raises HeadForged.
    """
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
            # A place that a crash of the server loses is given anew: nobody has to wait for the disk.
            cursor.execute("SET LOCAL synchronous_commit = off")
    head = held_head()
    if head is None:
        return 0
    if not is_ours(head):
        raise HeadForged(f"the end of the audit log ({head.seq}) is not signed by this portal; run verify_audit")
    places = []
    for row in Event.objects.unsealed().values(*FACTS)[:BATCH]:
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
    """The end of the chain, held until the transaction ends. None when another holds it, unless told to `wait`."""
    skip = connection.features.has_select_for_update_skip_locked and not wait
    held = ChainHead.objects.select_for_update(skip_locked=skip).first()
    if held is None and not ChainHead.objects.exists():
        ChainHead.objects.bulk_create([ChainHead()], ignore_conflicts=True)
        held = ChainHead.objects.select_for_update(skip_locked=skip).first()
    return held


def is_ours(head):
    """True when the end of the chain is signed by us, or the chain has not begun: a log has one beginning."""
    if head.seq == 0 and not head.signature:
        return not Event.objects.filter(seq__isnull=False).exists() and not heads.names()
    return is_signed(head.seq, head.hash, head.signature)


def unsealed_count():
    """How many rows have no place yet; more than a handful, or for longer than a minute, is a fault."""
    return Event.objects.unsealed().count()
