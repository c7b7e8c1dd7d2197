"""Template variables for every page: about new accounts, and about the signed-in user's notices."""

from django.utils.functional import SimpleLazyObject

from .notices import live_count, notifications
from .people import joining as who_joins


def joining(request):
    """Give `signup_is_open`: whether pages offer to sign up."""
    return {"signup_is_open": who_joins.is_open()}


def notices(request):
    """Give `unread_notifications`, the number, and `live_token`, with which the page's script asks for it again.

    Both are lazy: a page that does not show them costs no query.
    """
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"unread_notifications": 0}
    return {
        "unread_notifications": SimpleLazyObject(lambda: notifications.unread_count(user)),
        "live_token": SimpleLazyObject(lambda: live_count.token_of(user)),
    }
