"""Files in quarantine. A super releases them as false alarms, or deletes them for good."""

from django import forms
from django.contrib import admin
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext_lazy as _

from accounts.people.log_reasons import MAX_REASON_LENGTH
from config.admin.operations import OperationsAdmin, OperationsForm
from fileshare import files
from fileshare.scanning import virus_gate

from ..models import QuarantinedFile


class ReleaseForm(OperationsForm):
    """The reason why a super releases a file."""

    reason = forms.CharField(
        label=_("Release, because"),
        max_length=MAX_REASON_LENGTH,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("Everybody who may download it gets it then, whatever the scanner said."),
    )


@admin.register(QuarantinedFile)
class QuarantineAdmin(OperationsAdmin):
    list_display = ["filename", "folder", "uploaded_by", "size", "scan_state", "scan_detail", "scanned_at"]
    list_filter = ["scan_state"]
    list_select_related = ["folder", "uploaded_by"]
    search_fields = ["filename", "scan_detail"]
    ordering = ["-scanned_at", "-id"]
    form = ReleaseForm
    readonly_fields = [
        *["filename", "folder", "subfolder", "uploaded_by", "uploaded_at", "size", "sha256"],
        *["scan_state", "scan_detail", "scanned_at", "deleted_at"],
    ]
    fields = [*readonly_fields, "reason"]

    @admin.display(description=_("size"), ordering="size_bytes")
    def size(self, file):
        return filesizeformat(file.size_bytes)

    def get_queryset(self, request):
        return super().get_queryset(request).quarantined()

    def has_add_permission(self, request):
        return False

    def change(self, request, file, facts):
        return virus_gate.release(by=request.user, file_id=file.pk, **facts)

    def delete(self, request, file):
        files.purge_quarantined(by=request.user, file_id=file.pk)
