"""Choosing a language."""

from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from accounts.people import languages

from .auth import safe_next


@require_POST
def choose_language(request):
    """Show the portal in `language` from now on, and go back to `next`."""
    language = request.POST.get("language", "")
    languages.choose(user=request.user, language=language)
    languages.remember(request, language)
    return redirect(safe_next(request) or "home")
