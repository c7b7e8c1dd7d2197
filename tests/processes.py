"""Processes of the portal that work on the database of the test."""

import os

from django.db import connection, connections


def environment_of(settings, **more):
    """The environment of a process that shares the test's database and folder; the test lets go of both."""
    connections.close_all()
    facts = connection.settings_dict
    place = f"{facts['USER']}:{facts['PASSWORD']}@{facts['HOST']}:{facts['PORT']}" if facts["HOST"] else ""
    scheme = "sqlite" if connection.vendor == "sqlite" else "postgres"
    url = f"{scheme}://{place}/{facts['NAME']}"
    return {**os.environ, "DATABASE_URL": url, "DATA_DIR": str(settings.DATA_DIR), **more}
