"""The log in the admin: to read, never to write."""

from django.contrib import admin

from .models import Event


@admin.register(Event)
class EventAdmin(admin.ModelAdmin):
    """Read-only."""

    list_display = ["created_at", "action", "actor_email", "target_name", "folder_slug", "address"]
    list_filter = ["action"]
    search_fields = ["actor_email", "target_name"]
    date_hierarchy = None
    show_full_result_count = False

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False
