"""Folders in the admin: with their subfolders and permissions, and what is stored, to read."""

from django.contrib import admin
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext_lazy as _

from . import folders
from .models import File, Folder, FolderPermission, Subfolder, Upload


class SubfolderInline(admin.TabularInline):
    model = Subfolder
    extra = 0
    fields = ["name", "slug"]
    prepopulated_fields = {"slug": ["name"]}


class FolderPermissionInline(admin.TabularInline):
    model = FolderPermission
    extra = 0
    autocomplete_fields = ["user"]
    readonly_fields = ["granted_by", "granted_at"]

    def has_change_permission(self, request, obj=None):
        # A grant is given or taken back, never turned into another.
        return False


@admin.register(Folder)
class FolderAdmin(admin.ModelAdmin):
    """Making and changing folders; who granted a permission is written down."""

    list_display = ["name", "kind", "company", "owner", "type_policy", "used", "quota", "retention_days"]
    list_filter = ["type_policy", "company"]
    list_select_related = ["company", "owner"]
    search_fields = ["name", "slug"]
    prepopulated_fields = {"slug": ["name"]}
    fields = ["name", "slug", "description", "company", "type_policy", "retention_days", "quota_bytes"]
    inlines = [SubfolderInline, FolderPermissionInline]

    @admin.display(description=_("used"), ordering="used_bytes")
    def used(self, folder):
        return filesizeformat(folder.used_bytes)

    @admin.display(description=_("quota"), ordering="quota_bytes")
    def quota(self, folder):
        return filesizeformat(folder.quota_bytes)

    def get_prepopulated_fields(self, request, obj=None):
        return {} if obj else self.prepopulated_fields

    def get_readonly_fields(self, request, obj=None):
        return ["slug", "company"] if obj and obj.kind in ("documents", "personal") else []

    def has_delete_permission(self, request, obj=None):
        return False

    def save_model(self, request, obj, form, change):
        """Through the operations, which log, notify, and leave alone what the form did not change."""
        facts = {name: form.cleaned_data[name] for name in form.changed_data if name in form.cleaned_data}
        if "company" in facts:
            facts["company_id"] = facts["company"].pk if facts["company"] else None
            del facts["company"]
        if change:
            saved = folders.change_folder(user=request.user, folder_id=obj.pk, **facts) if facts else obj
        else:
            saved = folders.create_folder(user=request.user, **{"name": obj.name, "slug": obj.slug, **facts})
        obj.__dict__.update(saved.__dict__)

    def save_formset(self, request, form, formset, change):
        rows = formset.save(commit=False)
        for row in formset.deleted_objects:
            if isinstance(row, Subfolder):
                folders.delete_subfolder(user=request.user, subfolder_id=row.pk)
            else:
                folders.revoke(user=request.user, permission_id=row.pk)
        for row in rows:
            if isinstance(row, Subfolder):
                self._save_subfolder(request.user, form.instance, row)
            else:
                folders.grant(
                    user=request.user,
                    folder_id=form.instance.pk,
                    permission_type=row.permission_type,
                    user_id=row.user_id,
                    role=row.role.name if row.role_id else None,
                )

    def _save_subfolder(self, user, folder, row):
        if row._state.adding:
            folders.create_subfolder(user=user, folder_id=folder.pk, name=row.name, slug=row.slug)
        else:
            folders.rename_subfolder(user=user, subfolder_id=row.pk, name=row.name)


class ReadOnlyAdmin(admin.ModelAdmin):
    show_full_result_count = False

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False


@admin.register(File)
class FileAdmin(ReadOnlyAdmin):
    list_display = ["filename", "folder", "subfolder", "size_bytes", "uploaded_by", "uploaded_at", "expires_at"]
    list_select_related = ["folder", "subfolder", "uploaded_by"]
    search_fields = ["filename"]

    def get_queryset(self, request):
        # What was deleted has a page of its own, where it is restored or purged.
        return super().get_queryset(request).filter(deleted_at=None)


@admin.register(Upload)
class UploadAdmin(ReadOnlyAdmin):
    list_display = ["filename", "folder", "size_bytes", "uploaded_by", "status", "created_at", "expires_at"]
    list_select_related = ["folder", "uploaded_by"]
