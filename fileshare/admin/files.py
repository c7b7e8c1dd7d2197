"""Stored files, read-only. A super changes a file on its page in the portal."""

from django.contrib import admin
from django.template.defaultfilters import filesizeformat
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from config.admin.lines import link, moment, row_link
from config.admin.site import ReadOnlyAdmin

from ..models import File, Folder
from .folders import KINDS


class FolderKindFilter(admin.SimpleListFilter):
    """Filters by the kind of the folder, because there may be thousands of folders to choose from."""

    title = gettext_lazy("kind of folder")
    parameter_name = "kind"

    def lookups(self, request, model_admin):
        return list(KINDS.items())

    def queryset(self, request, queryset):
        known = self.value() in KINDS
        return queryset.filter(folder__in=Folder.objects.of_kind(self.value()).values("pk")) if known else queryset


class ChosenFilter(admin.RelatedFieldListFilter):
    """Shows only the row that a link to the list asked for, because there may be thousands to choose from."""

    def field_choices(self, field, request, model_admin):
        chosen = field.remote_field.model._base_manager.filter(pk__in=self.lookup_val or [])
        return [(row.pk, str(row)) for row in chosen]

    def has_output(self):
        return bool(self.used_parameters)


class OfFiles:
    """Columns for rows that have a folder, a size and an uploader."""

    @admin.display(description=gettext_lazy("place"), ordering="folder__name")
    def place(self, row):
        folder = row_link("fileshare_folder_change", row.folder)
        return format_html("{} / {}", folder, row.subfolder.name) if row.subfolder else folder

    @admin.display(description=gettext_lazy("size"), ordering="size_bytes")
    def size(self, row):
        return filesizeformat(row.size_bytes)

    @admin.display(description=gettext_lazy("by"), ordering="uploaded_by__email")
    def uploader(self, row):
        return row_link("accounts_user_change", row.uploaded_by)


@admin.register(File)
class FileAdmin(OfFiles, ReadOnlyAdmin):
    list_display = ["filename", "place", "size", "uploader", "uploaded", "goes", "download_count", "page"]
    list_select_related = ["folder", "subfolder", "uploaded_by"]
    list_filter = ["uploaded_at", "visibility", "scan_state", FolderKindFilter, ("folder", ChosenFilter)]
    list_per_page = 50
    search_fields = ["filename", "uploaded_by__email"]
    search_help_text = gettext_lazy("Name of the file, or address of its uploader")
    fieldsets = [
        (None, {"fields": ["filename", "place", "size", "content_type", "visibility", "tag_words"]}),
        (gettext_lazy("Came and goes"), {"fields": ["uploader", "uploaded", "goes", "download_count", "more"]}),
        (gettext_lazy("Content"), {"fields": ["scan_state", "scan_detail", "sha256", "object_key"]}),
    ]

    def get_queryset(self, request):
        # Deleted files are in the trash, a page of the portal: there they are restored or deleted for good.
        return super().get_queryset(request).filter(deleted_at=None)

    @admin.display(description=gettext_lazy("uploaded"), ordering="uploaded_at")
    def uploaded(self, file):
        return moment(file.uploaded_at)

    @admin.display(description=gettext_lazy("goes"), ordering="expires_at", empty_value=gettext_lazy("stays"))
    def goes(self, file):
        return moment(file.expires_at)

    @admin.display(description=gettext_lazy("tags"))
    def tag_words(self, file):
        return ", ".join(tag.name for tag in file.tags.all()) or "–"

    @admin.display(description=gettext_lazy("page"))
    def page(self, file):
        return format_html('<a href="{}">{}</a>', file.get_absolute_url(), _("Open"))

    @admin.display(description=gettext_lazy("more of it"))
    def more(self, file):
        log = link("audit_event_changelist", _("What happened to it"), target_id=file.pk)
        return format_html("{} · {}", self.page(file), log)
