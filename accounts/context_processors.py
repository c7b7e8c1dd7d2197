"""What every page shows of the signed-in user."""

from django.utils.functional import SimpleLazyObject

from . import live, notifications


def notices(request):
    """`unread_notifications` and the `live_token` to ask for them anew: made only for a page that shows them."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"unread_notifications": 0}
    return {
        "unread_notifications": SimpleLazyObject(lambda: notifications.unread_count(user)),
        "live_token": SimpleLazyObject(lambda: live.token_of(user)),
    }
