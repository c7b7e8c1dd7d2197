"""The one door to other servers over HTTP: no request of the portal goes where it must not.

Addresses of this machine and of private networks are for services that an operator's setting names, never for a
URL that a person or another server wrote.
"""

import ipaddress
import socket

import httpx

# Networks without IPv4 reach the rest of the world by this prefix.
NAT64 = ipaddress.ip_network("64:ff9b::/96")


class ForbiddenAddress(httpx.UnsupportedProtocol):
    """The URL leads where the portal does not go: certainly nothing was sent."""


def assert_public(host):
    """Raises ForbiddenAddress when an address of `host` is not on the public internet.

    A name without an address passes: the connection fails by itself, unless an outgoing proxy knows it. One that
    changes its address in between meets the check of its certificate.
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
    """Where packets for `address` go: there, or to the IPv4 address that it is another way to write; maybe both."""
    if address.version == 4:
        return [address]
    if address in NAT64 or address.ipv4_mapped:
        return [ipaddress.IPv4Address(address.packed[-4:])]
    return [address, address.sixtofour] if address.sixtofour else [address]


def _is_public(address):
    # Python takes site-local addresses, and IPv4's behind 96 zero bits, which are reserved, for global.
    inside = address.is_multicast or address.is_reserved or getattr(address, "is_site_local", False)
    return address.is_global and not inside


def _guard(request):
    if request.url.scheme != "https" or request.url.userinfo:
        raise ForbiddenAddress("Over https alone, and with no name or password in the address.")
    assert_public(request.url.host)


def client(*, timeout, verify=True, allow_local=False):
    """An httpx.Client that follows no redirect and goes to public addresses over https alone.

    With `allow_local` to whatever a setting names, over http too, and past the machine's outgoing proxy: for a
    service on this machine. Its requests raise ForbiddenAddress for what the portal does not ask.
    """
    hooks = {} if allow_local else {"request": [_guard]}
    return httpx.Client(
        timeout=timeout, verify=verify, follow_redirects=False, trust_env=not allow_local, event_hooks=hooks
    )
