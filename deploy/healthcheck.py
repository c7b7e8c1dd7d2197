"""Is this container's process healthy? Ends with 0 if it is, else with 1 and a sentence.

    python deploy/healthcheck.py web       /healthz answers 200
    python deploy/healthcheck.py worker    its main loop ran within the last ten minutes (config/watch/liveness.py)
    python deploy/healthcheck.py beat      it wrote its schedule within the last ten minutes

The limit is ten minutes because a worker is silent while the broker is down, and restarting the worker does not help
then. Beat writes every three minutes. It uses only the standard library, because it runs often and must be cheap.
"""

import http.client
import os
import sys
import tempfile
import time
from pathlib import Path

LONGEST_SILENCE_SECONDS = 600
FILES = {"worker": "portal-worker-alive", "beat": "portal-beat*"}


def main(kind):
    return ask_web() if kind == "web" else look_at(FILES[kind])


def ask_web():
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("PORT", "8000")), timeout=5)
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except OSError as error:
        return f"no answer: {error}"
    return None if status == 200 else f"/healthz answers {status}"


def look_at(pattern):
    times = [path.stat().st_mtime for path in Path(tempfile.gettempdir()).glob(pattern)]
    if not times:
        return f"there is no {pattern} yet"
    silence = time.time() - max(times)
    return None if silence < LONGEST_SILENCE_SECONDS else f"silent for {silence:.0f} seconds"


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in ("web", *FILES):
        sys.exit("say which: web, worker or beat")
    sys.exit(main(sys.argv[1]))
