"""Lists of files, and single files and folders, by prepared queries (config.prepared)."""

from types import SimpleNamespace

from accounts.models import User
from accounts.stand_in import ForUser
from config.access import prepared_row
from config.api.prepared_lists import PreparedList
from config.prepared import Among, Fixed, Prepared, Several

from .models import File, Folder, Subfolder
from .models.files import MAX_PIECES
from .models.rows import TagOfRow, made

Tagging = File.tags.through
_PK = File._meta.pk
_FOLDER_PK = Folder._meta.pk

TAGS = Prepared(
    lambda files: (
        Tagging.objects.filter(Among("file_id", files))
        .order_by("tag__name")
        .values_list("file_id", "tag_id", "tag__name")
    ),
    files=Several(_PK),
)
SUBFOLDERS = Prepared(
    lambda folders: Subfolder.objects.filter(Among("folder_id", folders)),
    folders=Several(_FOLDER_PK),
)


def rows_with_tags(found):
    """FileRows, with their tags, of what FileQuerySet.as_rows gives."""
    rows = made(found)
    if rows:
        by_pk = {row.pk: row for row in rows}
        for file_id, tag_id, name in TAGS.all(files=list(by_pk)):
            by_pk[file_id].tag_list.append(TagOfRow(tag_id, name))
    return rows


def list_of(build, **options):
    """A PreparedList of FileRows with tags, newest first. `build` gets a `user`, and what `options` name as kinds."""
    return PreparedList(
        build,
        model=File,
        time_field="uploaded_at",
        shown=lambda queryset, user, **_values: queryset.as_rows(user),
        rows=rows_with_tags,
        user=ForUser(),
        **options,
    )


DOWNLOADABLE = Prepared(
    lambda user, pk: File.objects.downloadable_by(user).filter(pk=pk).select_related("folder", "subfolder").order_by(),
    user=ForUser(),
    pk=_PK,
)
"""The file with this id, if the user may download it; with folder and subfolder."""


# --- Folders ----------------------------------------------------------------------------------------


def _seen(user):
    return Folder.objects.visible_to(user).with_rights(user).prefetch_related(None)


_FOLDER = Prepared(lambda user, pk: _seen(user).filter(pk=pk), user=ForUser(), pk=_FOLDER_PK)
_FOLDER_BY_SLUG = Prepared(
    lambda user, slug: _seen(user).filter(slug=slug), user=ForUser(), slug=Folder._meta.get_field("slug")
)
_FOLDERS = Prepared(
    lambda user, start, end: _seen(user).in_order()[start:end], user=ForUser(), start=Fixed(), end=Fixed()
)
SEEN = Prepared(
    lambda user, pk: Folder.objects.visible_to(user).filter(pk=pk).order_by().values_list("pk", flat=True),
    user=ForUser(),
    pk=_FOLDER_PK,
)
"""The folder's id, if the user may see it."""
PERSONAL = Prepared(lambda owner: Folder.objects.filter(owner=owner).order_by(), owner=User._meta.pk)


def folder_seen_by(user, *, pk=None, slug=None):
    """The folder `user` may see, with_rights, by id or slug; None without one."""
    row = prepared_row(_FOLDER, user=user, pk=pk) if slug is None else _FOLDER_BY_SLUG.first(user=user, slug=slug)
    return row and _with_subfolders([row])[0]


def folders_seen_by(user, start, end):
    """The folders `user` may see, with_rights, in_order, from `start` to before `end`."""
    return _with_subfolders(_FOLDERS.all(user=user, start=start, end=end))


def _with_subfolders(folders):
    """The same list; each folder has its subfolders as if prefetched."""
    by_folder = {folder.pk: [] for folder in folders}
    for subfolder in SUBFOLDERS.all(folders=list(by_folder)) if folders else []:
        by_folder[subfolder.folder_id].append(subfolder)
    for folder in folders:
        known = folder.subfolders.get_queryset()
        known._result_cache, known._prefetch_done = by_folder[folder.pk], True
        folder._prefetched_objects_cache = {"subfolders": known}
    return folders


# --- Lists of files ---------------------------------------------------------------------------------


ROOT = "root"
"""In place of a subfolder's id: the files of none."""


def _in_folder(user, *, folder, can_download, is_owner, root_only, subfolder):
    place = SimpleNamespace(pk=folder, can_download=can_download, owner_id=user.pk if is_owner else None)
    files = File.objects.in_folder(place, user)
    return files.filter(subfolder=subfolder) if root_only or subfolder is not None else files


_IN_FOLDER_KINDS = {
    "folder": _FOLDER_PK,
    "can_download": Fixed(),
    "is_owner": Fixed(),
    "root_only": Fixed(),
    "subfolder": Subfolder._meta.pk,
}
_IN_FOLDER = list_of(_in_folder, **_IN_FOLDER_KINDS)
_NEWEST_IN_FOLDER = list_of(lambda user, **place: _in_folder(user, **place).latest_versions(), **_IN_FOLDER_KINDS)


def page_of_folder(folder, *, user, request, subfolder=None, newest_versions=False, **limit):
    """A Page of FileRows of a folder (from with_rights): of all of it, of a subfolder's id, or of its ROOT alone."""
    rows = _NEWEST_IN_FOLDER if newest_versions else _IN_FOLDER
    return rows.page(
        request=request,
        user=user,
        folder=folder.pk,
        can_download=folder.can_download,
        is_owner=folder.owner_id == user.pk,
        root_only=subfolder == ROOT,
        subfolder=None if subfolder == ROOT else subfolder,
        **limit,
    )


_FOLDERS_TO_READ = Prepared(
    lambda user: Folder.objects.downloadable_by(user).order_by().values_list("pk", flat=True)[: MAX_PIECES + 1],
    user=ForUser(),
)


def places_of(user):
    """The ids of the folders that `user` may download from, for downloadable_pieces.

    None for a super or a user of more than MAX_PIECES folders. They see so many files that a scan finds some soon.
    """
    if user.is_superuser:
        return None
    found = _FOLDERS_TO_READ.all(user=user)
    return found if len(found) <= MAX_PIECES else None


PLACES = Several(_FOLDER_PK, may_be_empty=True)
"""The Kind of what places_of returns."""


def _pieces(user, places):
    return None if places is None else File.objects.downloadable_pieces(places)


DOWNLOADABLE_FILES = list_of(lambda user, places: File.objects.downloadable_by(user), pieces=_pieces, places=PLACES)
COUNTED_FILES = list_of(
    lambda user, places: File.objects.downloadable_by(user).with_version_count(), pieces=_pieces, places=PLACES
)
"""DOWNLOADABLE_FILES with_version_count."""
OWN_NEWEST = list_of(lambda user: File.objects.visible_to(user).filter(uploaded_by=user).latest_versions())
OWN = list_of(lambda user: File.objects.visible_to(user).filter(uploaded_by=user))
