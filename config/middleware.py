"""Middleware: request facts, security headers, body limits. None of it touches a response's body,
so that files leave by the server's sendfile."""

import ipaddress
import re
import uuid

from django.conf import settings
from django.utils.translation import gettext as _

from . import context
from .errors import Refused
from .refusals import refuse

PERMISSIONS_POLICY = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
# The store's PUTs are limited by their signature. Callbacks of payments are answered alike however long they are:
# their view reads the beginning and no more.
UNLIMITED = ("/store/", "/api/payments/cb/", "/api/mpesa/callback")
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


def client_address(request):
    """The address of the client as text, or None.

    X-Forwarded-For counts only as far as TRUSTED_PROXY_COUNT proxies of ours wrote it: with one
    proxy the last entry, with two the last but one. Anything before that is the client's own word.
    """
    address = request.META.get("REMOTE_ADDR", "")
    count = settings.TRUSTED_PROXY_COUNT
    if count:
        forwarded = [part.strip() for part in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if part.strip()]
        if len(forwarded) >= count:
            address = forwarded[-count]
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return None


class RequestFactsMiddleware:
    """Gives each request an id (a proxy's X-Request-ID is kept when it is sane) and an address."""

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
    """Content-Security-Policy, Permissions-Policy and Cross-Origin-Resource-Policy; a view that sets its own keeps
    it. CSP_REPORT_ONLY relaxes the portal's own policy, never one that a view set for bytes of strangers; a page that
    needs the portal's own with a word more gives it to the request as `content_security_policy`."""

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
            # A shared cache or the back button must never show one person's page to another.
            response.headers["Cache-Control"] = "private, no-store"
        return response


class BodyLimitMiddleware:
    """Refuses a body the portal will not read before any of it is read.

    Forms with files may carry MAX_FORM_UPLOAD_BYTES and a little; everything else
    DATA_UPLOAD_MAX_MEMORY_SIZE. The object store's own PUTs have a limit in their signature.
    """

    FORM_OVERHEAD_BYTES = 64 * 1024

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        try:
            length = int(request.META.get("CONTENT_LENGTH") or 0)
        except ValueError:
            return refuse(request, Refused(400, "malformed", _("Content-Length is not a number.")))
        if not request.path.startswith(UNLIMITED):
            if request.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
                # A few bytes that unpack to many: nothing is unpacked here.
                refusal = Refused(415, "unsupported_encoding", _("The body must not be compressed."))
                return refuse(request, refusal)
            form = request.content_type == "multipart/form-data"
            limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
            if form:
                limit = settings.MAX_FORM_UPLOAD_BYTES + self.FORM_OVERHEAD_BYTES
            if length > limit:
                refusal = Refused(
                    413,
                    "form_too_large" if form else "body_too_large",
                    _("The request is larger than this address takes."),
                )
                return refuse(request, refusal)
        return self.get_response(request)
