"""Two addresses for monitoring: is the process alive, and can it work. One page for supers: what to mend."""

from django.http import JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from config.api.permissions import super_only

from . import metrics, parts


@never_cache
@require_safe
def healthz(request):
    """200 while the process answers."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request):
    """The state of each part of the portal: 503 without an essential part (the database, its tables), else 200.

    "degraded" when another part is not well. Answers within parts.PATIENCE_SECONDS. The result is at most
    KEPT_SECONDS old, for some parts some seconds more; during a check other requests get the last result.

    A portal whose store is down still signs users in and shows their lists, so a load balancer that asks here keeps
    sending requests. Monitoring reads the state of each part.
    """
    verdicts = parts.READINESS.verdicts()
    state = parts.READINESS.state_of(verdicts)
    answer = {"status": state, **{name: verdict.state for name, verdict in verdicts.items()}}
    return JsonResponse(answer, status=503 if state == parts.State.UNAVAILABLE else 200)


@super_only
@never_cache
@require_safe
def state(request):
    """The page for supers: each part, what is wrong with it, and what to do."""
    verdicts = parts.READINESS.verdicts()
    rows = [{"name": name, "verdict": verdict} for name, verdict in verdicts.items()]
    order = list(parts.State)
    rows.sort(key=lambda row: -order.index(row["verdict"].state))
    return render(request, "config/state.html", {"state": parts.READINESS.state_of(verdicts), "rows": rows})


class ProbesMiddleware:
    """Answers health checks under any Host: a container's health check asks an address, not a name.

    Also /metrics for clients that may read it; the view answers others with 404.
    """

    VIEWS = {"/healthz": healthz, "/readyz": readyz}

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if request.path_info == "/metrics" and metrics.may_read(request):
            return metrics.metrics(request)
        return self.VIEWS.get(request.path_info, self.get_response)(request)
