"""Whoever holds a role that asks for a second factor and has none reaches the pages that add one, and nothing else."""

from django.conf import settings
from django.contrib import messages
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from config.refusals import answer_to, refuse, wants_json

from . import second_factor

# What stays open to them, by the names of the addresses: the way to a factor, their security page, and the way out.
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
    # Mailed links, which ask for no log-in.
    "verify-email",
    "change-email",
    "forgot-password",
    "reset-password",
    # The picture in the bar on top, and the language the pages speak.
    "avatar",
    "language",
    "favicon",
}
# Bytes by signed URLs ask for no session, and shall not be slowed down by one.
OPEN_PATHS = ("/store/",)


class SecondFactorMiddleware:
    """Asks about people who come with a session; those with a token are asked by accounts.authentication."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)

    def process_view(self, request, view, args, kwargs):
        """The way to the set-up, a 403 for a script, or None to go on."""
        if settings.SESSION_COOKIE_NAME not in request.COOKIES or request.path.startswith(OPEN_PATHS):
            return None
        if request.resolver_match.url_name in OPEN and not request.resolver_match.namespaces:
            return None
        try:
            missing = request.user.is_authenticated and second_factor.is_missing(request.user)
        except Exception as error:
            # RefusalMiddleware hears of what views raise, and of nothing that happens before them.
            answer = answer_to(request, error)
            if answer is None:
                raise
            return answer
        if not missing:
            return None
        if wants_json(request):
            return refuse(request, second_factor.SecondFactorNeeded())
        messages.warning(request, _("Your role asks for a second factor. Set one up to go on."))
        return redirect("second-factor")
