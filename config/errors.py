"""How the portal says no. config.refusals turns these into the contract's JSON or a page."""


class Refused(Exception):
    """A request that is understood and declined.

    `status` is the HTTP status, `code` one machine word, `message` one sentence for people.
    `errors` maps a field to its sentences; `retry_after` is in whole seconds; `extra` is what a script
    needs to go on, as further members of the JSON.
    Operations raise it beside the rule; views never build such an answer themselves.
    """

    def __init__(self, status, code, message, *, errors=None, retry_after=None, extra=None):
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message
        self.errors = errors
        self.retry_after = retry_after
        self.extra = extra


class Invalid(Refused):
    """400 for a value that breaks a rule of the portal, told by field."""

    def __init__(self, field, message, *, code="invalid"):
        super().__init__(400, code, message, errors={field: [message]})


class Conflict(Refused):
    """409: the state of things does not allow it."""

    def __init__(self, message, *, code="conflict"):
        super().__init__(409, code, message)
