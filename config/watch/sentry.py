"""Reports faults to a Sentry, if SENTRY_DSN names one: what failed and where, never the user or their data.

Every text of a report goes through logs.redact. A separate thread sends reports; a failed report is dropped.
"""

from django.conf import settings

from config import context
from config.lazy import LazyModule

from . import logs

sentry_sdk = LazyModule("sentry_sdk")
of_celery = LazyModule("sentry_sdk.integrations.celery")
of_django = LazyModule("sentry_sdk.integrations.django")
of_logging = LazyModule("sentry_sdk.integrations.logging")

# Facts of the request that a report may hold. It must not hold headers, cookies, body, query or environment.
KEPT_OF_REQUEST = ("method", "url")
MAX_DEPTH = 20


def start():
    """Start if SENTRY_DSN is set. Returns whether it did."""
    if not settings.SENTRY_DSN:
        return False
    sentry_sdk.init(
        dsn=settings.SENTRY_DSN,
        environment=settings.SENTRY_ENVIRONMENT,
        traces_sample_rate=settings.SENTRY_TRACES_SAMPLE_RATE,
        # Only these integrations: others record addresses and commands.
        default_integrations=True,
        auto_enabling_integrations=False,
        integrations=[
            of_django.DjangoIntegration(middleware_spans=False, signals_spans=False, cache_spans=False),
            of_celery.CeleryIntegration(propagate_traces=False),
            of_logging.LoggingIntegration(),
        ],
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        trace_propagation_targets=[],
        auto_session_tracking=False,
        server_name="",
        shutdown_timeout=2,
        before_send=scrub,
        before_send_transaction=scrub,
        before_breadcrumb=scrub_breadcrumb,
    )
    return True


def scrub(event, hint):
    """The report without personal data and secrets, with the request's id; sentry_sdk's before_send."""
    event.pop("user", None)
    event.pop("extra", None)
    event.pop("modules", None)
    request = event.get("request")
    if request:
        event["request"] = {name: request[name] for name in KEPT_OF_REQUEST if name in request}
        event["request"]["url"] = str(request.get("url", "")).split("?", 1)[0]
    contexts = event.get("contexts") or {}
    # Drop the other contexts: they hold a task's arguments and contents of answers.
    event["contexts"] = {name: contexts[name] for name in ("runtime", "trace", "os") if name in contexts}
    for span in event.get("spans") or []:
        span.pop("data", None)
    facts = context.current()
    event["tags"] = {**(event.get("tags") or {}), "request_id": facts.request_id, "task_id": facts.task_id}
    return _clean(event)


def scrub_breadcrumb(crumb, hint):
    """One step on the way to a fault, cleaned; sentry_sdk's before_breadcrumb."""
    crumb.pop("data", None)
    return _clean(crumb)


def _clean(value, depth=0):
    if isinstance(value, str):
        return logs.redact(value)
    if depth > MAX_DEPTH:
        return logs.HIDDEN
    if isinstance(value, dict):
        return {_clean(key, depth + 1): _clean(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(each, depth + 1) for each in value]
    return value
