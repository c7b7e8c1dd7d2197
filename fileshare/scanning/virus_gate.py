"""The virus gate: with CLAMD_URL set, a file can be downloaded only after the scanner has passed it.

This module changes the scan states; the File queryset decides who may download. While the scanner does not answer,
files wait and are tried again. Files that the scanner finds infected or cannot judge stay in quarantine until a super
decides.
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

from accounts.people.log_reasons import clean_reason
from accounts.people.roles import assert_super
from audit.log import record
from config import context
from config.access import get_allowed, get_visible
from config.errors import Conflict, Refused
from config.outside.queue import send_after_commit
from fileshare import folder_notices
from fileshare.contributions.actions import Action
from fileshare.models import File, ScanState
from fileshare.models.files import STUCK_AFTER
from fileshare.storage import ObjectMissing, StoreUnavailable, get_store

from . import clamd

logger = logging.getLogger(__name__)

RENEW_SECONDS = 30
BACKOFF_SECONDS = 30
MAX_BACKOFF_SECONDS = 1800
# After so many failures in a row, on different files, the fault is in the scanner or the store. Then the run ends.
PATIENCE = 3
RUN_SECONDS = 60
"""After so many seconds a run begins no further file. It queues the rest, behind the other tasks of the queue."""
TURN = "virus-scan-turn"
PROBE = b"Is anybody there?"
BATCH = 500

_STATES = {
    clamd.Outcome.CLEAN: ScanState.CLEAN,
    clamd.Outcome.FOUND: ScanState.INFECTED,
    clamd.Outcome.UNSCANNABLE: ScanState.UNSCANNABLE,
}


class NotClean(Refused):
    """403: the virus gate blocks the file. `code` is file_waiting or file_quarantined."""

    def __init__(self, file):
        if file.is_waiting:
            super().__init__(403, "file_waiting", _("This file is still being checked for viruses. Try again soon."))
        else:
            text = _("This file is in quarantine and cannot be downloaded. A super decides what becomes of it.")
            super().__init__(403, "file_quarantined", text)


def assert_clean(file):
    """Raise NotClean (403) for a file that waits or is in quarantine. Call it only for users who may know of it."""
    if not file.is_clean:
        raise NotClean(file)


def get_clean(file_id, *, user, allowed):
    """The file with this id from `allowed`, a queryset of clean files.

    Raises Http404, PermissionDenied, or NotClean (403) when `user` may know of the file and the virus gate blocks it.
    """
    visible = File.objects.visible_to(user)
    try:
        return get_allowed(file_id, visible=visible, allowed=allowed)
    except PermissionDenied:
        file = visible.filter(pk=file_id).first()
    if file is None:
        raise Http404
    assert_clean(file)
    # The file is clean. So either `user` has no right to it, or the scanner passed it since the first query.
    return get_allowed(file_id, visible=visible, allowed=allowed)


def first_state():
    """The scan fields of a new File."""
    if not settings.CLAMD_URL:
        return {}
    return {"scan_state": ScanState.WAITING, "scan_due_at": timezone.now()}


def queue_scan():
    """Queue the scan of waiting files for after the commit. If the task is lost, the schedule starts another."""
    if settings.CLAMD_URL:
        send_after_commit("fileshare.tasks.scan_waiting_files")


def lease():
    """How long a worker may hold a file and the turn without renewing them.

    It is longer than a working worker ever waits for the scanner or between two renewals. A worker that is silent for
    longer has died, and others may take over.
    """
    return timedelta(seconds=2 * settings.CLAMD_TIMEOUT_SECONDS + 2 * RENEW_SECONDS)


def scan_waiting():
    """Scan the waiting files, longest due first; files that failed before come last. Returns how many got a verdict.

    Only one run scans at a time, among all processes that share the cache. So the scanner keeps at most one worker
    busy; another call returns at once, because the current run finds its files too. After RUN_SECONDS the rest is
    queued again. When the scanner does not answer, no file changes, and the schedule tries again. When the scanner or
    the store fails on a file, the file is tried again later, each time after twice the wait. A file that the scanner
    never finishes ends in quarantine.
    """
    if not settings.CLAMD_URL:
        return 0
    count, ends_at = 0, time.monotonic() + RUN_SECONDS
    # Check again after the turn was given back: a call that found the turn taken returned without scanning its file.
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
    """(number of verdicts, True when the caller should go on)."""
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
    """The right to scan. A worker keeps it by renewing it, and loses it a lease after the last renewal."""

    def __init__(self):
        self._name = uuid.uuid4().hex

    def take(self):
        return cache.add(TURN, self._name, lease().total_seconds())

    def keep(self):
        """Renew the turn for another lease. False when it was lost."""
        return self._is_mine() and cache.touch(TURN, lease().total_seconds())

    def give_back(self):
        if self._is_mine():
            cache.delete(TURN)

    def _is_mine(self):
        return cache.get(TURN) == self._name


@contextmanager
def _turn():
    """The _Turn to scan, or None while another worker has it.

    If two workers ever have a turn, each file is still scanned once: a worker also claims each file (_Claim).
    """
    turn = _Turn()
    if not turn.take():
        yield None
        return
    try:
        yield turn
    finally:
        turn.give_back()


def _next():
    """The id of the file to scan now, or None. Files that failed come last, so that they do not delay the others."""
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
    """This worker's claim on a file. It holds until `until`; `renew` moves that."""

    file: File
    until: object
    turn: _Turn

    def mine(self):
        """A queryset of the file's row; empty once another worker has taken the file, or it is gone."""
        return File.objects.waiting_for_a_scan().filter(pk=self.file.pk, scan_due_at=self.until)

    def renew(self):
        """Renew the claim and the turn for another lease. Raises ClaimLost when another worker has the file, or it is
        gone."""
        self.turn.keep()
        until = timezone.now() + lease()
        if not self.mine().update(scan_due_at=until):
            raise ClaimLost(f"file {self.file.pk} is no longer ours to scan")
        self.until = until


class ClaimLost(clamd.ScannerFailed):
    """Another worker has taken the file over, or the file was deleted."""


def _claim(pk, turn):
    until = timezone.now() + lease()
    if not _due().filter(pk=pk).update(scan_due_at=until):
        return None
    file = File.objects.filter(pk=pk).first()
    return None if file is None else _Claim(file, until, turn)


def _judge(claim):
    """The clamd.Verdict on the file's bytes. A file larger than CLAMD_MAX_BYTES is not sent to the scanner."""
    if claim.file.size_bytes > settings.CLAMD_MAX_BYTES:
        return clamd.Verdict(clamd.Outcome.UNSCANNABLE, "larger than CLAMD_MAX_BYTES")
    return clamd.scan(_blocks(claim))


def _blocks(claim):
    """Yield all bytes of the file, and renew the claim meanwhile.

    Raises ClaimLost, and ScannerFailed when the store returns another number of bytes.
    """
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
    """Save the verdict. False, and nothing is saved, when another worker has taken the file over or it is gone."""
    file = claim.mine().select_for_update(of=("self",)).select_related("folder", "subfolder", "uploaded_by").first()
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
    folder_notices.tell_of_quarantine(file, state=file.scan_state, signature=signature)
    return True


def _set(file, state, detail):
    file.scan_state, file.scan_detail = state, context.printable(detail)[:255]
    file.scanned_at, file.scan_due_at, file.scan_failures = timezone.now(), None, 0
    file.save(update_fields=["scan_state", "scan_detail", "scanned_at", "scan_due_at", "scan_failures"])


def _give_back(claim, error):
    """Have a file wait after a failed scan, twice as long as last time.

    After STUCK_AFTER failures of a scanner that judges other bytes, the file goes to quarantine instead. Returns True
    in that case, because it got a verdict.
    """
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
    """True when the scanner can judge a few bytes of a probe. Then the fault is in the file."""
    try:
        return clamd.scan([PROBE]).outcome == clamd.Outcome.CLEAN
    except clamd.ScannerFailed:
        return False


@transaction.atomic
def release(*, by, file_id, reason):
    """Release a file from quarantine by a super's decision. It can be downloaded at once; its uploader is notified.

    Returns the File. Raises PermissionDenied unless `by` is a super, Http404, Invalid (400) without a reason,
    Conflict (409) when the file is not in quarantine.
    """
    assert_super(by)
    reason = clean_reason(reason)
    file = get_visible(
        file_id, File.objects.select_for_update(of=("self",)).select_related("folder", "subfolder", "uploaded_by")
    )
    if not File.objects.quarantined().filter(pk=file.pk).exists():
        raise Conflict(_("This file is not in quarantine."), code="not_in_quarantine")
    before = {"state": file.scan_state, "signature": file.scan_detail}
    _set(file, ScanState.CLEAN, "")
    record(Action.QUARANTINE_RELEASED, user=by, target=file, folder=file.folder, reason=reason, **before)
    folder_notices.tell_of_quarantine(file, state="released", by=by)
    return file


def mark_waiting(*, again=False, progress=None):
    """Have clean files scanned that never were; with `again`, those that were too. Returns how many now wait.

    This is for a portal that turns the virus gate on later. The files cannot be downloaded until they are judged. But
    bucket URLs that were given out before work until they expire.
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
