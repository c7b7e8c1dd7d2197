"""Measure how long the store takes, for /metrics. `get_store()` uses a class made here."""

import threading
import time

from config.errors import Refused
from config.watch import metrics

# The calls that make the store work. Signing a URL is not among them: it does not ask the store.
CALLS = ("received", "complete_put", "discard_put", "create_multipart", "list_parts", "complete_multipart")
CALLS += ("abort_multipart", "write", "copy", "head", "open", "delete", "expire_after")
_inside = threading.local()


def metered(store_class):
    """A subclass of the same name that times its CALLS, and `read_range` up to its first block.

    When a store calls itself inside one of CALLS, only the outer call is counted.
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
        # Count failures of the store only. A 4xx, such as for a missing object, is a proper answer.
        if not isinstance(error, Refused) or error.status >= 500:
            metrics.STORE_ERRORS.labels(name).inc()
        raise
    finally:
        metrics.STORE_SECONDS.labels(name).observe(time.perf_counter() - start)
