"""The exceptions for refused requests. config.http.refusals turns them into the contract's JSON or a page."""

import math

from django.utils import timezone


class Refused(Exception):
    """The portal understood the request and refuses it.

    `status` is the HTTP status, `code` one word for machines, `message` one sentence for people. `errors` maps a field
    to its sentences. `retry_after` is in whole seconds. `extra` holds further members of the JSON, which a script needs
    to continue. `title` is the page's heading, where it says more than the status does. Operations raise it beside the
    rule that they check; views never build such an answer themselves.
    """

    title = ""

    def __init__(self, status, code, message, *, errors=None, retry_after=None, extra=None):
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message
        self.errors = errors
        self.retry_after = retry_after
        self.extra = extra


class Invalid(Refused):
    """400 for a value that breaks a rule of the portal; names the field."""

    def __init__(self, field, message, *, code="invalid"):
        super().__init__(400, code, message, errors={field: [message]})


class Conflict(Refused):
    """409: the request conflicts with the present state. `retry_after` is for a state that passes by itself."""

    def __init__(self, message, *, code="conflict", retry_after=None):
        super().__init__(409, code, message, retry_after=retry_after)


def seconds_until(moment):
    """The `retry_after` of a state that passes at `moment`: whole seconds, at least one."""
    return max(1, math.ceil((moment - timezone.now()).total_seconds()))
