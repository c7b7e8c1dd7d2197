"""The user's own profile: name, bio, address."""

from django.db import transaction

from accounts.addresses import clean_name
from accounts.contributions.actions import Action
from accounts.models import User
from audit.log import record

from . import registration


@transaction.atomic
def change(*, user, name=None, bio=None, email=None):
    """Set name and bio now; a new address takes effect when the link mailed to it is opened. Returns the User."""
    user = User.objects.select_for_update(of=("self",), no_key=True).with_company().get(pk=user.pk)
    before = {"name": user.name, "bio": user.bio}
    if name is not None:
        user.name = clean_name(name)
    if bio is not None:
        user.bio = bio
    user.save(update_fields=["name", "bio", "updated_at"])
    changed = [field for field, value in before.items() if getattr(user, field) != value]
    if changed:
        record(Action.PROFILE_CHANGED, user=user, target=user, changed=changed)
    if email is not None and email.strip().lower() != user.email:
        registration.request_email_change(user=user, email=email)
    return user
