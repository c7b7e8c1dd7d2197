"""The background tasks of the log."""

import logging

from celery import shared_task

from . import chain, heads, verifying

logger = logging.getLogger(__name__)


@shared_task
def seal():
    """Place the rows that processes left without a place."""
    chain.seal()


@shared_task
def keep_head():
    """Check the rows since the last kept head and keep a new head; log the faults as errors."""
    head, faults = verifying.keep_head()
    _tell(faults)
    if head is not None:
        logger.info("Head of the audit log: row %s %s, signed %s", head.seq, head.hash, head.signature)


@shared_task
def verify():
    """Check the whole chain; faults go to the log lines as errors and to the metrics."""
    kept, strange = heads.kept()
    _tell(verifying.verify(kept=kept, strange=strange).faults)


def _tell(faults):
    for fault in faults:
        logger.error("The audit log is not whole: row %s: %s", fault.seq, fault.text)
