"""The log in the admin, read-only."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from config.admin.site import BoundedPaginator, ReadOnlyAdmin

from .actions import Action
from .log import record
from .models import Event


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    """Read-only. Looking at the log adds a row to it, as on the log's own page."""

    list_display = ["created_at", "action", "actor_email", "target_name", "folder_slug", "address", "seq"]
    list_filter = ["action"]
    search_fields = ["actor_email__exact", "target_id__exact", "folder_slug__exact"]
    search_help_text = _("A whole e-mail address, id or short name of a folder")
    # Any other order would sort the whole log.
    sortable_by = ()
    paginator = BoundedPaginator
    fields = [
        *["created_at", "action", "actor_email", "target_type", "target_id", "target_name"],
        *[
            "folder_slug",
            "subfolder_slug",
            "size_bytes",
            "detail",
            "address",
            "user_agent",
            "request_id",
            "seq",
            "prev_hash",
            "hash",
        ],
    ]

    def get_search_results(self, request, queryset, search_term):
        return super().get_search_results(request, queryset, search_term.lower())

    def changelist_view(self, request, extra_context=None):
        if self.has_view_permission(request):
            record(Action.LOG_READ, user=request.user, way="admin", filters=dict(request.GET.items()))
        return super().changelist_view(request, extra_context)

    def history_view(self, request, object_id, extra_context=None):
        if self.has_view_permission(request):
            record(Action.LOG_READ, user=request.user, way="admin", filters={"id": object_id[:64]})
        return super().history_view(request, object_id, extra_context)

    def change_view(self, request, object_id, form_url="", extra_context=None):
        if self.has_view_permission(request):
            record(Action.LOG_READ, user=request.user, way="admin", filters={"id": object_id[:64]})
        return super().change_view(request, object_id, form_url, extra_context)
