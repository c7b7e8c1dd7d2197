"""Unfinished uploads in the admin. A super may look at them and end them."""

from django.contrib import admin
from django.template.defaultfilters import filesizeformat
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from config.admin.actions import SeveralAtOnce
from config.admin.lines import moment, row_link
from config.admin.site import ReadOnlyAdmin
from fileshare.incoming import uploads

from ..models import Upload
from ..storage import StoreUnavailable
from .files import ChosenFilter, FolderKindFilter, OfFiles


@admin.register(Upload)
class UploadAdmin(OfFiles, SeveralAtOnce, ReadOnlyAdmin):
    """Ends uploads through fileshare.incoming.uploads."""

    list_display = ["filename", "place", "size", "who", "state", "begun", "until"]
    list_select_related = ["folder", "subfolder", "uploaded_by", "sender__request"]
    list_filter = ["status", "created_at", FolderKindFilter, ("folder", ChosenFilter)]
    list_per_page = 50
    search_fields = ["filename", "uploaded_by__email", "folder__name", "folder__slug"]
    search_help_text = gettext_lazy("Name of the file or the folder, or address of the uploader")
    actions = ["give_up"]
    fieldsets = [
        (None, {"fields": ["filename", "place", "size", "content_type", "type_policy"]}),
        (gettext_lazy("How far it is"), {"fields": ["state", "progress", "who", "begun", "until"]}),
    ]

    @admin.display(description=gettext_lazy("by"), ordering="uploaded_by__email")
    def who(self, upload):
        if upload.sender is None:
            return self.uploader(upload)
        asked = row_link("fileshare_filerequest_change", upload.sender.request)
        return format_html("{} · {}", upload.sender, asked)

    @admin.display(description=gettext_lazy("state"), ordering="status")
    def state(self, upload):
        return format_html('<span class="state state-{}">{}</span>', upload.state, upload.state.label)

    @admin.display(description=gettext_lazy("received"))
    def progress(self, upload):
        try:
            received = uploads.progress(upload)
        except StoreUnavailable:
            return _("The store does not answer at the moment.")
        if received is None:
            return _("It comes in one piece: nothing is known of it until all of it is there.")
        size, parts = received
        return _("%(size)s of %(whole)s, %(parts)d of %(count)d parts") % {
            "size": filesizeformat(size),
            "whole": filesizeformat(upload.size_bytes),
            "parts": parts,
            "count": upload.part_count,
        }

    @admin.display(description=gettext_lazy("begun"), ordering="created_at")
    def begun(self, upload):
        return moment(upload.created_at)

    @admin.display(description=gettext_lazy("given up by itself"), ordering="expires_at")
    def until(self, upload):
        return moment(upload.expires_at)

    @admin.action(permissions=["view"], description=gettext_lazy("Give up: free the space, remove what came"))
    def give_up(self, request, queryset):
        self.each(
            request,
            self.chosen(request, queryset) or (),
            lambda upload: uploads.give_up(user=request.user, file_id=upload.pk),
            done_words=lambda n: ngettext("%(n)d upload was given up.", "%(n)d uploads were given up.", n) % {"n": n},
        )
