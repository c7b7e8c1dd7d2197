"""Profile pictures: each uploaded picture becomes a square PNG of 256 pixels without metadata."""

import io
import uuid

from django.conf import settings
from django.core.files.base import ContentFile
from django.db import transaction
from django.utils.translation import gettext as _
from PIL import Image, ImageOps

from accounts.contributions.actions import Action
from accounts.models import User
from audit.log import record
from config.drawing import pictures
from config.errors import Refused

SIDE_PIXELS = 256
FORMATS = ("PNG", "JPEG", "WEBP")


class AvatarRefused(Refused):
    """400, 413 or 415, each with its own code."""


def set_avatar(*, user, image):
    """Make `image` (a binary file of PNG, JPEG or WebP, at most MAX_AVATAR_BYTES) the user's picture.

    Decode it, turn it upright, crop and scale it to a square of 256 px and encode it again, which removes metadata and
    hidden content. Raises AvatarRefused.
    """
    raw = image.read(settings.MAX_AVATAR_BYTES + 1)
    if len(raw) > settings.MAX_AVATAR_BYTES:
        raise AvatarRefused(413, "avatar_too_large", _("A picture has at most 5 MiB."))
    return _replace(user, ContentFile(_square(raw), name=f"{user.pk}-{uuid.uuid4().hex}.png"))


def remove_avatar(*, user):
    """Delete the user's picture, if there is one. Returns the User."""
    return _replace(user, "")


@transaction.atomic
def _replace(user, picture):
    user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    old = user.avatar.name
    user.avatar = picture
    user.save(update_fields=["avatar", "updated_at"])
    record(Action.PROFILE_CHANGED, user=user, target=user, changed=["avatar"])
    if old:
        transaction.on_commit(lambda: user.avatar.storage.delete(old), robust=True)
    return user


def _square(raw):
    try:
        picture = pictures.decoded(
            io.BytesIO(raw), formats=FORMATS, side=2 * SIDE_PIXELS, most_pixels=settings.MAX_AVATAR_PIXELS
        )
    except pictures.TooManyPixels:
        raise AvatarRefused(400, "avatar_too_many_pixels", _("The picture has too many pixels.")) from None
    except pictures.NoPicture:
        raise AvatarRefused(415, "avatar_type", _("A picture is PNG, JPEG or WebP.")) from None
    except pictures.Unreadable:
        raise AvatarRefused(400, "avatar_unreadable", _("The picture could not be read.")) from None
    picture = ImageOps.fit(picture.convert("RGBA"), (SIDE_PIXELS, SIDE_PIXELS), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    clean = Image.new("RGBA", picture.size)
    clean.paste(picture)
    clean.save(out, "PNG", optimize=True)
    return out.getvalue()
