"""Registers this app's contributions when it starts."""

from audit import actions, metrics, parts
from config.contributions import names, schedule
from config.watch.metrics import reader

from .names import FIELDS, MODELS
from .schedule import JOBS, LONG


def hand_in():
    """Add this app's part to each registry of the apps below, and to its own."""
    actions.register(actions.Action)
    names.give("audit", MODELS, FIELDS)
    schedule.register(JOBS, long=LONG)
    reader(metrics.record)
    parts.register()
