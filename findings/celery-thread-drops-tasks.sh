#!/usr/bin/env bash
# A Celery worker in a thread takes tasks and never runs them, unless its app is the process's default.
#
# Expected: an app with a worker in a thread of its own process (a portal without Redis) runs what it is sent.
# Seen:     each task is "received" and then gone: not run, not failed, no line in the log. The current app belongs to
#           the thread that made it; the worker's thread has Celery's own empty app, whose tasks are others. After
#           `app.set_default()` every task runs.
# With:     celery 5.7.0 and kombu 5.7.0, pool "threads", broker memory://, Python 3.11; 2026-11.
# Matters:  the mails and clean-ups of such a portal would be lost without a trace. Call `set_default()` where the app
#           is made, and have a test that waits for a task.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --disable-pip-version-check celery==5.7.0 kombu==5.7.0

cat >portal.py <<'PY'
import logging
import os
import sys
import threading
import time

from celery import Celery

log = []


class Lines(logging.Handler):
    def emit(self, record):
        log.append(record.getMessage())


logging.basicConfig(level=logging.INFO, handlers=[Lines()])
app = Celery("portal", broker="memory://")
app.conf.update(worker_hijack_root_logger=False, broker_transport_options={"polling_interval": 0.05})
is_default = sys.argv[1] == "default"
if is_default:
    app.set_default()

done = threading.Event()


@app.task
def send_mail():
    done.set()


worker = app.WorkController(pool="threads", concurrency=1, without_mingle=True, without_gossip=True)
threading.Thread(target=worker.start, daemon=True).start()
send_mail.delay()

received = False
for _ in range(200):
    received = received or any("send_mail" in line and line.endswith("received") for line in log)
    if received and (done.is_set() or not is_default):
        break
    time.sleep(0.1)
ran = done.wait(3)
after = [line for line in log if "send_mail" in line and not line.endswith("received")]
print(f"seen: {sys.argv[1]} app: received {received}, ran {ran}, told {len(after)} lines about it", flush=True)
good = received and ran is is_default and bool(after) is is_default
os._exit(0 if good else 1)  # the worker's threads would keep the process
PY

venv/bin/python portal.py current
venv/bin/python portal.py default
