"""Registers the contributions of this app at the start."""

from accounts import metrics, parts, scopes
from accounts.notices import kinds, letters
from accounts.privacy import personal_data
from audit import actions
from config.api.tags import TAGS, Heading
from config.contributions import names, schedule
from config.http import throttling
from config.watch import logs
from config.watch.metrics import reader

from . import notice_kinds
from .actions import Action
from .letter_samples import SAMPLES
from .names import FIELDS, MODELS
from .rates import RATES
from .schedule import JOBS, LONG

HEADINGS = {
    "auth": Heading("Signing in", 10, "Make an account, log in and out, set a new password."),
    "users": Heading(
        "Your account", 20, "Your profile, picture, log-ins and API tokens, and what others may see of you."
    ),
    "notifications": Heading("Notices", 70, "What the portal told you, and which of it comes by mail."),
    "admin": Heading("Administration", 90, "People, roles, companies and the whole log; for supers."),
}


def hand_in():
    """Add this app's values to the registries of the lower layers and to its own."""
    actions.register(Action)
    names.give("accounts", MODELS, FIELDS)
    schedule.register(JOBS, long=LONG)
    logs.register(doors=["unsubscribe"], names=["session", "device"])
    throttling.RATES.add_all(RATES)
    TAGS.add_all(HEADINGS)
    scopes.register(scopes.Scope)
    kinds.register(notice_kinds.KINDS, notice_kinds.GROUPS)
    letters.SAMPLES.add_all(SAMPLES)
    personal_data.keep()
    reader(metrics.mail)
    parts.register()
