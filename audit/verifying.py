"""Checks that the log is whole: the chain, its signed end and the kept heads. Also accepts a log after a fault."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from config.watch import heartbeats, metrics

from . import heads, triggers
from .actions import Action
from .chain import BATCH, HASHED, hash_of, hash_of_older_version, held_head, is_ours, is_signed, plain, signature_of
from .heads import Head
from .log import record
from .models import ChainHead, Event

# A fault of a signature alone has two causes, and the more frequent one is no break-in.
OR_KEY = "(or SECRET_KEY was changed, and the former key is not in SECRET_KEY_FALLBACKS)"

# A log older than this must have a kept head: the schedule keeps one a day.
FIRST_HEAD_WITHIN = timedelta(days=3)
# The metrics show a check's result this long. The schedule checks weekly; when a check is missed, the metric
# disappears.
TOLD_FOR = timedelta(days=8)
# The row of signs of life that keeps a check's result for all processes, and what it says of a log with faults.
JOB, FAULTY = "audit.tasks.verify", "FaultsFound"


@dataclass(frozen=True)
class Fault:
    """A fault, and the row `seq` that has it; None where it concerns no row."""

    seq: int | None
    text: str


@dataclass
class Report:
    """What `verify` found.

    `checked` rows up to `last_seq`; `faults`, that of the first bad row; `accepted`, faults that an administrator
    accepted earlier; `older` rows from `first_older` on that an older version placed: no hash covers their subfolder;
    `unsealed` rows without a place; `heads` compared, the newest from `last_head`.
    """

    checked: int = 0
    last_seq: int = 0
    last_hash: str = ""
    faults: list = field(default_factory=list)
    accepted: list = field(default_factory=list)
    older: int = 0
    first_older: int | None = None
    unsealed: int = 0
    oldest_unsealed: datetime | None = None
    heads: int = 0
    last_head: str = ""


def verify(*, after=0, after_hash="", kept=(), strange=(), progress=None):
    """Check the chain from the row after `after` to its end. Returns a Report; stops at the first bad row.

    `after_hash` is the hash of row `after`, needed when the rows before are kept elsewhere. The chain must pass through
    the Heads `kept`. `strange` are names of files that should be heads and are not. Calls `progress.advance()` for each
    row.
    """
    report = Report(last_seq=after, last_hash=after_hash)
    _look_around(report, kept, strange, whole=not after)
    _walk_accepted(report, _good_heads(report, kept), progress)
    # A clean check of the end only must not clear an alarm about earlier rows.
    if not after or report.faults:
        metrics.remember("audit_faults", len(report.faults), lifetime=TOLD_FOR)
        heartbeats.keep_result(JOB, FAULTY if report.faults else "")
    return report


def _look_around(report, kept, strange, *, whole):
    for name in triggers.missing():
        text = f"the trigger {name} is missing, switched off or not ours; migrate lays it down"
        report.faults.append(Fault(None, text))
    for name in strange:
        report.faults.append(Fault(None, f"{heads.FOLDER}/{name} is no head of the log"))
    waiting = Event.objects.unsealed()
    report.unsealed, oldest = waiting.count(), waiting.first()
    report.oldest_unsealed = oldest.created_at if oldest else None
    report.heads, report.last_head = len(kept), max((head.signed_at for head in kept), default="")
    stranger = Event.objects.filter(seq__lte=0).order_by("seq").first()
    if stranger is not None:
        report.faults.append(Fault(stranger.seq, f"it stands before the beginning of the chain, id {stranger.pk}"))
    first = Event.objects.filter(seq=1).first()
    if whole and not kept and first is not None and first.created_at < timezone.now() - FIRST_HEAD_WITHIN:
        report.faults.append(Fault(None, f"no head is kept, though the log began on {plain(first.created_at)}"))


def _good_heads(report, kept):
    """The heads that we signed, oldest first; after an accepted log, only from the last accepted head on."""
    good = []
    for head in sorted(kept, key=lambda head: head.signed_at):
        if not is_signed(head.seq, head.hash, head.signature, at=_said(head.signed_at, head.accepted)):
            text = f"the head kept on {head.signed_at} is not signed by this portal {OR_KEY}"
            report.faults.append(Fault(head.seq, text))
        elif head.accepted:
            good = [head]
        else:
            good.append(head)
    return good


def _said(at, accepted):
    return f"{at} accepted" if accepted else at


def _walk_accepted(report, good, progress):
    """Check to the end.

    A fault before an accepted head goes to `report.accepted`, and the check continues after that head.
    """
    accepted = good[0] if good and good[0].accepted and good[0].seq > report.last_seq else None
    # Read the end before the rows. Rows placed meanwhile then count neither as extra nor as missing.
    end = ChainHead.objects.first()
    expected = {head.seq: head for head in good}
    fault = _walk(report, expected, progress, up_to=accepted.seq if accepted else None)
    if accepted and (fault or report.last_seq < accepted.seq):
        report.accepted.append(fault or Fault(report.last_seq + 1, "it was missing"))
        report.last_seq, report.last_hash, fault = accepted.seq, accepted.hash, None
    fault = fault or _walk(report, expected, progress)
    if fault:
        report.faults.append(fault)
        return
    _check_end(report, end)
    for seq, head in sorted(expected.items()):
        if seq > report.last_seq:
            text = f"it is missing: the log ends before it, and the head kept on {head.signed_at} signs row {seq}"
            report.faults.append(Fault(report.last_seq + 1, text))
            break


def _walk(report, expected, progress, *, up_to=None):
    """Check row by row, up to `up_to` or the end. Returns the Fault of the first bad row, or None."""
    rows = Event.objects.filter(seq__gt=max(0, report.last_seq)).order_by("seq").values(*HASHED, *triggers.PLACE)
    if up_to is not None:
        rows = rows.filter(seq__lte=up_to)
    for row in rows.iterator(chunk_size=BATCH):
        fault = _fault_of(row, report, expected.get(row["seq"]))
        if fault is not None:
            return fault
        report.checked += 1
        report.last_seq, report.last_hash = row["seq"], row["hash"]
        if progress is not None:
            progress.advance()
    return None


def _fault_of(row, report, head):
    which = f"{row['action']} by {row['actor_email'] or 'the portal'} on {plain(row['created_at'])}, id {row['id']}"
    if row["seq"] != report.last_seq + 1:
        text = f"it is missing: behind row {report.last_seq} comes row {row['seq']} ({which})"
        return Fault(report.last_seq + 1, text)
    text = ""
    is_older = hash_of_older_version(row, row["prev_hash"]) == row["hash"]
    if not is_older and hash_of(row, row["prev_hash"]) != row["hash"]:
        text = f"it was changed or moved: its content does not give its hash ({which})"
    elif row["prev_hash"] != report.last_hash:
        text = f"it does not follow the row before: one of the two was replaced ({which})"
    elif head is not None and head.hash != row["hash"]:
        text = f"it is not the row that the head kept on {head.signed_at} signs ({which})"
    if is_older and not text:
        report.older += 1
        report.first_older = report.first_older or row["seq"]
    return Fault(row["seq"], text) if text else None


def _check_end(report, before):
    """Compare with the end of the chain; `before` is the end as it was before the rows were read."""
    now = ChainHead.objects.first()
    if now is None:
        if report.last_seq:
            report.faults.append(Fault(report.last_seq, "the end of the chain is not there"))
        return
    if not is_ours(now):
        report.faults.append(Fault(now.seq, f"the end of the chain is not signed by this portal {OR_KEY}"))
    elif report.last_seq > now.seq:
        report.faults.append(Fault(now.seq + 1, "it stands behind the end of the chain"))
    elif before is not None and before.seq > report.last_seq:
        text = f"it is missing: the log ends before it, and should go on to row {before.seq}"
        report.faults.append(Fault(report.last_seq + 1, text))


# --- Heads ------------------------------------------------------------------------------------------


def keep_head():
    """Sign the end of the chain and keep it under today's date, once a day. Returns (the Head or None, Faults).

    None before the log began, when today's head exists, and when the rows since the last kept head have a fault: a
    fault must not be signed.
    """
    name = f"{timezone.now():%Y-%m-%d}.json"
    if name in heads.names():
        return None, []
    kept, strange = heads.kept()
    judged = Report()
    signed = _good_heads(judged, kept)
    last = max(signed, key=lambda head: head.seq, default=None)
    report = verify(after=last.seq if last else 0, after_hash=last.hash if last else "", kept=signed, strange=strange)
    # Report a head that we did not sign, but sign the next one all the same.
    faults = [*judged.faults, *report.faults]
    if any(fault.seq is not None for fault in report.faults) or not report.last_seq:
        return None, faults
    head = _signed_head(report.last_seq, report.last_hash)
    heads.write(head, name)
    return head, faults


def _signed_head(seq, digest, *, accepted=False):
    at = timezone.now().isoformat()
    signature = signature_of(seq, digest, at=_said(at, accepted))
    return Head(seq=seq, hash=digest, signed_at=at, signature=signature, accepted=accepted)


@transaction.atomic
def accept(*, reason=""):
    """Accept the log as it stands, after an administrator looked into a fault: sign its end and keep it as a Head.

    `verify` then reports faults before this head only as accepted. The acceptance is a row of the log. Returns the
    Head, which is stored when this transaction commits.
    """
    end = held_head(wait=True)
    last = Event.objects.filter(seq__gt=0).order_by("-seq").first()
    before = {"seq": end.seq, "hash": end.hash}
    end.seq, end.hash, end.sealed_at = (last.seq, last.hash, timezone.now()) if last else (0, "", timezone.now())
    end.signature = signature_of(end.seq, end.hash)
    end.save()
    head = _signed_head(end.seq, end.hash, accepted=True)
    record(Action.LOG_ACCEPTED, seq=end.seq, hash=end.hash, before=before, reason=reason)
    name = f"{timezone.now():%Y-%m-%dT%H%M%S}-accepted.json"
    # Store it after the commit: the head of a rolled-back acceptance would hide a fault that was never accepted.
    transaction.on_commit(lambda: heads.write(head, name))
    return head
