"""Registers this app's contributions when it starts."""

from accounts import scopes
from accounts.notices import kinds, letters
from audit import actions
from config.api.tags import TAGS, Heading
from config.contributions import names, schedule
from config.http import throttling
from config.outside import own_secrets
from config.outside.companions import COMPANIONS
from config.watch import logs
from config.watch.metrics import reader
from payments import metrics, parts, privacy
from payments.simulator import companion

from . import notice_kinds
from .actions import Action
from .letter_samples import SAMPLES
from .names import FIELDS, MODELS
from .rates import RATES
from .schedule import JOBS
from .scopes import Scope

MPESA = Heading("M-Pesa", 60, "Buy space for a folder; and where M-Pesa calls back.")


def hand_in():
    """Add this app's part to each registry of the apps below."""
    actions.register(Action)
    names.give("payments", MODELS, FIELDS)
    schedule.register(JOBS)
    logs.register(doors=["payments/cb"], names=["securitycredential"])
    throttling.RATES.add_all(RATES)
    TAGS.add_all({"mpesa": MPESA, "payments": MPESA})
    own_secrets.register("MPESA_CONSUMER_SECRET", "MPESA_PASSKEY", "MPESA_CALLBACK_SECRET")
    scopes.register(Scope)
    kinds.register(notice_kinds.KINDS, notice_kinds.GROUPS)
    letters.SAMPLES.add_all(SAMPLES)
    privacy.keep()
    COMPANIONS.add("payments", companion.start)
    reader(metrics.payments)
    parts.register()
