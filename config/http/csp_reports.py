"""Logs browsers' reports of breaches of the Content-Security-Policy (CSP_REPORT_URI) as short lines."""

import json
import logging
from urllib.parse import urlsplit

from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from config.errors import Refused

from .throttling import throttle
from .view_facts import says

logger = logging.getLogger(__name__)

MAX_BYTES = 16 * 1024
MAX_REPORTS = 10
MAX_WORD = 200
KINDS = ("application/csp-report", "application/reports+json", "application/json")
# Browsers use two spellings: that of report-uri and that of report-to.
NAMES = {
    "directive": ("effective-directive", "violated-directive", "effectiveDirective"),
    "blocked": ("blocked-uri", "blockedURL"),
    "page": ("document-uri", "documentURL"),
    "source": ("source-file", "sourceFile"),
    "line": ("line-number", "lineNumber"),
}


@says(body_limit=MAX_BYTES)
@csrf_exempt
@require_POST
def receive(request):
    """204 for a readable report. Any client can send false reports, so the portal only logs them, shortened.

    Raises Refused 400 or 415, and Throttled.
    """
    throttle(request, "csp_report")
    if request.content_type not in KINDS:
        raise Refused(415, "unsupported_media_type", _("A report is JSON."))
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict | list):
        raise Refused(400, "malformed", _("The body could not be read as what it claims to be."))
    for report in (body if isinstance(body, list) else [body])[:MAX_REPORTS]:
        facts = _facts(report)
        if facts:
            logger.warning("A browser reports: %s", " ".join(f"{name}={word}" for name, word in facts.items()))
    return HttpResponse(status=204)


def _facts(report):
    if isinstance(report, dict):
        report = report.get("csp-report") or report.get("body") or report
    if not isinstance(report, dict):
        return {}
    found = {}
    for name, spellings in NAMES.items():
        value = next((report[each] for each in spellings if isinstance(report.get(each), str | int)), None)
        if value is not None:
            found[name] = _word(str(value))
    return found


def _word(text):
    """`text` as one printable word. A URL loses its query and fragment, which may hold a secret."""
    if "://" in text:
        try:
            parts = urlsplit(text)
            text = f"{parts.scheme}://{parts.hostname}{parts.path}"
        except ValueError:
            text = "?"
    return "".join(letter if letter.isprintable() and letter != " " else "_" for letter in text[:MAX_WORD])
