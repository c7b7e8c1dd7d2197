"""The settings of payments by M-Pesa."""

import hmac
import ipaddress
import re
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from config.environment import env
from config.environment.weakness import PUBLISHED

SAFARICOM = {"sandbox": "https://sandbox.safaricom.co.ke", "live": "https://api.safaricom.co.ke"}
NEEDED = ("CONSUMER_KEY", "CONSUMER_SECRET", "SHORTCODE", "PASSKEY", "CALLBACK_SECRET")
# A public host name for callbacks also opens every page, so these settings must be off: they are safe on this machine
# only.
FOR_THIS_MACHINE_ALONE = ("DEMO", "DEBUG", "EXPOSE_VERIFICATION_LINK")


def read(given):
    """Settings by name, from the environment; `given` are the settings read before. Raises ImproperlyConfigured."""
    mpesa = _values(given)
    _check_simulator(mpesa, given)
    _check_callback_addresses(mpesa["MPESA_CALLBACK_ADDRESSES"])
    _check_callback_secret(mpesa["MPESA_CALLBACK_SECRET"], given)
    if mpesa["MPESA_ENV"] != "off":
        _check_account(mpesa, given)
        _check_callback_url(mpesa, given)
    # Also while payments are off, for callbacks of payments started before.
    if mpesa["MPESA_CALLBACK_SECRET"]:
        mpesa["ALLOWED_HOSTS"] = _hosts(mpesa, given)
    if mpesa["MPESA_ENV"] in SAFARICOM:
        if env.is_loopback(urlsplit(mpesa["MPESA_CALLBACK_URL"]).hostname):
            raise ImproperlyConfigured("MPESA_CALLBACK_URL must be an address that Safaricom can reach.")
        mpesa["MPESA_BASE_URL"] = SAFARICOM[mpesa["MPESA_ENV"]]
    return mpesa


def _values(given):
    # off: no payments; simulator: our simulated Daraja on this machine; sandbox and live: Safaricom's.
    kind = env.one_of(
        "MPESA_ENV", "simulator" if given.SITE_IS_LOCAL else "off", ["off", "simulator", "sandbox", "live"]
    )
    simulated = kind == "simulator"
    own_secret = hmac.digest(given.SECRET_KEY.encode(), b"payment callbacks", "sha256").hex()
    return {
        "MPESA_ENV": kind,
        "MPESA_CONSUMER_KEY": env.secret("MPESA_CONSUMER_KEY", "simulator" if simulated else ""),
        "MPESA_CONSUMER_SECRET": env.secret("MPESA_CONSUMER_SECRET", "simulator" if simulated else ""),
        "MPESA_SHORTCODE": env.text("MPESA_SHORTCODE", "174379" if simulated else ""),
        "MPESA_PASSKEY": env.secret("MPESA_PASSKEY", "simulator" if simulated else ""),
        "MPESA_TRANSACTION_TYPE": env.one_of(
            "MPESA_TRANSACTION_TYPE", "CustomerPayBillOnline", ["CustomerPayBillOnline", "CustomerBuyGoodsOnline"]
        ),
        # For CustomerBuyGoodsOnline: the till; MPESA_SHORTCODE is then the store number.
        "MPESA_TILL_NUMBER": env.text("MPESA_TILL_NUMBER"),
        # Part of the callback's address. It proves that a callback, which can say "paid", comes from M-Pesa.
        "MPESA_CALLBACK_SECRET": env.secret("MPESA_CALLBACK_SECRET", own_secret if given.SITE_IS_LOCAL else ""),
        "MPESA_CALLBACK_URL": env.text("MPESA_CALLBACK_URL", given.SITE_URL).rstrip("/").removesuffix(given.SITE_PATH),
        # Addresses and networks that callbacks may come from, after trusted proxies. Empty: from any, the secret
        # decides.
        "MPESA_CALLBACK_ADDRESSES": env.items("MPESA_CALLBACK_ADDRESSES"),
        "MPESA_TIMEOUT_SECONDS": env.count("MPESA_TIMEOUT_SECONDS", 25, least=1),
        "MPESA_CONNECT_TIMEOUT_SECONDS": env.count("MPESA_CONNECT_TIMEOUT_SECONDS", 5, least=1),
        # The simulator's address; if empty, `make run` starts one on a free port.
        "MPESA_BASE_URL": env.text("MPESA_BASE_URL").rstrip("/"),
    }


def _check_simulator(mpesa, given):
    simulated = mpesa["MPESA_ENV"] == "simulator"
    if simulated and not given.SITE_IS_LOCAL:
        raise ImproperlyConfigured("MPESA_ENV=simulator gives space away for nothing: allowed on loopback only.")
    base = urlsplit(mpesa["MPESA_BASE_URL"])
    if mpesa["MPESA_BASE_URL"] and not (simulated and base.scheme == "http" and env.is_loopback(base.hostname or "")):
        raise ImproperlyConfigured("MPESA_BASE_URL is that of a simulator on loopback, with MPESA_ENV=simulator.")


def _check_callback_addresses(networks):
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            raise ImproperlyConfigured(
                f"MPESA_CALLBACK_ADDRESSES must hold addresses like 196.201.214.200 or networks; {network!r} is none."
            ) from None


def _check_callback_secret(secret, given):
    """Raise for a badly formed or weak secret.

    Also while payments are off: the secret still authenticates callbacks of payments started before.
    """
    if not secret:
        return
    least = 1 if given.SITE_IS_LOCAL else 32
    if not re.fullmatch(rf"[A-Za-z0-9_-]{{{least},100}}", secret):
        raise ImproperlyConfigured(f"MPESA_CALLBACK_SECRET must be {least} to 100 letters, digits, - and _.")
    if not given.SITE_IS_LOCAL:
        env.demand_secret("MPESA_CALLBACK_SECRET", secret)


def _check_account(mpesa, given):
    kind = mpesa["MPESA_ENV"]
    for name in NEEDED:
        if not mpesa[f"MPESA_{name}"]:
            raise ImproperlyConfigured(f"MPESA_ENV={kind} needs MPESA_{name}.")
    if not re.fullmatch(r"[0-9]{5,7}", mpesa["MPESA_SHORTCODE"]):
        raise ImproperlyConfigured(f"MPESA_SHORTCODE must be five to seven digits; it is {mpesa['MPESA_SHORTCODE']!r}.")
    by_till = mpesa["MPESA_TRANSACTION_TYPE"] == "CustomerBuyGoodsOnline"
    if by_till and not re.fullmatch(r"[0-9]{5,8}", mpesa["MPESA_TILL_NUMBER"]):
        raise ImproperlyConfigured("MPESA_TRANSACTION_TYPE=CustomerBuyGoodsOnline needs MPESA_TILL_NUMBER, digits.")
    if kind in SAFARICOM and not given.SITE_IS_LOCAL:
        for name in ("CONSUMER_KEY", "CONSUMER_SECRET", "PASSKEY"):
            env.demand_secret(f"MPESA_{name}", mpesa[f"MPESA_{name}"])
    if kind == "live" and mpesa["MPESA_PASSKEY"] in PUBLISHED:
        raise ImproperlyConfigured("MPESA_PASSKEY is the one that everybody has for the sandbox.")


def _check_callback_url(mpesa, given):
    url = mpesa["MPESA_CALLBACK_URL"]
    scheme = "http" if mpesa["MPESA_ENV"] == "simulator" and not given.SITE_IS_SECURE else "https"
    if not urlsplit(url).hostname or urlsplit(url).scheme != scheme:
        raise ImproperlyConfigured(f"MPESA_CALLBACK_URL must begin with https://; it is {url!r}.")
    if re.search(r"m-?pesa|safaricom", f"{url}{mpesa['MPESA_CALLBACK_SECRET']}", re.IGNORECASE):
        # Do not show the secret, which may hold the forbidden word.
        raise ImproperlyConfigured(
            "Daraja refuses addresses that name it: take those words out of MPESA_CALLBACK_URL or _SECRET."
        )


def _hosts(mpesa, given):
    """ALLOWED_HOSTS with the host of callbacks, which may have another name than the site, such as a tunnel's."""
    host = urlsplit(mpesa["MPESA_CALLBACK_URL"]).hostname
    if host is None:
        return given.ALLOWED_HOSTS
    if not env.is_loopback(host):
        for name in FOR_THIS_MACHINE_ALONE:
            if getattr(given, name):
                raise ImproperlyConfigured(
                    f"{name} is on, and MPESA_CALLBACK_URL lets others in from beyond this machine: set {name}=0."
                )
    return [*given.ALLOWED_HOSTS, *([] if host in given.ALLOWED_HOSTS else [host])]
