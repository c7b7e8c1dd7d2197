"""A small WSGI application for tests/config/http/test_worker.py, served by the portal's worker with short times."""

import time

from gunicorn.workers import gthread

from config.http import worker

worker.ARRIVAL_SECONDS = worker.WINDOW_SECONDS = 2
worker.TURN_SECONDS = 3.2
worker.LEAST_BYTES_PER_SECOND = 10_000
gthread.DEFAULT_WORKER_DATA_TIMEOUT = 0.2
BROKEN = []


def application(environ, start_response):
    """/slow takes three seconds, /unread leaves the body, /broken names the errors so far; others count the body."""
    path, status = environ["PATH_INFO"], "200 OK"
    answer = path.encode()
    if path == "/slow":
        time.sleep(3)
    elif path == "/broken":
        answer = " ".join(BROKEN).encode()
    elif path == "/unread":
        status = "401 Unauthorized"
    else:
        try:
            answer += b" %d" % len(environ["wsgi.input"].read())
        except OSError as error:
            BROKEN.append(type(error).__name__)
            status = "408 Request Timeout"
    start_response(status, [("Content-Length", str(len(answer)))])
    return [answer]
