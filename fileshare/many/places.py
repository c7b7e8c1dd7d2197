"""The folders that files can be moved or copied to, for a page to choose from."""

from django.db.models import Exists, OuterRef, Q

from fileshare.models import Folder, Subfolder

MOST = 50


def uploadable(*, user, words=""):
    """(Folders with their subfolders, whether there are more): the first MOST that `user` may upload to.

    Their own folder comes first; other people's are left out. `words` are a part of the name of the folder, of one of
    its subfolders or of its company.
    """
    rows = Folder.objects.uploadable_by(user).select_related("company").prefetch_related("subfolders")
    if words:
        inside = Subfolder.objects.filter(folder=OuterRef("pk"), name__icontains=words)
        rows = rows.filter(Q(name__icontains=words) | Q(company__name__icontains=words) | Exists(inside))
    found = [*rows.filter(owner=user), *rows.filter(owner=None).in_order()[: MOST + 1]]
    return found[:MOST], len(found) > MOST
