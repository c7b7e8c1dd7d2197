"""Which scope an API token needs for which call. Each view declares a pair:

    token_scopes = (Scope.FILES_READ, Scope.FILES_WRITE)

The first scope allows reading, the second every other method; NEVER (None) means that no token may.

* Views about credentials (passwords, sessions, second factors, tokens) take no API token. Otherwise a token could give
  itself more rights.
* A view only for supers takes the scope `admin`.
* A view may name further scopes in `also_takes`, each of which is enough for a call that a token may make at all.
* A view without a declaration takes no API token, so that a new view is closed until its author decides.
"""

from django.utils.translation import gettext as _

from accounts.scopes import SUPERS
from config.api.permissions import IsSuper
from config.errors import Refused

NEVER = None
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class ScopeMissing(Refused):
    """403: the token lacks the scope of the call; with `scope` None, no token may make the call."""

    def __init__(self, scope):
        if scope is None:
            text = _("An API token cannot do this. Log in instead.")
        else:
            text = _("This API token lacks the scope %(scope)s.") % {"scope": scope}
        super().__init__(403, "scope_missing", text)


def pair_of(view):
    """(scope to read, scope for other methods) of a view or its class; None when the view does not declare them."""
    if hasattr(view, "token_scopes"):
        return view.token_scopes
    return SUPERS if IsSuper in view.permission_classes else None


def scope_of(view, method):
    """The scope that a token needs for a call; None when no token may make it."""
    reading, writing = pair_of(view) or (NEVER, NEVER)
    return reading if method in SAFE_METHODS else writing


def demand(token, *, view, method):
    """Raises ScopeMissing (403) unless `token` has the scope of the call."""
    scope = scope_of(view, method)
    if scope is None or not {scope, *getattr(view, "also_takes", ())} & set(token.scopes):
        raise ScopeMissing(scope)
