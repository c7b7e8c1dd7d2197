"""Which scope an API token needs for which call: one table of addresses, first words first.

A call that is in no row is for nobody's token, so that a new one is shut until somebody decides.
"""

from django.utils.translation import gettext as _

from config.errors import Refused

from .models import Scope

NEVER = None
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

# Address → what reading takes, what anything else takes. `*` is an id; `...` whatever follows, if there is
# no row that says more. Whoever holds a token must not be able to make it more than it is: everything
# that lets somebody in (passwords, sessions, second factors, tokens) is for people who are logged in.
TABLE = {
    "api/auth/...": (NEVER, NEVER),
    "api/users/me": (Scope.ACCOUNT_READ, Scope.ACCOUNT_WRITE),
    "api/users/me/avatar": (Scope.ACCOUNT_READ, Scope.ACCOUNT_WRITE),
    "api/users/me/files": (Scope.FILES_READ, NEVER),
    "api/users/me/...": (NEVER, NEVER),
    "api/users/*": (Scope.ACCOUNT_READ, NEVER),
    "api/notifications": (Scope.ACCOUNT_READ, Scope.ACCOUNT_WRITE),
    "api/notifications/...": (Scope.ACCOUNT_READ, Scope.ACCOUNT_WRITE),
    "api/admin/...": (Scope.ADMIN, Scope.ADMIN),
    "api/ops/...": (Scope.FILES_READ, Scope.FILES_WRITE),
    "api/client/...": (Scope.FILES_READ, NEVER),
    "api/files/...": (Scope.FILES_READ, Scope.FILES_WRITE),
    "api/files/*/share": (Scope.SHARES_WRITE, Scope.SHARES_WRITE),
    "api/files/*/share/...": (Scope.SHARES_WRITE, Scope.SHARES_WRITE),
    "api/fileshare/folders": (Scope.FILES_READ, Scope.ADMIN),
    "api/fileshare/folders/*": (Scope.FILES_READ, Scope.ADMIN),
    "api/fileshare/folders/*/files": (Scope.FILES_READ, Scope.FILES_WRITE),
    "api/fileshare/folders/...": (Scope.ADMIN, Scope.ADMIN),
    "api/fileshare/subfolders/...": (Scope.ADMIN, Scope.ADMIN),
    "api/fileshare/permissions/...": (Scope.ADMIN, Scope.ADMIN),
    "api/fileshare/audit-logs": (Scope.ADMIN, NEVER),
    "api/fileshare/upload/...": (Scope.FILES_WRITE, Scope.FILES_WRITE),
    "api/fileshare/uploads": (Scope.FILES_READ, NEVER),
    "api/fileshare/download/...": (Scope.FILES_READ, Scope.FILES_READ),
    "api/fileshare/files/...": (Scope.FILES_READ, Scope.FILES_WRITE),
    "api/file-requests": (Scope.SHARES_WRITE, Scope.SHARES_WRITE),
    "api/file-requests/...": (Scope.SHARES_WRITE, Scope.SHARES_WRITE),
    "api/mpesa/...": (Scope.PAYMENTS_READ, Scope.PAYMENTS_WRITE),
    "secure-download/*": (Scope.FILES_READ, NEVER),
}


class ScopeMissing(Refused):
    """403: the token was not made for this; with `scope` None, no token is."""

    def __init__(self, scope):
        if scope is None:
            text = _("An API token cannot do this. Log in instead.")
        else:
            text = _("This API token lacks the scope %(scope)s.") % {"scope": scope.value}
        super().__init__(403, "scope_missing", text)


def row_of(route):
    """The row of TABLE for a route as the resolver spells it, or an address of the schema; None: there is none."""
    words = ["*" if word[:1] in ("<", "{") else word for word in route.strip("/").split("/")]
    rows = ["/".join(words), *("/".join([*words[:end], "..."]) for end in range(len(words) - 1, 0, -1))]
    return next((TABLE[row] for row in rows if row in TABLE), None)


def scope_of(route, method):
    """The Scope a token needs for a call; None: no token may."""
    reading, writing = row_of(route) or (NEVER, NEVER)
    return reading if method in SAFE_METHODS else writing


def demand(token, *, route, method):
    """Raise ScopeMissing (403) unless `token` was made for such a call."""
    scope = scope_of(route, method)
    if scope is None or scope.value not in token.scopes:
        raise ScopeMissing(scope)


def describe(result, generator, request, public):
    """Hook of the OpenAPI schema: each operation says which scope it takes, or that it takes no token."""
    for path, item in result["paths"].items():
        for method, operation in item.items():
            if method not in ("get", "put", "post", "patch", "delete") or not _takes_token(operation):
                continue
            scope = scope_of(path, method.upper())
            if scope is None:
                operation["security"] = [way for way in operation["security"] if "apiToken" not in way]
                text = "Not by API token."
            else:
                operation["x-scope"] = scope.value
                text = f"Scope of an API token: `{scope.value}`."
            operation["description"] = "\n\n".join(filter(None, [operation.get("description"), text]))
    return result


def _takes_token(operation):
    return any("apiToken" in way for way in operation.get("security", ()))
