"""The portal refuses to start on settings with which it could not be paid, or could be cheated, and names them."""

import pytest

from payments import checks
from tests.environments import PRODUCTION, reason_of, refusal_of, settings_of

pytestmark = pytest.mark.once

SECRET = "pLq0vT5wXyZ8aB3cD6eF9gH2iJ4kL7mN"
LIVE = {
    **PRODUCTION,
    "MPESA_ENV": "live",
    "MPESA_CONSUMER_KEY": "Kf4Zt9Wq2LxB",
    "MPESA_CONSUMER_SECRET": "pR7vX1mGd8Ys",
    "MPESA_SHORTCODE": "600123",
    "MPESA_PASSKEY": "uJ3nC6hTq5Ve",
    "MPESA_CALLBACK_SECRET": SECRET,
}


def test_a_full_set_starts_and_asks_safaricom(tmp_path):
    assert settings_of(tmp_path, base=LIVE).MPESA_BASE_URL == "https://api.safaricom.co.ke"


SANDBOX = {
    **{name: value for name, value in LIVE.items() if name.startswith("MPESA_")},
    "MPESA_ENV": "sandbox",
    "MPESA_CALLBACK_URL": "https://tunnel.example.org",
}


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("DEMO", {}),
        ("DEMO", {"DEMO": "1"}),
        ("DEMO", {"MPESA_ENV": "off"}),
        ("DEBUG", {"DEMO": "0", "DEBUG": "1"}),
        ("DEBUG", {"DEMO": "0", "DEBUG": "1", "ALLOWED_HOSTS": "tunnel.example.org"}),
        ("EXPOSE_VERIFICATION_LINK", {"DEMO": "0", "EXPOSE_VERIFICATION_LINK": "1"}),
    ],
    ids=str,
)
def test_a_tunnel_for_callbacks_leads_to_nothing_meant_for_this_machine_alone(name, changes, tmp_path):
    assert f"set {name}=0" in reason_of(tmp_path, base=SANDBOX, **changes)


def test_a_sandbox_behind_a_tunnel_starts_without_the_demo(tmp_path):
    assert "tunnel.example.org" in settings_of(tmp_path, base=SANDBOX, DEMO="0").ALLOWED_HOSTS


@pytest.mark.parametrize(("env", "warned"), [("sandbox", True), ("live", False), ("off", False)])
def test_a_sandbox_in_public_is_warned_of(env, warned, settings):
    settings.MPESA_ENV, settings.SITE_IS_LOCAL = env, False

    assert bool(checks.no_sandbox_in_public(None)) is warned


def test_the_name_for_callbacks_is_served(tmp_path):
    settings = settings_of(tmp_path, base=LIVE, MPESA_CALLBACK_URL="https://calls.example.org:8443/x")

    assert "calls.example.org" in settings.ALLOWED_HOSTS


def test_without_a_word_payments_are_off_in_production(tmp_path):
    assert settings_of(tmp_path).MPESA_ENV == "off"


def test_on_a_newcomers_machine_they_are_simulated(tmp_path):
    assert settings_of(tmp_path, base={}).MPESA_ENV == "simulator"


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("MPESA_ENV", {"MPESA_ENV": "simulator"}),
        ("MPESA_ENV", {"MPESA_ENV": "production"}),
        ("MPESA_CONSUMER_KEY", {"MPESA_CONSUMER_KEY": None}),
        ("MPESA_CONSUMER_SECRET", {"MPESA_CONSUMER_SECRET": None}),
        ("MPESA_SHORTCODE", {"MPESA_SHORTCODE": None}),
        ("MPESA_SHORTCODE", {"MPESA_SHORTCODE": "12"}),
        ("MPESA_PASSKEY", {"MPESA_PASSKEY": None}),
        ("MPESA_CALLBACK_SECRET", {"MPESA_CALLBACK_SECRET": None}),
        ("MPESA_CALLBACK_SECRET", {"MPESA_CALLBACK_SECRET": "short"}),
        ("MPESA_CALLBACK_SECRET", {"MPESA_CALLBACK_SECRET": f"{SECRET}/.."}),
        ("MPESA_CALLBACK_URL", {"MPESA_CALLBACK_SECRET": f"mpesa{SECRET}"}),
        ("MPESA_CALLBACK_URL", {"MPESA_CALLBACK_URL": "http://portal.example.org"}),
        ("MPESA_CALLBACK_URL", {"MPESA_CALLBACK_URL": "https://mpesa.example.org"}),
        ("MPESA_CALLBACK_URL", {"MPESA_CALLBACK_URL": "https://Safaricom.example.org"}),
        ("MPESA_CALLBACK_URL", {"MPESA_CALLBACK_URL": "https://127.0.0.1"}),
        ("MPESA_CALLBACK_URL", {"MPESA_CALLBACK_URL": "nonsense"}),
        ("MPESA_CALLBACK_ADDRESSES", {"MPESA_CALLBACK_ADDRESSES": "196.201.214.200,somewhere"}),
        ("MPESA_TILL_NUMBER", {"MPESA_TRANSACTION_TYPE": "CustomerBuyGoodsOnline"}),
        ("MPESA_TRANSACTION_TYPE", {"MPESA_TRANSACTION_TYPE": "BuyGoods"}),
        ("MPESA_BASE_URL", {"MPESA_BASE_URL": "https://api.example.org"}),
        ("MPESA_TIMEOUT_SECONDS", {"MPESA_TIMEOUT_SECONDS": "0"}),
    ],
    ids=str,
)
def test_a_wrong_one_stops_the_start_and_is_named(name, changes, tmp_path):
    printed = refusal_of(tmp_path, base=LIVE, **changes)

    assert name in printed.splitlines()[-1]
    for secret in (LIVE["MPESA_CONSUMER_SECRET"], LIVE["MPESA_PASSKEY"], SECRET):
        assert secret not in printed
