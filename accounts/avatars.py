"""Profile pictures: whatever comes in, a clean square of 256 pixels goes out."""

import io
import uuid
import warnings

from django.conf import settings
from django.core.files.base import ContentFile
from django.db import transaction
from django.utils.translation import gettext as _
from PIL import Image, ImageOps

from config.errors import Refused

from .models import User

SIDE_PIXELS = 256
FORMATS = ("PNG", "JPEG", "WEBP")


class AvatarRefused(Refused):
    """400, 413 or 415, each with its own code."""


def set_avatar(*, user, image):
    """Make `image` (a binary file of PNG, JPEG or WebP, at most MAX_AVATAR_BYTES) the user's picture.

    Decoded, turned upright, cropped square, scaled to 256 px and encoded anew: no metadata and no
    hidden payload survives. Raises AvatarRefused.
    """
    raw = image.read(settings.MAX_AVATAR_BYTES + 1)
    if len(raw) > settings.MAX_AVATAR_BYTES:
        raise AvatarRefused(413, "avatar_too_large", _("A picture has at most 5 MiB."))
    return _replace(user, ContentFile(_square(raw), name=f"{user.pk}-{uuid.uuid4().hex}.png"))


def remove_avatar(*, user):
    """Leave the user without a picture, as somebody who never set one. Returns the User."""
    return _replace(user, "")


@transaction.atomic
def _replace(user, picture):
    user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    old = user.avatar.name
    user.avatar = picture
    user.save(update_fields=["avatar", "updated_at"])
    if old:
        transaction.on_commit(lambda: user.avatar.storage.delete(old), robust=True)
    return user


def _square(raw):
    try:
        with warnings.catch_warnings():
            # A picture near the limit of pixels is refused like one beyond it.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(raw), formats=FORMATS)
            if picture.width * picture.height > settings.MAX_AVATAR_PIXELS:
                raise AvatarRefused(400, "avatar_too_many_pixels", _("The picture has too many pixels."))
            # A JPEG is decoded at a fraction of its size where that is enough.
            picture.draft("RGB", (2 * SIDE_PIXELS, 2 * SIDE_PIXELS))
            picture.load()
            picture = ImageOps.exif_transpose(picture)
            picture = ImageOps.fit(picture.convert("RGBA"), (SIDE_PIXELS, SIDE_PIXELS), Image.Resampling.LANCZOS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise AvatarRefused(400, "avatar_too_many_pixels", _("The picture has too many pixels.")) from None
    except Image.UnidentifiedImageError:
        raise AvatarRefused(415, "avatar_type", _("A picture is PNG, JPEG or WebP.")) from None
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, IndexError, TypeError):
        raise AvatarRefused(400, "avatar_unreadable", _("The picture could not be read.")) from None
    out = io.BytesIO()
    clean = Image.new("RGBA", picture.size)
    clean.paste(picture)
    clean.save(out, "PNG", optimize=True)
    return out.getvalue()
