"""Turns every refusal into an answer: the contract's JSON, or a page with the reason."""

import logging

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import (
    PermissionDenied,
    RequestDataTooBig,
    TooManyFieldsSent,
    TooManyFilesSent,
    ValidationError,
)
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import Http404, JsonResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.shortcuts import render
from django.urls import Resolver404, resolve, reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from redis.exceptions import RedisError
from rest_framework import exceptions as api_exceptions
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import set_rollback

from config.errors import Refused
from config.outside.fullness import is_full

from .view_facts import JSON, JSON_UNLESS_PAGE, fact_of

logger = logging.getLogger(__name__)

RETRY_AFTER_FAULT_SECONDS = 5
RETRY_AFTER_FULL_SECONDS = 300
MAX_TEXT = 500


def refusal_of(error):
    """The Refused for `error`, or None when `error` is a fault and not a refusal."""
    match error:
        case Refused():
            return error
        case Http404() | api_exceptions.NotFound():
            return Refused(404, "not_found", _("There is nothing here, or you may not see it."))
        case PermissionDenied() | api_exceptions.PermissionDenied():
            code = getattr(error, "default_code", "permission_denied")
            if isinstance(error, api_exceptions.PermissionDenied) and str(error.detail).startswith("CSRF Failed"):
                return Refused(403, "csrf_failed", _("The form's security token is missing or wrong; reload the page."))
            return Refused(403, code, _("You may not do this."))
        case RequestDataTooBig():
            return Refused(413, "body_too_large", _("The request is larger than this address takes."))
        case UnreadablePostError():
            return cut_off(error)
        # The admin raises Django's ValidationError when it looks up a row by a malformed id.
        case TooManyFieldsSent() | TooManyFilesSent() | MultiPartParserError() | ValidationError():
            return Refused(400, "malformed", _("The form could not be read."))
        case api_exceptions.ValidationError():
            errors = _flat(error.detail)
            first = next((f"{field}: {texts[0]}" for field, texts in errors.items() if texts), _("Invalid input."))
            return Refused(400, "invalid", first, errors=errors)
        case api_exceptions.ParseError():
            return Refused(400, "malformed", _("The body could not be read as what it claims to be."))
        case api_exceptions.UnsupportedMediaType():
            return Refused(415, "unsupported_media_type", str(error.detail))
        case api_exceptions.NotAuthenticated():
            return Refused(401, "not_authenticated", _("Sign in first."))
        case api_exceptions.AuthenticationFailed():
            return Refused(401, "token_invalid", _("The access token is not valid or has expired."))
        case api_exceptions.APIException():
            return Refused(error.status_code, error.default_code, str(error.detail))
        case RedisError():
            return Refused(
                503,
                "cache_unavailable",
                _("A service behind the portal does not answer. Try again in a moment."),
                retry_after=RETRY_AFTER_FAULT_SECONDS,
            )
        case OperationalError() | OSError() if is_full(error):
            return Refused(
                503,
                "disk_full",
                _("The disk is full: nothing can be saved until there is room. What is stored can be read."),
                retry_after=RETRY_AFTER_FULL_SECONDS,
            )
        case OperationalError() | InterfaceError():
            return Refused(
                503,
                "database_unavailable",
                _("The database does not answer. Try again in a moment."),
                retry_after=RETRY_AFTER_FAULT_SECONDS,
            )
    return None


def cut_off(error):
    """The Refused for a body that did not arrive as a whole; `error` is what reading it raised."""
    while isinstance(error, UnreadablePostError):
        error = error.__cause__  # what the server raised
    if isinstance(error, TimeoutError):
        return Refused(408, "body_too_slow", _("The request arrives too slowly. Send it again."))
    return Refused(400, "incomplete_body", _("The connection ended before the body did."))


def _flat(detail):
    """DRF's nested error detail as {"field": ["sentence", …]}; inner fields get dotted names."""
    if isinstance(detail, list):
        return {api_settings.NON_FIELD_ERRORS_KEY: [str(text) for text in detail]}
    flat = {}
    for field, value in detail.items():
        if isinstance(value, dict):
            flat |= {f"{field}.{inner}": texts for inner, texts in _flat(value).items()}
        else:
            flat[str(field)] = [str(text) for text in value]
    return flat


def payload_of(refusal):
    """The contract's error body: {"detail", "code"}, for validation "errors", for some refusals further members."""
    body = {**(refusal.extra or {}), "detail": _sayable(refusal.message), "code": refusal.code}
    if refusal.errors:
        body["errors"] = {
            _sayable(field): [_sayable(text) for text in texts] for field, texts in refusal.errors.items()
        }
    return body


def _sayable(text):
    """Cut a sentence, which may quote the request, to MAX_TEXT; replace lone surrogates, which UTF-8 cannot encode."""
    return str(text)[:MAX_TEXT].encode("utf-8", "replace").decode()


def headers_of(refusal):
    """The headers for this refusal: WWW-Authenticate for a 401, Retry-After where the client should come back."""
    headers = {}
    if refusal.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if refusal.retry_after is not None:
        headers["Retry-After"] = str(max(1, int(refusal.retry_after)))
    return headers


def api_exception_handler(error, context):
    """REST framework's exception handler: answers a refusal with the contract's JSON; leaves other errors unhandled."""
    refusal = refusal_of(error)
    if refusal is None:
        return None
    _log_fault(error)
    set_rollback()
    response = Response(payload_of(refusal), status=refusal.status, headers=headers_of(refusal))
    if isinstance(error, api_exceptions.MethodNotAllowed):
        response["Allow"] = ", ".join(context["view"].allowed_methods)
    return response


def _log_fault(error):
    """Log a service that is down: the client gets only a polite refusal, and the administrator must learn of it."""
    if is_full(error):
        logger.error("The disk is full; make room: %s", error)
    elif isinstance(error, DatabaseError | RedisError):
        logger.error("%s does not answer: %s", type(error).__module__.split(".")[0], error)


def wants_json(request):
    """True for the API and for scripts; clients that ask for HTML get a page."""
    accepted = request.headers.get("Accept", "")
    if request.path_info.startswith("/api/") or "Authorization" in request.headers:
        return True
    said = fact_of(_view_of(request), "refuses_in", None)
    if said == JSON_UNLESS_PAGE:
        return "text/html" not in accepted
    return said == JSON or ("application/json" in accepted and "text/html" not in accepted)


def _view_of(request):
    """The view for the request's address; None if there is none."""
    if request.resolver_match is not None:
        return request.resolver_match.func
    try:
        return resolve(request.path_info).func
    except Resolver404:
        return None


def refuse(request, refusal):
    """The answer to a refusal outside REST framework: JSON, or the page with the reason."""
    if refusal.status == 503:
        # Looking up the signed-in user would ask the service that is down.
        request.user = AnonymousUser()
    if wants_json(request):
        response = JsonResponse(payload_of(refusal), status=refusal.status)
    else:
        response = render(
            request,
            "refused.html",
            {
                "status": refusal.status,
                "code": refusal.code,
                "title": _title(refusal),
                "message": refusal.message,
                "errors": refusal.errors,
                "login_url": f"{reverse('login')}?{urlencode({'next': request.path})}"
                if refusal.status == 401
                else None,
            },
            status=refusal.status,
        )
    for name, value in headers_of(refusal).items():
        response[name] = value
    return response


TITLES = {
    400: gettext_lazy("That request could not be read"),
    401: gettext_lazy("Please sign in"),
    403: gettext_lazy("This is not yours to open"),
    404: gettext_lazy("Nothing here"),
    408: gettext_lazy("That request could not be read"),
    409: gettext_lazy("That is not possible right now"),
    410: gettext_lazy("This link is no longer good"),
    413: gettext_lazy("Too large"),
    415: gettext_lazy("This kind of file is not accepted"),
    429: gettext_lazy("Too many requests"),
    503: gettext_lazy("Not available for the moment"),
    "csrf_failed": gettext_lazy("Please send that again"),
}


def _title(refusal):
    """The heading of a refusal's page: its own, or that of its code or its status."""
    return refusal.title or TITLES.get(refusal.code) or TITLES.get(refusal.status) or _("That did not work")


def answer_to(request, error):
    """The answer for a refusal; None for a fault, and for errors that Django's handlers render."""
    refusal = refusal_of(error)
    if refusal is None or isinstance(error, Http404 | PermissionDenied):
        # Django's 404 and 403 handlers (config.urls) render those.
        return None
    _log_fault(error)
    return refuse(request, refusal)


class RefusalMiddleware:
    """Answers refusals that views raise. REST framework's views handle theirs in api_exception_handler."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)

    def process_exception(self, request, error):
        return answer_to(request, error)


def bad_request(request, exception=None):
    """handler400"""
    return refuse(request, Refused(400, "malformed", _("The request could not be read.")))


def permission_denied(request, exception=None):
    """handler403"""
    return refuse(request, refusal_of(PermissionDenied()))


def not_found(request, exception=None):
    """handler404"""
    return refuse(request, refusal_of(Http404()))


def csrf_failure(request, reason=""):
    """CSRF_FAILURE_VIEW"""
    return refuse(
        request,
        Refused(403, "csrf_failed", _("The form's security token is missing or wrong. Reload the page and try again.")),
    )


def server_error(request):
    """handler500. Uses no database and no session, which may be the cause of the fault."""
    if wants_json(request):
        return JsonResponse({"detail": _("The portal failed; it has been logged."), "code": "server_error"}, status=500)
    return render(None, "500.html", {"home": settings.COOKIE_PATH}, status=500)
