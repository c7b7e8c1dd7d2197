"""What browsers tell of breaches of the Content-Security-Policy (CSP_REPORT_URI), put into the log in a few words."""

import json
import logging
from urllib.parse import urlsplit

from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from .errors import Refused
from .throttling import throttle

logger = logging.getLogger(__name__)

MAX_BYTES = 16 * 1024
MAX_REPORTS = 10
MAX_WORD = 200
KINDS = ("application/csp-report", "application/reports+json", "application/json")
# The two ways to write the same: report-uri and report-to.
NAMES = {
    "directive": ("effective-directive", "violated-directive", "effectiveDirective"),
    "blocked": ("blocked-uri", "blockedURL"),
    "page": ("document-uri", "documentURL"),
    "source": ("source-file", "sourceFile"),
    "line": ("line-number", "lineNumber"),
}


@csrf_exempt
@require_POST
def receive(request):
    """204 for a report that could be read. Anybody may send any: it is logged, shortened, and believed by nobody.

    Raises Refused 400, 413 or 415, and Throttled.
    """
    throttle(request, "csp_report")
    if request.content_type not in KINDS:
        raise Refused(415, "unsupported_media_type", _("A report is JSON."))
    if int(request.META.get("CONTENT_LENGTH") or 0) > MAX_BYTES:
        raise Refused(413, "body_too_large", _("The request is larger than this address takes."))
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
    """One printable word. Of an address its path, or the host where it is another's: a query may hold a secret."""
    if "://" in text:
        try:
            parts = urlsplit(text)
            text = f"{parts.scheme}://{parts.hostname}{parts.path}"
        except ValueError:
            text = "?"
    return "".join(letter if letter.isprintable() and letter != " " else "_" for letter in text[:MAX_WORD])
