"""Registries that apps fill when they start.

A lower app keeps a Registry of what it needs from the apps above it, such as the actions of the log. Each app above
fills it from its `contributions` package, which its `ready()` calls. So no lower app imports or names one above it.
"""

from collections.abc import Mapping

from django.apps import AppConfig, apps
from django.core.exceptions import ImproperlyConfigured


class Registry(Mapping):
    """Values by name, read like a dict. Sorted by name, so that the order in which apps start has no effect.

    `noun` names the kind of value in error messages. Raises ImproperlyConfigured for a name that is taken. Raises it
    too for a value added after all apps have started: readers that ran before would miss it.
    """

    def __init__(self, noun):
        self._noun, self._values = noun, {}

    def add(self, name, value):
        """Register one value."""
        if apps.ready:
            raise ImproperlyConfigured(f"The {self._noun} {name!r} comes too late: hand it in when the app starts.")
        if name in self._values:
            raise ImproperlyConfigured(f"There are two of the {self._noun} {name!r}.")
        self._values[name] = value

    def add_all(self, values):
        """Register each value of a dict."""
        for name, value in values.items():
            self.add(name, value)

    def __getitem__(self, name):
        return self._values[name]

    def __iter__(self):
        return iter(sorted(self._values))

    def __len__(self):
        return len(self._values)


class PortalApp(AppConfig):
    """Base class of the portal's own apps; Django's and libraries' apps do not have it.

    An apps.py must import this module and not the class: Django takes each AppConfig class in an apps.py for that app's
    own.
    """


def portal_apps():
    """The labels of the portal's apps."""
    return [app.label for app in apps.get_app_configs() if isinstance(app, PortalApp)]
