"""gunicorn's configuration: WEB_WORKERS processes, but only one when the queue lives in the process."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.conf import settings
from gunicorn import glogging

from config import embedded
from config.outside import frozen
from config.watch import logs, metrics


class Logger(glogging.Logger):
    """Formats gunicorn's own lines like all others. They quote addresses of requests, so they go through our filter."""

    def setup(self, cfg):
        """Give gunicorn's handlers our filter and formatter."""
        super().setup(cfg)
        formatter = {"line": logs.LineFormatter, "json": logs.JSONFormatter}[settings.LOG_FORMAT]()
        for handler in self.error_log.handlers:
            handler.addFilter(logs.RequestFilter())
            handler.setFormatter(formatter)


bind = f"{settings.HOST}:{settings.PORT}"
worker_class = "config.http.worker.Worker"
workers = settings.WEB_WORKERS
threads = settings.WEB_THREADS
reload = settings.DEBUG
loglevel = "warning"
timeout = 60
graceful_timeout = 5
keepalive = 15
# The portal itself finds the client's address behind a proxy (TRUSTED_PROXY_COUNT).
forwarded_allow_ips = ""
control_socket_disable = True
logger_class = Logger


def on_starting(server):
    """Stop when each of several workers would have a queue of its own; prepare the folder of their shared counts."""
    if embedded.wanted() and workers > 1:
        raise SystemExit("WEB_WORKERS above 1 needs REDIS_URL: without a broker the queue lives in one process.")
    if workers > 1:
        metrics.start_shared()


def post_fork(server, worker):
    """Let a new worker watch for a frozen database, and count into files: the counts of all workers are added up."""
    frozen.watch()
    if workers > 1:
        metrics.share()


def child_exit(server, worker):
    """Remove a dead worker's requests in flight from the metrics."""
    metrics.leave(worker.pid)


def post_worker_init(worker):
    """Start the background jobs in the web process, unless a broker passes them to other workers."""
    if embedded.wanted():
        embedded.start()
