"""One line in the log and one count in the metrics for each request, written when its last byte has gone."""

import logging
import time

from django.utils.functional import LazyObject

from . import context, metrics

logger = logging.getLogger("portal.access")

PROBES = ("healthz", "readyz", "metrics")


class RequestLogMiddleware:
    """Stands right behind the one that gives each request its id.

    The answer's body is not touched. `bytes` are those announced: what nginx sends by itself
    (X-Accel-Redirect) or a client does not wait for is not known here.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        start = time.perf_counter()
        # Where Django's own lines find it, which are written after the context is left.
        request.facts = context.current()
        under_way = metrics.IN_FLIGHT.labels(metrics.method_of(request))
        under_way.inc()
        try:
            response = self.get_response(request)
        except BaseException:
            under_way.dec()
            raise
        # Closed by the server when the body has been sent, or the client has gone.
        response._resource_closers.append(_Once(request, response, start, under_way))
        return response


class _Once:
    """Counts and writes down one request, the first time it is called."""

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
    # By the time a body has gone the context may be over; the line is still the request's.
    token = context.enter(request.facts)
    try:
        logger.log(level, "%s", route, extra={"facts": facts})
    finally:
        context.leave(token)


def route_of(request):
    """The name of the route, never the path: "static" and "unmatched" stand for all that have none."""
    match = getattr(request, "resolver_match", None)
    if match is not None:
        return match.view_name or "unnamed"
    path = request.path_info
    if path.startswith("/static/"):
        return "static"
    return path[1:] if path[1:] in PROBES else "unmatched"


def size_of(request, response):
    """Bytes of the body as announced; None for a stream that announces nothing."""
    if request.method == "HEAD" or response.status_code in (204, 304):
        return 0
    if response.streaming:
        length = response.headers.get("Content-Length", "")
        return int(length) if length.isdigit() else None
    return len(response.content)


def user_id_of(request):
    """The id of who asked, as text, if the request had a reason to find out; nobody is looked up for the log."""
    user = getattr(request, "_cached_user", None)
    if user is None:
        user = request.__dict__.get("user")
        if user is None or isinstance(user, LazyObject):
            return None
    return None if user.pk is None else str(user.pk)
