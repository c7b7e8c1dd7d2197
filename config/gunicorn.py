"""gunicorn's configuration: one process of threads where the queue lives in it, as many as asked where not."""

import os

from config import embedded

bind = f"{os.environ.get('HOST', '127.0.0.1')}:{os.environ.get('PORT', '8000')}"
worker_class = "gthread"
threads = int(os.environ.get("WEB_THREADS", "8"))
workers = int(os.environ.get("WEB_WORKERS", "1"))
graceful_timeout = 5
timeout = 60
keepalive = 15
# Behind a proxy of ours the client's address is the portal's business (TRUSTED_PROXY_COUNT).
forwarded_allow_ips = ""
control_socket_disable = True


def on_starting(server):
    """Refuses a queue that each worker would have for itself."""
    if embedded.wanted() and server.cfg.workers > 1:
        raise SystemExit("WEB_WORKERS above 1 needs REDIS_URL: without a broker the queue lives in one process.")


def post_worker_init(worker):
    """Starts the background jobs in the web process, unless a broker carries them elsewhere."""
    if embedded.wanted():
        embedded.start()
