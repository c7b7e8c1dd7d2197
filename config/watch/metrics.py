"""Metrics in Prometheus' format at /metrics; docs/monitoring.md names each.

There are two kinds. A web process counts what it sees itself (requests, the store's answers). Several processes write
their counts into files under DATA_DIR/metrics, which are added up at a scrape (`share`). Numbers from the database, the
queue or elsewhere are read at a scrape by functions that the apps register (`reader`), at most once in CACHE_SECONDS.
They are the same on every process and machine.

No label holds an id, an address or a path.
"""

import contextlib
import ipaddress
import logging
import os
import shutil
import socket
import threading
import time
from pathlib import Path

from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError, connection, transaction
from django.http import Http404, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess, values
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from redis import Redis
from redis.exceptions import RedisError

from config import embedded, errors
from config.celery import app

logger = logging.getLogger(__name__)

CACHE_SECONDS = 10
READER_TIMEOUT_MS = 3000
REGISTRY = CollectorRegistry()
FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA")

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

REQUESTS = Counter("portal_requests", "Requests answered.", ["method", "route", "status"], registry=REGISTRY)
SECONDS = Histogram(
    "portal_request_seconds",
    "From a request's first line to its answer's last byte.",
    ["route"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60),
    registry=REGISTRY,
)
BYTES = Counter("portal_response_bytes", "Bytes of answers' bodies, as announced.", ["route"], registry=REGISTRY)
IN_FLIGHT = Gauge(
    "portal_requests_in_flight", "Requests being answered.", ["method"], registry=REGISTRY, multiprocess_mode="livesum"
)
THROTTLED = Counter("portal_throttled", "Answers 429, by route.", ["route"], registry=REGISTRY)
STORE_SECONDS = Histogram(
    "portal_store_seconds",
    "Calls to the object store by operation.",
    ["operation"],
    buckets=(0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 15),
    registry=REGISTRY,
)
STORE_ERRORS = Counter(
    "portal_store_errors", "Calls the object store failed, by operation.", ["operation"], registry=REGISTRY
)
OWN = (REQUESTS, SECONDS, BYTES, IN_FLIGHT, THROTTLED, STORE_SECONDS, STORE_ERRORS)


# --- Counting ----------------------------------------------------------------------------------------


def method_of(request):
    """The method, or "other" for an unknown one. A label for each word that clients invent would grow without end."""
    return request.method if request.method in METHODS else "other"


def count_request(method, route, status, seconds, size):
    """Count one answered request; `size` in bytes, or None when unknown."""
    REQUESTS.labels(method, route, f"{status // 100}xx").inc()
    SECONDS.labels(route).observe(seconds)
    if size:
        BYTES.labels(route).inc(size)
    if status == 429:
        THROTTLED.labels(route).inc()


# --- Several processes -------------------------------------------------------------------------------


def shared_folder():
    """The folder where the processes of this web server on this machine write their counts."""
    return Path(settings.DATA_DIR, "metrics", socket.gethostname())


def start_shared():
    """Call in the master before the first worker: empties the folder."""
    shutil.rmtree(shared_folder(), ignore_errors=True)
    shared_folder().mkdir(mode=0o750, parents=True)


def share():
    """Call in a worker before its first request: counts into files that the other workers also read."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(shared_folder())
    values.ValueClass = values.MultiProcessValue()
    for metric in OWN:
        # Drop what the master counted before the fork: it is in no file.
        metric.clear()


def leave(pid):
    """Call in the master when a worker has ended: keeps its counts and removes its requests in flight."""
    if shared_folder().is_dir():
        multiprocess.mark_process_dead(pid, str(shared_folder()))


def _counted():
    """A registry with the counts of all processes."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if not folder:
        return REGISTRY
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry, folder)
    return registry


# --- Read when asked ---------------------------------------------------------------------------------

_readers = []


def reader(function):
    """Register `function()`, which returns metric families at each scrape.

    It may run a few bounded queries, and must not read thousands of rows.
    """
    _readers.append(function)
    return function


def gauge(name, text, samples, labels=()):
    """A metric family: `samples` is one number, or {label values as a tuple: number}."""
    return _filled(GaugeMetricFamily(name, text, labels=labels), samples)


def counter(name, text, samples, labels=()):
    """A metric family of numbers that only grow; Prometheus adds `_total` to the name."""
    return _filled(CounterMetricFamily(name, text, labels=labels), samples)


def _filled(family, samples):
    if not isinstance(samples, dict):
        samples = {(): samples}
    for values_of_labels, value in samples.items():
        if value is not None:
            family.add_metric(values_of_labels, float(value))
    return family


def remember(name, value, *, lifetime=None):
    """Keep a number that a job knows and a scrape cannot compute, such as the time of the last backup.

    It is shown for `lifetime`, a timedelta; None: until a new one replaces it. The cache holds it and may drop it
    sooner. A cache that is down does not stop the job.
    """
    try:
        cache.set(f"metrics:{name}", value, timeout=None if lifetime is None else lifetime.total_seconds())
    except (OSError, RedisError):
        logger.warning("%s was not kept for the metrics", name)


def recall(name):
    """The number kept by `remember`, or None."""
    return cache.get(f"metrics:{name}")


class Readings:
    """The readers' results, kept for CACHE_SECONDS.

    One scrape at a time calls the readers. Others meanwhile get the last results, so that scrapes never pile up behind
    a database that hangs. The metrics of a failed reader are missing, and `portal_reader_failed` names it.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._families, self._until = [], 0.0

    def collect(self):
        """The metric families; part of prometheus_client's protocol."""
        if time.monotonic() >= self._until and self._lock.acquire(blocking=not self._families):
            try:
                if time.monotonic() >= self._until:
                    self._families = _ask_readers()
                    self._until = time.monotonic() + CACHE_SECONDS
            finally:
                self._lock.release()
        return self._families

    def describe(self):
        """Returns no names: to learn them would mean to query the database at the start."""
        return []

    def forget(self):
        """Read again at the next scrape."""
        self._families, self._until = [], 0.0


def _ask_readers():
    families, failed = [], {}
    for read in _readers:
        name = f"{read.__module__.split('.')[0]}.{read.__name__}"
        failed[(name,)] = 0
        try:
            with _bounded():
                families += read()
        except (DatabaseError, OSError, RedisError, errors.Refused) as error:
            failed[(name,)] = 1
            logger.warning("%s cannot be read: %s", name, type(error).__name__)
    families.append(gauge("portal_reader_failed", "1 where metrics could not be read.", failed, ["reader"]))
    return families


@contextlib.contextmanager
def _bounded():
    """Stop each query of a scrape after READER_TIMEOUT_MS, on PostgreSQL."""
    if connection.vendor != "postgresql":
        # Begin no transaction: it would take SQLite's only write lock.
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = %s", [READER_TIMEOUT_MS])
        yield
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout TO DEFAULT")


READINGS = Readings()
_read = CollectorRegistry()
_read.register(READINGS)


@reader
def queue():
    """Lengths of the queues, and space on the disk."""
    disk = shutil.disk_usage(settings.DATA_DIR)
    return [
        gauge("portal_queue_tasks", "Tasks waiting in a queue.", queue_lengths(), ["queue"]),
        gauge("portal_disk_free_bytes", "Free bytes of the disk that holds DATA_DIR.", disk.free),
        gauge("portal_disk_bytes", "Bytes of the disk that holds DATA_DIR.", disk.total),
    ]


def queue_lengths():
    """{(queue,): tasks that no worker has taken yet}, for every queue."""
    if embedded.wanted():
        with app.connection_for_read() as broker:
            there = broker.default_channel.queues
            return {(name,): there[name].qsize() if name in there else 0 for name in settings.CELERY_TASK_QUEUES}
    with Redis.from_url(settings.CELERY_BROKER_URL, socket_connect_timeout=1, socket_timeout=1) as broker:
        return {(name,): broker.llen(name) for name in settings.CELERY_TASK_QUEUES}


# --- The page ----------------------------------------------------------------------------------------


def may_read(request):
    """True for a client with METRICS_TOKEN, or on this machine: without a proxy, and under a loopback name."""
    kind, _space, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if settings.METRICS_TOKEN and kind.lower() == "bearer":
        return constant_time_compare(token.strip(), settings.METRICS_TOKEN)
    host = request.META.get("HTTP_HOST", "").rsplit(":", 1)[0].strip("[]")
    return (
        _is_loopback(request.META.get("REMOTE_ADDR", ""))
        and (host == "localhost" or _is_loopback(host))
        and not any(name in request.META for name in FORWARDED)
    )


def _is_loopback(address):
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


@never_cache
@require_safe
def metrics(request):
    """All metrics, as text. Raises Http404 for clients that may not read them."""
    if not may_read(request):
        raise Http404
    text = generate_latest(_counted()) + generate_latest(_read)
    return HttpResponse(text, content_type=CONTENT_TYPE_LATEST)
