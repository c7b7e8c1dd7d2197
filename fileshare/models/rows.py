"""What is told of a file, and files as rows of a list.

A list of a hundred files would otherwise be made of some 400 model instances, which takes longer than its query.
"""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.models.users import full_name
from fileshare.content import filenames

from .folders import shown_name


class Visibility(models.TextChoices):
    """Who may download a personal file besides its owner."""

    PRIVATE = "private", _("Private")
    PUBLIC = "public", _("Every signed-in user")


class ScanState(models.TextChoices):
    """The virus scanner's verdict on a file. Only clean files can be downloaded, by supers too."""

    CLEAN = "clean", _("Clean")
    WAITING = "waiting", _("Being checked for viruses")
    INFECTED = "infected", _("Infected, in quarantine")
    UNSCANNABLE = "unscannable", _("Cannot be checked, in quarantine")


class FileFacts:
    """What follows from the facts of a file; for File and FileRow."""

    __slots__ = ()

    def get_absolute_url(self):
        """The file's page."""
        return reverse("file", args=[self.pk])

    @property
    def extension(self):
        """Lower case, without the dot; "" for none."""
        return filenames.extension(self.filename)

    @property
    def note(self):
        """A sentence for users about a picture that got another ending than it was sent with; "" for other files."""
        if not self.sent_as:
            return ""
        text = _("This picture was sent as “%(name)s”. By its content it is a .%(ending)s file, so its name ends so.")
        return text % {"name": self.sent_as, "ending": self.extension}

    @property
    def is_clean(self):
        """True when the virus scanner does not stand in the way of a download."""
        return self.scan_state == ScanState.CLEAN

    @property
    def is_waiting(self):
        """True until the scanner has judged it."""
        return self.scan_state == ScanState.WAITING


@dataclass(slots=True)
class Place:
    """The folder or subfolder of a FileRow."""

    pk: UUID
    slug: str
    name: str
    owner_id: UUID | None = None

    @property
    def shown_name(self):
        """The name to show of a folder."""
        return shown_name(self)


@dataclass(slots=True)
class Uploader:
    """The user who uploaded a FileRow."""

    pk: UUID
    name: str
    email: str

    def get_full_name(self):
        """The name that other users see."""
        return full_name(self)


@dataclass(slots=True)
class TagOfRow:
    """A tag of a FileRow. `marked_name` is HTML that a search may add."""

    pk: UUID
    name: str
    marked_name: str = ""


@dataclass(slots=True)
class FileRow(FileFacts):
    """A file in a list, with the names of File (with_details). `marked_name` is HTML that a search may add."""

    pk: UUID
    filename: str
    sent_as: str
    size_bytes: int
    content_type: str
    sha256: str
    visibility: str
    uploaded_at: datetime
    expires_at: datetime | None
    download_count: int
    scan_state: str
    can_delete: bool
    version_count: int
    folder: Place
    subfolder: Place | None
    uploaded_by: Uploader | None
    tag_list: list = field(default_factory=list)
    marked_name: str = ""

    @property
    def uploaded_by_id(self):
        """The id of the uploader, or None."""
        return self.uploaded_by and self.uploaded_by.pk


_FACTS = (
    "pk",
    "filename",
    "sent_as",
    "size_bytes",
    "content_type",
    "sha256",
    "visibility",
    "uploaded_at",
    "expires_at",
    "download_count",
    "scan_state",
    "can_delete",
    "version_count",
)
_FOLDER = ("folder", "folder__slug", "folder__name", "folder__owner")
_SUBFOLDER = ("subfolder", "subfolder__slug", "subfolder__name")
_UPLOADER = ("uploaded_by", "uploaded_by__name", "uploaded_by__email")
COLUMNS = (*_FACTS, *_FOLDER, *_SUBFOLDER, *_UPLOADER)
_F, _S, _U = len(_FACTS), len(_FACTS) + len(_FOLDER), len(COLUMNS) - len(_UPLOADER)


def made(found):
    """FileRows of the tuples of COLUMNS, in their order; rows share their folders and people. They have no tags yet."""
    folders, subfolders, people = {None: None}, {None: None}, {None: None}

    def one(kind, kept, facts):
        if facts[0] not in kept:
            kept[facts[0]] = kind(*facts)
        return kept[facts[0]]

    return [
        FileRow(
            *row[:_F],
            one(Place, folders, row[_F:_S]),
            one(Place, subfolders, row[_S:_U]),
            one(Uploader, people, row[_U:]),
        )
        for row in found
    ]
