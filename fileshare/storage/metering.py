"""How long the store takes, for /metrics: the portal's one store is of a class made here."""

import threading
import time

from config import metrics
from config.errors import Refused

# What takes the store's time; to sign a URL takes none.
CALLS = ("received", "complete_put", "discard_put", "create_multipart", "list_parts", "complete_multipart")
CALLS += ("abort_multipart", "write", "head", "open", "delete", "expire_after")
_inside = threading.local()


def metered(store_class):
    """A subclass under the same name, whose CALLS are timed, and `read_range` up to its first block.

    Calls that a store makes to itself count with the one they are part of.
    """

    def timed(name):
        def call(self, *arguments, **options):
            inner = getattr(super(made, self), name)
            if getattr(_inside, "busy", False):
                return inner(*arguments, **options)
            _inside.busy = True
            try:
                return _measured(name, inner, *arguments, **options)
            finally:
                _inside.busy = False

        call.__name__, call.__doc__ = name, getattr(store_class, name).__doc__
        return call

    def read_range(self, key, start, end):
        blocks = super(made, self).read_range(key, start, end)
        first = _measured("read_range", next, blocks, None)
        if first is not None:
            yield first
            yield from blocks

    members = {name: timed(name) for name in CALLS} | {"read_range": read_range}
    made = type(store_class.__name__, (store_class,), {"__doc__": store_class.__doc__, **members})
    return made


def _measured(name, call, *arguments, **options):
    start = time.perf_counter()
    try:
        return call(*arguments, **options)
    except Exception as error:
        # What is not there or not as announced is an answer; what is away or broken is none.
        if not isinstance(error, Refused) or error.status >= 500:
            metrics.STORE_ERRORS.labels(name).inc()
        raise
    finally:
        metrics.STORE_SECONDS.labels(name).observe(time.perf_counter() - start)
