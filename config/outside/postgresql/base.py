"""Gives a query up when the server is frozen: it took the query, and does not answer a new connection either.

Without this a thread of the portal waits for ever. TCP's own limits do not help: the kernel of the server's machine
still acknowledges every packet. A time limit for queries does not help: a backup or a migration may take hours. So a
query that has no answer after PATIENCE_SECONDS makes its thread ask the server by a second connection. If that one is
answered, the query goes on. A busy server or a lost packet may delay one answer, so the query is given up only after
several such connections in a row without an answer.

Only web processes and workers do so (config.outside.frozen). A command waits: a restore or a migration must not be
given up for a server that is slow for some seconds.
"""

import math
import selectors
import time

import psycopg
from django.db.backends.postgresql import base
from psycopg.errors import ConnectionTimeout

from config.outside import frozen
from config.outside.outage import Outage

PATIENCE_SECONDS = 3
"""Seconds without an answer before the first second connection; then twice as long each time."""
LONGEST_PATIENCE_SECONDS = 60
PROBES_SECONDS = (1, 2, 3)
"""How long the second connections in a row may take to answer. After the last one the query is given up."""
PAUSE_SECONDS = 0.5
"""The pause between them."""
OUTAGE_SECONDS = 5
"""New connections are refused for this long after the server was found frozen."""

outage = Outage(OUTAGE_SECONDS, lambda: psycopg.OperationalError("the database did not answer a moment ago"))


class DatabaseWrapper(base.DatabaseWrapper):
    """Watches every wait for the server in web processes and workers.

    Raises OperationalError within about ten seconds when the server is frozen.
    """

    def get_new_connection(self, conn_params):
        """Raises OperationalError at once for a while after the server did not answer."""
        with outage.passed():
            try:
                connection = super().get_new_connection(conn_params)
            except ConnectionTimeout:
                outage.began()
                raise
            except psycopg.OperationalError:
                # It refused: an answer, too.
                outage.ended()
                raise
        outage.ended()
        if frozen.is_watched():
            _watch(connection, conn_params)
        return connection


def _watch(connection, conn_params):
    """Let each wait of `connection` end with an error when the server is frozen."""
    wait = connection.wait

    def patient_wait(generator, *args, **kwargs):
        return wait(_watched(generator, connection, conn_params), *args, **kwargs)

    connection.wait = patient_wait


def _watched(generator, connection, conn_params):
    """psycopg's generator of a wait. psycopg sends it 0 several times a second while there is no answer."""
    patience, begun = PATIENCE_SECONDS, time.monotonic()
    try:
        wanted = next(generator)
        while True:
            ready = yield wanted
            if ready:
                wanted = generator.send(ready)
            elif time.monotonic() - begun > patience:
                if not _answers_in_the_end(conn_params):
                    outage.began()
                    connection.close()
                    raise psycopg.OperationalError("the server took the query and does not answer")
                patience, begun = min(2 * patience, LONGEST_PATIENCE_SECONDS), time.monotonic()
    except StopIteration as end:
        return end.value


def _answers_in_the_end(conn_params):
    """True when the server answers one of several new connections, one after the other."""
    for number, seconds in enumerate(PROBES_SECONDS):
        if number:
            time.sleep(PAUSE_SECONDS)
        if _answers(conn_params, seconds):
            return True
    return False


def _answers(conn_params, seconds):
    """True when the server answers a new connection within some seconds, be it by a refusal."""
    end = time.monotonic() + seconds
    try:
        # libpq knows whole seconds.
        probe = psycopg.connect(**conn_params | {"connect_timeout": math.ceil(seconds)})
    except ConnectionTimeout:
        return False
    except psycopg.OperationalError:
        return True
    try:
        # Ask a query, too: a pooler in between may take connections for a server that is frozen.
        probe.pgconn.send_query(b"SELECT 1")
        # Not select.select: it fails for descriptors of 1024 and more.
        with selectors.DefaultSelector() as selector:
            selector.register(probe.fileno(), selectors.EVENT_READ)
            return bool(selector.select(max(0.1, end - time.monotonic())))
    except (psycopg.Error, OSError, ValueError):
        # A fault of this process or of the new connection, and no proof that the server is frozen.
        return True
    finally:
        probe.close()
