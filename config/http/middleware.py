"""Middleware: request facts, security headers, body limits.

It leaves the response's body alone, so that the server can send files with sendfile.
"""

import ipaddress
import logging
import re
import uuid

from django.conf import settings
from django.utils.translation import gettext as _

from config import context
from config.errors import Refused

from .refusals import refuse
from .view_facts import fact_of

PERMISSIONS_POLICY = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
# An address alone, or as proxies write it with a port: 192.0.2.7:50123, [2001:db8::7]:443, [2001:db8::7].
WRITTEN_ADDRESS = re.compile(r"(?P<v4>[0-9.]+)(:[0-9]{1,5})?|\[(?P<v6>[^\]]+)\](:[0-9]{1,5})?|(?P<bare>.+)")
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


logger = logging.getLogger(__name__)
_said = set()


def _say_once(sentence, *values):
    """Log how the proxies in front seem to be set up wrong, once in each process."""
    if sentence not in _said:
        _said.add(sentence)
        logger.warning(sentence, *values)


def client_address(request):
    """The client's address as text, or None.

    Trusts only the entries of X-Forwarded-For that our TRUSTED_PROXY_COUNT proxies wrote: with one proxy the last entry
    is the client, with two the last but one. The client can forge all entries before that. A port or brackets around an
    entry (Azure, IIS) are left out, and ::ffff:192.0.2.7 is 192.0.2.7: one client has one address.
    """
    address = request.META.get("REMOTE_ADDR", "")
    count = settings.TRUSTED_PROXY_COUNT
    if count:
        forwarded = [part.strip() for part in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if part.strip()]
        if len(forwarded) >= count:
            address = forwarded[-count]
        else:
            _say_once(
                "A request has %d addresses in X-Forwarded-For, and TRUSTED_PROXY_COUNT is %d. Let each proxy add one, "
                "or lower the count: until then all clients share one rate limit.",
                len(forwarded),
                count,
            )
    elif "HTTP_X_FORWARDED_FOR" in request.META and _is_near(address):
        _say_once(
            "A proxy passes requests on, and TRUSTED_PROXY_COUNT is 0. Set it to the number of your proxies: until "
            "then all clients share one rate limit."
        )
    return _readable(address)


def _is_near(address):
    """True for an address of this machine or of a private network, as proxies have."""
    found = _readable(address)
    return found is not None and ipaddress.ip_address(found).is_private


def _readable(address):
    """An address as the portal writes it, or None."""
    written = WRITTEN_ADDRESS.fullmatch(address.strip('"'))
    if written is None:
        return None
    try:
        found = ipaddress.ip_address(written["v4"] or written["v6"] or written["bare"])
    except ValueError:
        return None
    if found.version == 6:
        # A zone (fe80::1%eth0) is the name of an interface of the proxy.
        found = found.ipv4_mapped or ipaddress.IPv6Address(int(found))
    return str(found)


class RequestFactsMiddleware:
    """Gives each request an address and an id. Keeps a trusted proxy's X-Request-ID if it is well formed."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        given = request.headers.get("X-Request-ID", "")
        request_id = given if settings.TRUSTED_PROXY_COUNT and REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        request.client_address = client_address(request)
        facts = context.RequestFacts(
            request_id=request_id,
            address=request.client_address,
            user_agent=context.printable(request.headers.get("User-Agent", "")[:300]),
        )
        token = context.enter(facts)
        try:
            response = self.get_response(request)
        finally:
            context.leave(token)
        response["X-Request-ID"] = request_id
        return response


class SecurityHeadersMiddleware:
    """Sets Content-Security-Policy, Permissions-Policy and Cross-Origin-Resource-Policy, unless the view has set them.

    CSP_REPORT_ONLY relaxes the portal's own policy only; it never relaxes a policy that a view set for files of users.
    A page that needs an extended policy sets it on the request as `content_security_policy`.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        if "Content-Security-Policy" not in response.headers:
            policy = getattr(request, "content_security_policy", settings.CONTENT_SECURITY_POLICY)
            if settings.CSP_REPORT_URI:
                policy += f"; report-uri {settings.CSP_REPORT_URI}; report-to csp"
                response.headers.setdefault("Reporting-Endpoints", f'csp="{settings.CSP_REPORT_URI}"')
            name = "Content-Security-Policy-Report-Only" if settings.CSP_REPORT_ONLY else "Content-Security-Policy"
            response.headers.setdefault(name, policy)
        response.headers.setdefault("Permissions-Policy", PERMISSIONS_POLICY)
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        if getattr(request, "user", None) is not None and "Cache-Control" not in response.headers:
            # A shared cache or the back button must never show one user's page to another.
            response.headers["Cache-Control"] = "private, no-store"
        return response


class BodyLimitMiddleware:
    """Refuses a body that is too large, before any of it is read, also before the CSRF check.

    Limits: MAX_FORM_UPLOAD_BYTES plus FORM_OVERHEAD_BYTES for forms with files, DATA_UPLOAD_MAX_MEMORY_SIZE for the
    rest. A view may set its own `body_limit` (config.http.view_facts).
    """

    FORM_OVERHEAD_BYTES = 64 * 1024

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)

    def process_view(self, request, view, args, kwargs):
        """The refusal as a response, or None to continue."""
        try:
            length = int(request.META.get("CONTENT_LENGTH") or 0)
        except ValueError:
            return refuse(request, Refused(400, "malformed", _("Content-Length is not a number.")))
        form = request.content_type == "multipart/form-data"
        usual = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if form:
            usual = settings.MAX_FORM_UPLOAD_BYTES + self.FORM_OVERHEAD_BYTES
        limit = fact_of(view, "body_limit", usual)
        if limit is None:
            return None
        if request.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
            # Refuse compressed bodies: a few bytes can unpack to very many, and the portal unpacks none.
            return refuse(request, Refused(415, "unsupported_encoding", _("The body must not be compressed.")))
        if length > limit:
            code = "form_too_large" if form else "body_too_large"
            return refuse(request, Refused(413, code, _("The request is larger than this address takes.")))
        return None
