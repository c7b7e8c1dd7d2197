"""gunicorn's configuration: one process of threads where the queue lives in it, as many as asked where not."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.conf import settings
from gunicorn import glogging

from config import embedded, logs, metrics


class Logger(glogging.Logger):
    """gunicorn's own lines, which quote the addresses of requests, as all others are written."""

    def setup(self, cfg):
        """Give its handlers our filter and formatter."""
        super().setup(cfg)
        formatter = {"line": logs.LineFormatter, "json": logs.JSONFormatter}[settings.LOG_FORMAT]()
        for handler in self.error_log.handlers:
            handler.addFilter(logs.RequestFilter())
            handler.setFormatter(formatter)


bind = f"{settings.HOST}:{settings.PORT}"
worker_class = "gthread"
workers = settings.WEB_WORKERS
threads = settings.WEB_THREADS
reload = settings.DEBUG
loglevel = "warning"
timeout = 60
graceful_timeout = 5
keepalive = 15
# Behind a proxy the client's address is the portal's business (TRUSTED_PROXY_COUNT).
forwarded_allow_ips = ""
control_socket_disable = True
logger_class = Logger


def on_starting(server):
    """Refuses a queue that each worker would have for itself; makes room for what the workers count."""
    if embedded.wanted() and workers > 1:
        raise SystemExit("WEB_WORKERS above 1 needs REDIS_URL: without a broker the queue lives in one process.")
    if workers > 1:
        metrics.start_shared()


def post_fork(server, worker):
    """Several workers add up what they count."""
    if workers > 1:
        metrics.share()


def child_exit(server, worker):
    """What a worker had under way ends with it."""
    metrics.leave(worker.pid)


def post_worker_init(worker):
    """Starts the background jobs in the web process, unless a broker carries them elsewhere."""
    if embedded.wanted():
        embedded.start()
