"""Typed readers of the environment. Each returns the value of one setting, or stops the start and names the setting.

A secret may be in a file: NAME_FILE holds the file's path, instead of NAME the secret. Docker and Kubernetes pass
secrets this way. No message shows a secret.
"""

import ipaddress
import os
import re
from email.errors import HeaderParseError
from email.headerregistry import Address
from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from .weakness import weakness_of


def text(name, default=""):
    """The value unchanged; an empty value counts as set."""
    return os.environ.get(name, default)


def items(name, default=()):
    """The comma-separated list, without empty items and without spaces around the items."""
    return _split(text(name)) if name in os.environ else list(default)


def count(name, default, *, least=0):
    """A whole number, `least` or more."""
    try:
        value = int(text(name, default))
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number; it is {text(name)!r}.") from None
    if value < least:
        raise ImproperlyConfigured(f"{name} must be {least} or more; it is {value}.")
    return value


def fraction(name, default):
    """A number from 0 to 1."""
    try:
        value = float(text(name, default))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ImproperlyConfigured(f"{name} must be a number from 0 to 1.")
    return value


def switch(name, default):
    """True or False; an empty value is the default."""
    value = text(name).strip().lower()
    if value not in ("", "1", "true", "yes", "on", "0", "false", "no", "off"):
        raise ImproperlyConfigured(f"{name} must be 1 or 0; it is {value!r}.")
    return default if value == "" else value in ("1", "true", "yes", "on")


def rate(name, default):
    """A rate such as 10/m, 5/h or 3/15m."""
    value = text(name, default)
    if not re.fullmatch(r"[1-9][0-9]*/[1-9]?[0-9]*[smhd]", value):
        raise ImproperlyConfigured(f"{name} must be like 10/m or 5/h; it is {value!r}.")
    return value


def one_of(name, default, choices):
    """One of the texts in `choices`."""
    value = text(name, default)
    if value not in choices:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(choices)}; it is {value!r}.")
    return value


# --- Secrets ------------------------------------------------------------------------------------


def secret(name, default=""):
    """The value of `name`, or the content of the file named by NAME_FILE without the newline at its end."""
    path = text(f"{name}_FILE")
    if not path:
        return text(name, default)
    if text(name):
        raise ImproperlyConfigured(f"{name} and {name}_FILE are both set: set one of them.")
    # Leave the path out of messages: an operator may have written the secret itself there by mistake.
    try:
        value = Path(path).read_text(encoding="utf-8").rstrip("\n")
    except OSError as error:
        raise ImproperlyConfigured(f"{name}_FILE names a file that cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ImproperlyConfigured(f"{name}_FILE names a file that is no UTF-8 text.") from None
    if not value:
        raise ImproperlyConfigured(f"{name}_FILE names an empty file.")
    return value


def secrets(name, default=()):
    """The comma-separated list of secrets; a file named by NAME_FILE may also have one on each line."""
    given = name in os.environ or text(f"{name}_FILE")
    return _split(secret(name).replace("\n", ",")) if given else list(default)


def demand_secret(name, value, **measures):
    """Raise ImproperlyConfigured for a secret that is missing, weak or copied from an example.

    `measures` are the keyword arguments of `weakness_of`.
    """
    if weakness := weakness_of(value, **measures):
        raise ImproperlyConfigured(f"{name} {weakness}. Give it random characters of its own.")


# --- Addresses ----------------------------------------------------------------------------------


def mailbox(name, default):
    """A sender such as `Otieno, Mwangi & Co <portal@example.org>`, or a bare address, as text for a header.

    The name needs no quotes: it is everything before the last `<`. `default` is (name, address).
    """
    given = text(name).strip()
    if given:
        found = re.fullmatch(r"(?:(?P<shown>.*?)\s*)?<(?P<address>[^<>]+)>|(?P<bare>[^<>\s]+)", given, re.DOTALL)
        if found is None:
            raise ImproperlyConfigured(f"{name} must be like Portal <portal@example.org>; it is {given!r}.")
        shown, address = found["shown"] or "", found["address"] or found["bare"]
        if len(shown) > 1 and shown[0] == shown[-1] == '"':
            shown = re.sub(r"\\(.)", r"\1", shown[1:-1])
    else:
        shown, address = default
    try:
        built = Address(shown, addr_spec=address)
        # An empty part is no error for Address.
        if not (built.username and built.domain and shown.isprintable()):
            raise ValueError
    except (ValueError, IndexError, HeaderParseError):
        raise ImproperlyConfigured(
            f"{name} must be like Portal <portal@example.org>; it would be {shown!r} <{address!r}>."
        ) from None
    return str(built)


def mail_domain(host):
    """A host as it stands in an address or in a greeting of SMTP (RFC 5321): a name in ASCII, or [an address]."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        try:
            return host.encode("idna").decode()
        except UnicodeError:
            raise ImproperlyConfigured(f"{host!r} is not the name of a host.") from None
    return f"[IPv6:{address}]" if address.version == 6 else f"[{address}]"


def demand_port(name, url):
    """Raise ImproperlyConfigured for an impossible port. The message hides the URL, which may hold a password."""
    try:
        port = urlsplit(url).port
    except ValueError:
        port = 0
    if port == 0:
        raise ImproperlyConfigured(f"{name} must have a port from 1 to 65535, or none.")


def is_loopback(host):
    """True when `host`, a name or an address, is this machine's loopback."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_here(host):
    """True when the server is on this machine. An empty host or a path means a socket."""
    return not host or host.startswith("/") or is_loopback(host)


def _split(value):
    return [item for item in map(str.strip, value.split(",")) if item]
