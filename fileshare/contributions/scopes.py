"""The scopes of API tokens for folders, files, links and file requests."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.scopes import Scope as AccountScope


class Scope(models.TextChoices):
    """Stored text and label."""

    FILES_READ = "files:read", _("See folders, search and download files")
    FILES_WRITE = "files:write", _("Upload, rename, tag, move, copy, delete and restore files")
    SHARES_WRITE = (
        "shares:write",
        _("Make, see and end share links, by which a file is read, and file requests"),
    )


FILES = (Scope.FILES_READ, Scope.FILES_WRITE)
LISTS = (Scope.FILES_READ, None)
FOLDERS = (Scope.FILES_READ, AccountScope.ADMIN)
# Reading is enough for these POSTs: they only answer bytes or the address of bytes, and change nothing.
READING = (Scope.FILES_READ, Scope.FILES_READ)
SENDING = (Scope.FILES_WRITE, Scope.FILES_WRITE)
SHARES = (Scope.SHARES_WRITE, Scope.SHARES_WRITE)
