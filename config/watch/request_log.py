"""One line in the log and one count in the metrics for each request, written when its last byte has gone."""

import logging
import time

from django.utils.functional import LazyObject

from config import context

from . import metrics

logger = logging.getLogger("portal.access")

PROBES = ("healthz", "readyz", "metrics")


class RequestLogMiddleware:
    """Must come right after RequestFactsMiddleware, which gives each request its id.

    Leaves the answer's body alone. `bytes` is the announced length: what nginx sends by itself (X-Accel-Redirect), and
    what a client stops reading, is unknown here.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        start = time.perf_counter()
        # Django's own lines, written after the context has ended, find the facts here.
        request.facts = context.current()
        under_way = metrics.IN_FLIGHT.labels(metrics.method_of(request))
        under_way.inc()
        try:
            response = self.get_response(request)
        except BaseException:
            under_way.dec()
            raise
        # The server closes the response when it has sent the body or the client has gone.
        response._resource_closers.append(_Once(request, response, start, under_way))
        return response


class _Once:
    """Counts and logs one request, on the first call only."""

    def __init__(self, *facts):
        self._facts = facts

    def __call__(self):
        facts, self._facts = self._facts, None
        if facts is None:
            return
        request, response, start, under_way = facts
        under_way.dec()
        seconds = time.perf_counter() - start
        route, size = route_of(request), size_of(request, response)
        metrics.count_request(metrics.method_of(request), route, response.status_code, seconds, size)
        _write(request, response, route, seconds, size)


def _write(request, response, route, seconds, size):
    level = logging.DEBUG if route in PROBES else logging.INFO
    if not logger.isEnabledFor(level):
        return
    facts = {
        "method": metrics.method_of(request),
        "path": request.path,
        "status": response.status_code,
        "duration_ms": round(seconds * 1000, 1),
        "bytes": size,
        "user_id": user_id_of(request),
        "address": request.facts.address,
    }
    # The context may have ended before the body was sent. Enter it again, so that the line has the request's id.
    token = context.enter(request.facts)
    try:
        logger.log(level, "%s", route, extra={"facts": facts})
    finally:
        context.leave(token)


def route_of(request):
    """The route's name, never the path; "static" and "unmatched" for addresses without a route."""
    match = getattr(request, "resolver_match", None)
    if match is not None:
        return match.view_name or "unnamed"
    path = request.path_info
    if path.startswith("/static/"):
        return "static"
    return path[1:] if path[1:] in PROBES else "unmatched"


def size_of(request, response):
    """Announced bytes of the body; None for a stream without Content-Length."""
    if request.method == "HEAD" or response.status_code in (204, 304):
        return 0
    if response.streaming:
        length = response.headers.get("Content-Length", "")
        return int(length) if length.isdigit() else None
    return len(response.content)


def user_id_of(request):
    """The signed-in user's id as text, if this request has loaded the user already. Does not query for the log."""
    user = getattr(request, "_cached_user", None)
    if user is None:
        user = request.__dict__.get("user")
        if user is None or isinstance(user, LazyObject):
            return None
    return None if user.pk is None else str(user.pk)
