"""The first page of the portal."""

from django.shortcuts import render
from django.views.decorators.http import require_safe

from config.api.pagination import keyset_page

from .. import folders
from ..models import File, Folder

RECENT = 10


@require_safe
def home(request):
    """The landing page, or the signed-in user's dashboard."""
    if not request.user.is_authenticated:
        return render(request, "landing.html")
    personal = folders.personal_folder(request.user)
    rows = list(Folder.objects.visible_to(request.user).with_rights(request.user).in_order()[:12])
    recent = keyset_page(
        File.objects.downloadable_by(request.user).with_version_count().with_details(request.user),
        request=request,
        time_field="uploaded_at",
        default_limit=RECENT,
        pieces=File.objects.downloadable_pieces(request.user),
    )
    context = {
        "folders": [folder for folder in rows if folder.pk != personal.pk],
        "personal": next((folder for folder in rows if folder.pk == personal.pk), personal),
        "recent_files": recent.results,
    }
    return render(request, "fileshare/dashboard.html", context)
