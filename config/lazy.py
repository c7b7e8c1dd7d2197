"""Imports that wait until they are needed, and some that are never needed."""

import importlib
import sys


class LazyModule:
    """Stands for the module `name` and imports it when one of its names is first used.

    For large libraries that most processes never need, so that these start faster and smaller. Importing is safe from
    several threads at once (importlib's locks).
    """

    def __init__(self, name):
        self._name = name

    def __getattr__(self, attribute):
        return getattr(importlib.import_module(self._name), attribute)


def leave_out(name):
    """Let the import of the module `name` fail, for libraries that take it along wherever it is installed."""
    sys.modules.setdefault(name, None)
