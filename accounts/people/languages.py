"""The language that a user reads the portal in."""

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from config.errors import Invalid


@transaction.atomic
def choose(*, user, language):
    """Store the language of pages and mail for `user`; store nothing for a user who is not signed in.

    `language` is a code of settings.LANGUAGES. Raises Invalid (400).
    """
    if language not in dict(settings.LANGUAGES):
        raise Invalid("language", _("The portal does not speak this language."))
    if user.is_authenticated:
        User.objects.filter(pk=user.pk).update(language=language)


def remember(request, language):
    """Have RememberMiddleware set the cookie from which LocaleMiddleware reads the language of this browser."""
    request.language_to_remember = language


class RememberMiddleware:
    """Sets the language cookie after `remember`."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        language = getattr(request, "language_to_remember", "")
        if language:
            response.set_cookie(
                settings.LANGUAGE_COOKIE_NAME,
                language,
                max_age=settings.LANGUAGE_COOKIE_AGE,
                path=settings.LANGUAGE_COOKIE_PATH,
                secure=settings.LANGUAGE_COOKIE_SECURE,
                httponly=settings.LANGUAGE_COOKIE_HTTPONLY,
                samesite=settings.LANGUAGE_COOKIE_SAMESITE,
            )
        return response
