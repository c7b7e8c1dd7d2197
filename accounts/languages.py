"""The language somebody reads the portal in."""

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from config.errors import Invalid

from .models import User


@transaction.atomic
def choose(*, user, language):
    """Keep the language of pages and mail for `user`; of somebody not signed in nothing is kept.

    `language` is a code of settings.LANGUAGES. Raises Invalid (400).
    """
    if language not in dict(settings.LANGUAGES):
        raise Invalid("language", _("The portal does not speak this language."))
    if user.is_authenticated:
        User.objects.filter(pk=user.pk).update(language=language)


def remember(request, language):
    """Let the browser of `request` say from now on which language it is answered in; LocaleMiddleware reads it."""
    request.language_to_remember = language


class RememberMiddleware:
    """Puts the language that a view remembered into a cookie."""

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
                secure=settings.LANGUAGE_COOKIE_SECURE,
                httponly=settings.LANGUAGE_COOKIE_HTTPONLY,
                samesite=settings.LANGUAGE_COOKIE_SAMESITE,
            )
        return response
