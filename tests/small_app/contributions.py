"""What this app hands in when it starts: one of each kind."""

from datetime import timedelta

from django.db import models

from accounts import keepers, scopes
from accounts.notices import kinds, letters, mail
from audit import actions
from config.api.tags import TAGS, Heading
from config.contributions import names, schedule
from config.http import throttling
from config.outside import own_secrets
from config.watch import logs, metrics


class Action(models.TextChoices):
    THING_LENT = "thing_lent", "Thing lent"


class Scope(models.TextChoices):
    THINGS_READ = "things:read", "See what there is to lend"


RETURN = kinds.Kind(
    "thing_due",
    "A thing of yours is due",
    "lending",
    "clock",
    kinds.NOW,
    lambda facts: f"The {facts['thing']} is due.",
    kinds.page("lent", "token"),
)


def lent_things():
    """A number for /metrics."""
    return [metrics.gauge("portal_things_lent", "Things lent.", 3)]


def hand_in():
    """Hand in one of each kind."""
    actions.register(Action)
    kinds.register([RETURN], {"lending": kinds.Group("Lending", 60)})
    scopes.register(Scope)
    schedule.register(
        {"count things": ("tests.small_app.tasks.count_things", timedelta(seconds=5))},
        long=["tests.small_app.tasks.count_things"],
    )
    names.give("small_app", {"thing": ("thing to lend", "things to lend")}, {"lent_to": "borrower"})
    logs.register(doors=["lent"], names=["shelfmark"])
    own_secrets.register("LENDING_SECRET")
    throttling.RATES.add("things", "1/d")
    TAGS.add("lending", Heading("Lending library", 1, "Ladders, mostly."))
    keepers.register(keepers.Keeper(name="small_app", sections={"lent_things": lambda user: ["a ladder"]}))
    mail.context_for("thing_due", lambda stored: None)
    letters.SAMPLES.add("thing_due", dict)
    metrics.reader(lent_things)
