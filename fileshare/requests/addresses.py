"""The address of a file request. It is computed each time it is shown; a request is found by the hash of its token."""

import base64
import hashlib

from django.conf import settings
from django.http import Http404
from django.urls import reverse
from django.utils.crypto import constant_time_compare, salted_hmac

from config.http.site_path import absolute
from fileshare.models import FileRequest


def _token(row, key=None):
    """The token of a request: an HMAC of 256 bits as 43 URL-safe characters. It is not stored."""
    mac = salted_hmac("fileshare.request", f"{row.pk}:{row.generation}", secret=key, algorithm="sha256")
    return base64.urlsafe_b64encode(mac.digest()).decode().rstrip("=")


def _hash(text):
    return hashlib.sha256(text.encode()).hexdigest()


def token_hash(row):
    """The hash of the token, to store as `token_hash` of a new request or a new address."""
    return _hash(_token(row))


def address(row):
    """The absolute URL that senders open. "" when its SECRET_KEY is not in the settings any more: renew it then."""
    for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        token = _token(row, key)
        if constant_time_compare(_hash(token), row.token_hash):
            return absolute(reverse("request", args=[token]))
    return ""


def by_token(token):
    """The FileRequest with this token; owner, folder and subfolder are joined. Raises Http404."""
    rows = FileRequest.objects.select_related("owner__company", "folder", "subfolder")
    row = rows.filter(token_hash=_hash(token)).first()
    if row is None:
        raise Http404
    return row
