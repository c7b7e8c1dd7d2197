"""What every page shows of the signed-in user."""

from django.utils.functional import SimpleLazyObject

from . import notifications


def notices(request):
    """`unread_notifications`: asked only by a page that shows it."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"unread_notifications": 0}
    return {"unread_notifications": SimpleLazyObject(lambda: notifications.unread_count(user))}
