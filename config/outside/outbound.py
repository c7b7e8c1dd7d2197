"""All HTTP requests to other servers; keeps them away from internal addresses.

Only URLs from an operator's settings may lead to this machine or to private networks. A URL from a user or from another
server must not.
"""

import ipaddress
import socket

from config.lazy import LazyModule

httpx = LazyModule("httpx")

# Networks without IPv4 reach IPv4 addresses by this prefix (RFC 6052).
NAT64 = ipaddress.ip_network("64:ff9b::/96")


class ForbiddenAddress(Exception):
    """The URL leads to a forbidden address. Nothing was sent."""


def assert_public(host):
    """Raises ForbiddenAddress when an address of `host` is not on the public internet.

    A name without an address passes: the connection will fail by itself, or an outgoing proxy knows the name. A name
    that changes its address after this check fails the check of its certificate.
    """
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return
    for text in found:
        address = ipaddress.ip_address(text.partition("%")[0])
        if not all(map(_is_public, _led_to(address))):
            raise ForbiddenAddress("The name leads to an address inside.")


def _led_to(address):
    """The addresses that packets for `address` may reach: itself, the IPv4 address that it embeds, or both."""
    if address.version == 4:
        return [address]
    if address in NAT64 or address.ipv4_mapped:
        return [ipaddress.IPv4Address(address.packed[-4:])]
    return [address, address.sixtofour] if address.sixtofour else [address]


def _is_public(address):
    # Python calls site-local addresses global, and also the reserved ones with IPv4 behind 96 zero bits.
    inside = address.is_multicast or address.is_reserved or getattr(address, "is_site_local", False)
    return address.is_global and not inside


def _guard(request):
    if request.url.scheme != "https" or request.url.userinfo:
        raise ForbiddenAddress("Over https alone, and with no name or password in the address.")
    assert_public(request.url.host)


def client(*, timeout, verify=True, allow_local=False):
    """An httpx.Client that follows no redirects and connects only to public addresses over https.

    With `allow_local` it connects to any address that a setting names, also over http, and bypasses the machine's
    outgoing proxy: for a service on this machine. Its requests raise ForbiddenAddress for forbidden addresses.
    """
    hooks = {} if allow_local else {"request": [_guard]}
    return httpx.Client(
        timeout=timeout, verify=verify, follow_redirects=False, trust_env=not allow_local, event_hooks=hooks
    )
