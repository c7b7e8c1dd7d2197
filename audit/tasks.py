"""What the log does by itself."""

import logging

from celery import shared_task

from . import chain, heads, verifying

logger = logging.getLogger(__name__)


@shared_task
def seal():
    """Place the rows that a process left without a place."""
    chain.seal()


@shared_task
def keep_head():
    """Check what came since the last kept head, and keep a new one."""
    head = verifying.keep_head()
    if head is not None:
        logger.info("Head of the audit log: row %s %s, signed %s", head.seq, head.hash, head.signature)


@shared_task
def verify():
    """Walk the whole chain; what is wrong is told to whoever watches the logs and the metrics."""
    kept, strange = heads.kept()
    for fault in verifying.verify(kept=kept, strange=strange).faults:
        logger.error("The audit log is not whole: row %s: %s", fault.seq, fault.text)
