"""Processes of the portal that use the test's database."""

import os

from django.db import connection, connections


def environment_of(settings, **more):
    """The environment of a process that shares the test's database and folder. Closes the test's own connections."""
    connections.close_all()
    facts = connection.settings_dict
    place = f"{facts['USER']}:{facts['PASSWORD']}@{facts['HOST']}:{facts['PORT']}" if facts["HOST"] else ""
    scheme = "sqlite" if connection.vendor == "sqlite" else "postgres"
    url = f"{scheme}://{place}/{facts['NAME']}"
    return {**os.environ, "DATABASE_URL": url, "DATA_DIR": str(settings.DATA_DIR), **more}
