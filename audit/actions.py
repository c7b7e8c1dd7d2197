"""The actions of the log. Each app registers its own; the log finds them by their stored text."""

from dataclasses import dataclass, field

from django.db import models
from django.utils.translation import gettext_lazy as _

from config.contributions.registry import Registry


@dataclass(frozen=True)
class Kind:
    """Properties of an action.

    `is_secret`: users do not see its rows about their own file or account. `has_bytes`: /metrics adds up the rows'
    sizes, starting at zero. `ways` divides the rows there: {a key of `detail`: label}. The first key that a row's
    detail has counts; the key "" fits all rows.
    """

    label: str
    is_secret: bool = False
    has_bytes: bool = False
    ways: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """Some rows of an `action`, which filters find by a name of their own: those whose `detail` has the key `key`."""

    action: str
    key: str
    label: str


ACTIONS = Registry("action of the log")
PARTS = Registry("part of an action of the log")


def register(actions, *, secret=(), with_bytes=(), ways=None, parts=None):
    """Register an app's actions, a TextChoices.

    `secret` and `with_bytes` are subsets of them; `ways` is {action: Kind.ways} for actions whose rows are divided.
    `parts` is {name: Part} for rows that filters find by a name of their own.
    """
    for action in actions:
        kind = Kind(
            action.label,
            is_secret=action in secret,
            has_bytes=action in with_bytes,
            ways=(ways or {}).get(action, {}),
        )
        ACTIONS.add(action.value, kind)
    PARTS.add_all(parts or {})


def choices():
    """[(stored text, label)], sorted by label in the current language."""
    return _sorted(ACTIONS)


def filter_choices():
    """[(name, label)] of all that a filter may ask for: the actions and their parts, sorted as `choices`."""
    return _sorted({**ACTIONS, **PARTS})


def _sorted(named):
    return sorted(((name, kind.label) for name, kind in named.items()), key=lambda choice: str(choice[1]))


def condition(name):
    """The arguments of filter() for an action, or for a part of one."""
    if name in PARTS:
        return {"action": PARTS[name].action, "detail__has_key": PARTS[name].key}
    return {"action": name}


def secret():
    """The stored texts of actions that only supers see."""
    return [name for name, kind in ACTIONS.items() if kind.is_secret]


class Action(models.TextChoices):
    """Actions on the log itself: stored text and label."""

    LOG_READ = "log_read", _("Log read")
    LOG_EXPORTED = "log_exported", _("Log exported")
    LOG_ACCEPTED = "log_accepted", _("Log accepted as it is")
