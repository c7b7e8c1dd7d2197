"""gunicorn's configuration: one process of threads where the queue lives in it, as many as asked where not."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.conf import settings

from config import embedded

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


def on_starting(server):
    """Refuses a queue that each worker would have for itself."""
    if embedded.wanted() and workers > 1:
        raise SystemExit("WEB_WORKERS above 1 needs REDIS_URL: without a broker the queue lives in one process.")


def post_worker_init(worker):
    """Starts the background jobs in the web process, unless a broker carries them elsewhere."""
    if embedded.wanted():
        embedded.start()
