"""The virus gate: with CLAMD_URL set a file waits for the scanner's word before anybody may download it.

Who may have which bytes is the File queryset's to say; here states change. Nothing passes for want of a scanner:
a file waits, and is tried again. What the scanner finds, or cannot judge, is in quarantine until a super decides.
"""

import logging
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, transaction
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.reasons import clean_reason
from accounts.roles import assert_super
from audit.log import record
from audit.models import Action
from config import context
from config.access import get_allowed, get_visible
from config.errors import Conflict, Refused
from config.queue import send_after_commit

from . import clamd, news
from .models import File, ScanState
from .models.files import STUCK_AFTER
from .storage import ObjectMissing, StoreUnavailable, get_store

logger = logging.getLogger(__name__)

RENEW_SECONDS = 30
BACKOFF_SECONDS = 30
MAX_BACKOFF_SECONDS = 1800
# After so many failures in a row the scanner or the store is ill, not the file.
PATIENCE = 3
RUN_SECONDS = 60
"""A run that has taken so long begins no other file: the rest waits in the queue behind what others want."""
TURN = "virus-scan-turn"
PROBE = b"Is anybody there?"
BATCH = 500

_STATES = {
    clamd.Outcome.CLEAN: ScanState.CLEAN,
    clamd.Outcome.FOUND: ScanState.INFECTED,
    clamd.Outcome.UNSCANNABLE: ScanState.UNSCANNABLE,
}


class NotClean(Refused):
    """403: its bytes are kept back. `code` is file_waiting or file_quarantined."""

    def __init__(self, file):
        if file.is_waiting:
            super().__init__(403, "file_waiting", _("This file is still being checked for viruses. Try again soon."))
        else:
            text = _("This file is in quarantine and cannot be downloaded. A super decides what becomes of it.")
            super().__init__(403, "file_quarantined", text)


def assert_clean(file):
    """Raises NotClean (403) for a file that waits or is in quarantine. Only for whoever may know of it."""
    if not file.is_clean:
        raise NotClean(file)


def get_clean(file_id, *, user, allowed):
    """The row of `allowed`, a queryset of clean files.

    Raises Http404, PermissionDenied, or NotClean (403) for one that `user` may know of and that is kept back.
    """
    visible = File.objects.visible_to(user)
    try:
        return get_allowed(file_id, visible=visible, allowed=allowed)
    except PermissionDenied:
        file = visible.filter(pk=file_id).first()
    if file is None:
        raise Http404
    assert_clean(file)
    # Refused as such, or it has passed the scanner just now.
    return get_allowed(file_id, visible=visible, allowed=allowed)


def first_state():
    """The facts of a File that has just come in."""
    if not settings.CLAMD_URL:
        return {}
    return {"scan_state": ScanState.WAITING, "scan_due_at": timezone.now()}


def queue_scan():
    """Have waiting files scanned after the commit; the schedule finds those for which nobody came."""
    if settings.CLAMD_URL:
        send_after_commit("fileshare.tasks.scan_waiting_files")


def lease():
    """How long a worker that fell silent keeps its file and its turn: longer than any one wait of its own."""
    return timedelta(seconds=2 * settings.CLAMD_TIMEOUT_SECONDS + 2 * RENEW_SECONDS)


def scan_waiting():
    """Scan files that wait, longest due first, those that failed before last. Returns how many got a verdict.

    One run at a time over all processes with one cache, so that the scanner holds one worker at most: another
    comes back at once, for the run under way finds its file. After RUN_SECONDS the rest is queued anew. Without
    a scanner that answers, nothing is touched: the schedule asks again. A file on which scanner or store fail is
    tried again later, each time after twice as long; one that the scanner never finishes is in quarantine in the end.
    """
    if not settings.CLAMD_URL:
        return 0
    count, ends_at = 0, time.monotonic() + RUN_SECONDS
    # Asked again when the turn was given back: whoever came meanwhile has gone away.
    while _due().exists():
        if time.monotonic() >= ends_at:
            queue_scan()
            break
        with _turn() as turn:
            if turn is None:
                break
            scanned, goes_on = _scan_until(ends_at, turn)
        count += scanned
        if not goes_on:
            break
    return count


def _scan_until(ends_at, turn):
    """(how many verdicts, whether it makes sense to go on)."""
    count = failures = 0
    if not _is_there():
        return count, False
    while time.monotonic() < ends_at and (pk := _next()) is not None:
        if not turn.keep():
            return count, False
        claim = _claim(pk, turn)
        if claim is None:
            continue
        try:
            count += _settle(claim, _judge(claim))
            failures = 0
        except clamd.ScannerAway as error:
            logger.error("Files wait, for the virus scanner has gone: %s", error)
            claim.mine().update(scan_due_at=timezone.now())
            return count, False
        except (clamd.ScannerFailed, ObjectMissing, StoreUnavailable, OSError) as error:
            count += _give_back(claim, error)
            failures += not isinstance(error, (ClaimLost, ObjectMissing))
            if failures == PATIENCE:
                return count, False
    return count, True


class _Turn:
    """The right to scan, for as long as it is kept; who falls silent loses it after a lease."""

    def __init__(self):
        self._name = uuid.uuid4().hex

    def take(self):
        return cache.add(TURN, self._name, lease().total_seconds())

    def keep(self):
        """For another lease. False when it was lost."""
        return self._is_mine() and cache.touch(TURN, lease().total_seconds())

    def give_back(self):
        if self._is_mine():
            cache.delete(TURN)

    def _is_mine(self):
        return cache.get(TURN) == self._name


@contextmanager
def _turn():
    """The _Turn to scan, or None while another has it. Should two ever have it, no file is scanned twice for that."""
    turn = _Turn()
    if not turn.take():
        yield None
        return
    try:
        yield turn
    finally:
        turn.give_back()


def _next():
    """The file to scan now, or None. One that fails again and again keeps nobody waiting but those like it."""
    ids = _due().order_by("scan_due_at").values_list("pk", flat=True)
    return ids.filter(scan_failures=0).first() or ids.exclude(scan_failures=0).first()


def _is_there():
    try:
        clamd.ping()
    except clamd.ScannerAway as error:
        logger.error("Files wait, for the virus scanner is away: %s", error)
        return False
    return True


def _due():
    return File.objects.waiting_for_a_scan().filter(scan_due_at__lte=timezone.now())


@dataclass
class _Claim:
    """A file in the hands of this worker until `until`, which renewing moves."""

    file: File
    until: object
    turn: _Turn

    def mine(self):
        """The row, while nobody else took it."""
        return File.objects.waiting_for_a_scan().filter(pk=self.file.pk, scan_due_at=self.until)

    def renew(self):
        """Keep it, and the turn, for another lease. Raises ClaimLost where another worker has it, or it is gone."""
        self.turn.keep()
        until = timezone.now() + lease()
        if not self.mine().update(scan_due_at=until):
            raise ClaimLost(f"file {self.file.pk} is no longer ours to scan")
        self.until = until


class ClaimLost(clamd.ScannerFailed):
    """Another worker has taken the file over, or somebody has deleted it."""


def _claim(pk, turn):
    until = timezone.now() + lease()
    if not _due().filter(pk=pk).update(scan_due_at=until):
        return None
    file = File.objects.filter(pk=pk).first()
    return None if file is None else _Claim(file, until, turn)


def _judge(claim):
    """The clamd.Verdict on the stored bytes."""
    if claim.file.size_bytes > settings.CLAMD_MAX_BYTES:
        return clamd.Verdict(clamd.Outcome.UNSCANNABLE, "larger than CLAMD_MAX_BYTES")
    return clamd.scan(_blocks(claim))


def _blocks(claim):
    """The bytes of the file, all of them; the claim is renewed meanwhile."""
    size, renewed_at, sent = claim.file.size_bytes, time.monotonic(), 0
    for block in get_store().read_range(claim.file.object_key, 0, size):
        if time.monotonic() - renewed_at > RENEW_SECONDS:
            claim.renew()
            renewed_at = time.monotonic()
        sent += len(block)
        yield block
    if sent != size:
        raise clamd.ScannerFailed(f"the store gave {sent} bytes of {size}")


@transaction.atomic
def _settle(claim, verdict):
    """Write the verdict down. False when the file was taken over or has gone: its next worker says what it is."""
    file = claim.mine().select_for_update(of=("self",)).select_related("folder", "uploaded_by").first()
    if file is None:
        return False
    _set(file, _STATES[verdict.outcome], verdict.detail)
    if file.is_clean:
        return True
    logger.error("File %s of folder %s is in quarantine: %s", file.pk, file.folder.slug, verdict.detail)
    record(
        Action.QUARANTINED,
        target=file,
        folder=file.folder,
        size_bytes=file.size_bytes,
        state=file.scan_state,
        signature=verdict.detail,
    )
    signature = verdict.detail if file.scan_state == ScanState.INFECTED else ""
    news.tell_of_quarantine(file, state=file.scan_state, signature=signature)
    return True


def _set(file, state, detail):
    file.scan_state, file.scan_detail = state, context.printable(detail)[:255]
    file.scanned_at, file.scan_due_at, file.scan_failures = timezone.now(), None, 0
    file.save(update_fields=["scan_state", "scan_detail", "scanned_at", "scan_due_at", "scan_failures"])


def _give_back(claim, error):
    """Let it wait longer than the last time. True when it got a verdict instead: the scanner never finishes it."""
    if isinstance(error, ClaimLost):
        logger.warning("%s", error)
        return False
    failures = min(claim.file.scan_failures + 1, 30)
    wait = timedelta(seconds=min(BACKOFF_SECONDS * 2 ** (failures - 1), MAX_BACKOFF_SECONDS))
    logger.error("File %s waits for a scan, try %d failed: %s", claim.file.pk, failures, error)
    if failures >= STUCK_AFTER and isinstance(error, clamd.ScannerFailed) and _judges_others():
        detail = f"the scanner failed on it {failures} times: {error}"
        return _settle(claim, clamd.Verdict(clamd.Outcome.UNSCANNABLE, detail))
    try:
        claim.mine().update(
            scan_due_at=timezone.now() + wait, scan_failures=failures, scan_detail=context.printable(str(error))[:255]
        )
    except DatabaseError:
        logger.exception("File %s is taken up again when its claim has run out", claim.file.pk)
    return False


def _judges_others():
    """True when the scanner is well, as far as a few bytes tell: then it is the file."""
    try:
        return clamd.scan([PROBE]).outcome == clamd.Outcome.CLEAN
    except clamd.ScannerFailed:
        return False


@transaction.atomic
def release(*, by, file_id, reason):
    """Let a file out of quarantine, as a super's own decision; it is downloadable at once, and its uploader is told.
    Returns the File.

    Raises PermissionDenied for anybody but a super, Http404, Invalid (400) for no reason, Conflict (409) when it
    is not in quarantine.
    """
    assert_super(by)
    reason = clean_reason(reason)
    file = get_visible(file_id, File.objects.select_for_update(of=("self",)).select_related("folder", "uploaded_by"))
    if not File.objects.quarantined().filter(pk=file.pk).exists():
        raise Conflict(_("This file is not in quarantine."), code="not_in_quarantine")
    before = {"state": file.scan_state, "signature": file.scan_detail}
    _set(file, ScanState.CLEAN, "")
    record(Action.QUARANTINE_RELEASED, user=by, target=file, folder=file.folder, reason=reason, **before)
    news.tell_of_quarantine(file, state="released", by=by)
    return file


def mark_waiting(*, again=False, progress=None):
    """Have clean files scanned that never were, with `again` also those that were. Returns how many wait now.

    For a portal that switches the gate on later. Nobody can download them until they are judged; whoever got a URL
    of a bucket before keeps it for its minutes.
    """
    rows = File.objects.filter(scan_state=ScanState.CLEAN)
    if not again:
        rows = rows.filter(scanned_at=None)
    count, last = 0, None
    while True:
        some = rows if last is None else rows.filter(pk__gt=last)
        ids = list(some.order_by("pk").values_list("pk", flat=True)[:BATCH])
        if not ids:
            return count
        count += rows.filter(pk__in=ids).update(
            scan_state=ScanState.WAITING, scan_detail="", scan_due_at=timezone.now(), scan_failures=0
        )
        last = ids[-1]
        if progress:
            progress.advance(len(ids))
