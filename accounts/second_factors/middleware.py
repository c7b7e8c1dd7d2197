"""Send users who must have a second factor, and have none, to the pages that set one up."""

from django.conf import settings
from django.contrib import messages
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from config.http.refusals import answer_to, refuse, wants_json
from config.http.view_facts import fact_of

from . import factors

# URL names that stay open to these users: the pages that set a factor up, the security page, log-in and log-out.
OPEN = {
    "login",
    "logout",
    "second-factor",
    "authenticator",
    "passkey-add",
    "passkey-options",
    "recovery-codes",
    "profile-security",
    "security-confirm",
    "session-end",
    "sessions-end-others",
    # Mailed links, which need no log-in.
    "verify-email",
    "change-email",
    "forgot-password",
    "reset-password",
    "invitation",
    "unsubscribe",
    # The picture in the top bar, and the choice of the language.
    "avatar",
    "language",
    "favicon",
}


class SecondFactorMiddleware:
    """Checks users with a session; accounts.signing_in.authentication checks requests with a token."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)

    def process_view(self, request, view, args, kwargs):
        """Redirect to the set-up, answer a script with 403, or return None to go on."""
        # Skip views that need no session, such as downloads by signed URLs: loading it would slow them down.
        if settings.SESSION_COOKIE_NAME not in request.COOKIES or not fact_of(view, "needs_session", True):
            return None
        if request.resolver_match.url_name in OPEN and not request.resolver_match.namespaces:
            return None
        try:
            missing = request.user.is_authenticated and factors.is_missing(request.user)
        except Exception as error:
            # Turn the error into an answer here: RefusalMiddleware sees only the errors that views raise.
            answer = answer_to(request, error)
            if answer is None:
                raise
            return answer
        if not missing:
            return None
        if wants_json(request):
            return refuse(request, factors.SecondFactorNeeded())
        messages.warning(request, _("Your role asks for a second factor. Set one up to go on."))
        return redirect("second-factor")
