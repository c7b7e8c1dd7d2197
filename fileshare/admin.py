"""Folders in the admin: with their subfolders and permissions, and what is stored, to read."""

from django.contrib import admin

from .models import File, Folder, FolderPermission, Subfolder, Upload


class SubfolderInline(admin.TabularInline):
    model = Subfolder
    extra = 0
    prepopulated_fields = {"slug": ["name"]}


class FolderPermissionInline(admin.TabularInline):
    model = FolderPermission
    extra = 0
    autocomplete_fields = ["user"]
    readonly_fields = ["granted_by", "granted_at"]


@admin.register(Folder)
class FolderAdmin(admin.ModelAdmin):
    """Making and changing folders; who granted a permission is written down."""

    list_display = ["name", "slug", "kind", "company", "type_policy", "used_bytes", "quota_bytes", "retention_days"]
    list_filter = ["type_policy", "company"]
    list_select_related = ["company"]
    search_fields = ["name", "slug"]
    prepopulated_fields = {"slug": ["name"]}
    fields = ["name", "slug", "description", "company", "type_policy", "retention_days", "quota_bytes"]
    inlines = [SubfolderInline, FolderPermissionInline]

    def get_prepopulated_fields(self, request, obj=None):
        return {} if obj else self.prepopulated_fields

    def get_readonly_fields(self, request, obj=None):
        return ["slug", "company"] if obj and obj.kind in ("documents", "personal") else []

    def has_delete_permission(self, request, obj=None):
        return False

    def save_formset(self, request, form, formset, change):
        for row in formset.save(commit=False):
            if isinstance(row, FolderPermission) and row.granted_by_id is None:
                row.granted_by = request.user
            row.save()
        for row in formset.deleted_objects:
            row.delete()


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


@admin.register(Upload)
class UploadAdmin(ReadOnlyAdmin):
    list_display = ["filename", "folder", "size_bytes", "uploaded_by", "status", "created_at", "expires_at"]
    list_select_related = ["folder", "uploaded_by"]
