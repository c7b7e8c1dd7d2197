"""The first page of the portal."""

from django.shortcuts import render
from django.views.decorators.http import require_safe

from .. import audiences, folders, lists

RECENT = 10
FOLDERS = 12


@require_safe
def home(request):
    """The landing page, or the signed-in user's dashboard."""
    if not request.user.is_authenticated:
        return render(request, "landing.html")
    personal = folders.personal_folder(request.user)
    rows = audiences.told_of_everybody(lists.folders_seen_by(request.user, 0, FOLDERS))
    recent = lists.COUNTED_FILES.page(
        user=request.user, places=lists.places_of(request.user), request=request, default_limit=RECENT
    )
    context = {
        "folders": [folder for folder in rows if folder.pk != personal.pk],
        "personal": next((folder for folder in rows if folder.pk == personal.pk), personal),
        "recent_files": recent.results,
    }
    return render(request, "fileshare/dashboard.html", context)
