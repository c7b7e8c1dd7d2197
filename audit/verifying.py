"""Is the log whole: a walk along the chain, its signed end, the heads kept elsewhere; and what to do after a fault."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from config import metrics

from . import heads, triggers
from .chain import BATCH, FACTS, hash_of, held_head, is_ours, is_signed, plain, signature_of
from .heads import Head
from .log import record
from .models import Action, ChainHead, Event

# So long after the log began there is a head: the schedule keeps one a day.
FIRST_HEAD_WITHIN = timedelta(days=3)
# So long the metrics tell what a check found: the schedule makes one a week, and one that is missed must be seen.
TOLD_FOR = timedelta(days=8)


@dataclass(frozen=True)
class Fault:
    """What is wrong, and with which row: `seq`, or None where it is no row's."""

    seq: int | None
    text: str


@dataclass
class Report:
    """What `verify` saw.

    `checked` rows to `last_seq`; `faults`, the first bad row first; `accepted`, faults that somebody looked into and
    accepted; `unsealed` rows that have no place yet; `heads` compared, the newest from `last_head`.
    """

    checked: int = 0
    last_seq: int = 0
    last_hash: str = ""
    faults: list = field(default_factory=list)
    accepted: list = field(default_factory=list)
    unsealed: int = 0
    oldest_unsealed: datetime | None = None
    heads: int = 0
    last_head: str = ""


def verify(*, after=0, after_hash="", kept=(), strange=(), progress=None):
    """Walk the chain from the row behind `after` to its end. Returns a Report; at the first bad row it stops.

    `after_hash` is the hash of row `after`, where the rows before are kept elsewhere. The chain must go through the
    Heads `kept`; `strange` are names of files that should be heads. `progress.advance()` hears of each row.
    """
    report = Report(last_seq=after, last_hash=after_hash)
    _look_around(report, kept, strange, whole=not after)
    _walk_accepted(report, _good_heads(report, kept), progress)
    # A look at the end alone takes no alarm about the rest back.
    if not after or report.faults:
        metrics.remember("audit_faults", len(report.faults), lifetime=TOLD_FOR)
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
    """Those that we signed, oldest first; behind the last one somebody accepted only what came since counts."""
    good = []
    for head in sorted(kept, key=lambda head: head.signed_at):
        if not is_signed(head.seq, head.hash, head.signature, at=_said(head.signed_at, head.accepted)):
            text = f"the head kept on {head.signed_at} is not signed by this portal"
            report.faults.append(Fault(head.seq, text))
        elif head.accepted:
            good = [head]
        else:
            good.append(head)
    return good


def _said(at, accepted):
    return f"{at} accepted" if accepted else at


def _walk_accepted(report, good, progress):
    """Walk to the end; a fault before what was accepted is put aside, and the walk goes on from there."""
    accepted = good[0] if good and good[0].accepted and good[0].seq > report.last_seq else None
    # Read before the rows: what is placed meanwhile is not taken for too much, nor for missing.
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
    """Check row by row, to `up_to` or the end; the Fault of the first that is bad, or None."""
    rows = Event.objects.filter(seq__gt=max(0, report.last_seq)).order_by("seq").values(*FACTS, *triggers.PLACE)
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
    if hash_of(row, row["prev_hash"]) != row["hash"]:
        text = f"it was changed or moved: its content does not give its hash ({which})"
    elif row["prev_hash"] != report.last_hash:
        text = f"it does not follow the row before: one of the two was replaced ({which})"
    elif head is not None and head.hash != row["hash"]:
        text = f"it is not the row that the head kept on {head.signed_at} signs ({which})"
    return Fault(row["seq"], text) if text else None


def _check_end(report, before):
    """Compare with the end of the chain; `before` is what it was before the rows were read."""
    now = ChainHead.objects.first()
    if now is None:
        if report.last_seq:
            report.faults.append(Fault(report.last_seq, "the end of the chain is not there"))
        return
    if not is_ours(now):
        report.faults.append(Fault(now.seq, "the end of the chain is not signed by this portal"))
    elif report.last_seq > now.seq:
        report.faults.append(Fault(now.seq + 1, "it stands behind the end of the chain"))
    elif before is not None and before.seq > report.last_seq:
        text = f"it is missing: the log ends before it, and should go on to row {before.seq}"
        report.faults.append(Fault(report.last_seq + 1, text))


# --- Heads ------------------------------------------------------------------------------------------


def keep_head():
    """Sign the end of the chain and keep it under today's date; once a day. Returns (the Head or None, Faults).

    None before the log began, when today's is there, and when the rows since the last kept one are not whole:
    a fault is not signed over.
    """
    name = f"{timezone.now():%Y-%m-%d}.json"
    if name in heads.names():
        return None, []
    kept, strange = heads.kept()
    judged = Report()
    signed = _good_heads(judged, kept)
    last = max(signed, key=lambda head: head.seq, default=None)
    report = verify(after=last.seq if last else 0, after_hash=last.hash if last else "", kept=signed, strange=strange)
    # A head that is not ours is told, and keeps nobody from signing the next.
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
    """Take the log as it stands, after somebody looked into a fault: sign its end, and keep that as a Head.

    Everything before it is no longer asked about, though `verify` goes on telling what was accepted. Itself a row.
    Returns the Head, which is kept once this transaction commits.
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
    # A head of what was rolled back would hide a fault that nobody accepted.
    transaction.on_commit(lambda: heads.write(head, name))
    return head
