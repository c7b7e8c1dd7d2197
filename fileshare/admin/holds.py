"""Legal holds. A super places and releases each with a reason. Released holds stay in the list."""

from django import forms
from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from accounts.people.log_reasons import MAX_REASON_LENGTH
from config.admin.operations import OperationsAdmin, OperationsForm

from .. import holds
from ..models import Hold


class PlaceForm(OperationsForm):
    """Places a hold: on what, and why."""

    names = {"folder_id": "folder", "file_id": "file", "user_id": "user"}


class ReleaseForm(OperationsForm):
    """The reason why a hold ends."""

    names = {"reason": "release_reason"}
    release_reason = forms.CharField(
        label=_("Release, because"),
        max_length=MAX_REASON_LENGTH,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("What was held may then be deleted again, and goes when its time is over."),
    )


class LiveFilter(admin.SimpleListFilter):
    """Holds in force, or released ones."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request, model_admin):
        return [("live", _("In force")), ("released", _("Released"))]

    def queryset(self, request, queryset):
        known = {"live": queryset.live(), "released": queryset.exclude(released_at=None)}
        return known.get(self.value(), queryset)


@admin.register(Hold)
class HoldAdmin(OperationsAdmin):
    list_display = ["target", "kind", "reason", "placed_by", "placed_at", "released_by", "released_at"]
    list_filter = [LiveFilter]
    list_select_related = ["folder", "file", "user", "placed_by", "released_by"]
    search_fields = ["folder__name", "file__filename", "user__email", "reason"]
    autocomplete_fields = ["folder", "user"]
    raw_id_fields = ["file"]
    actions = None

    @admin.display(description=_("on"))
    def target(self, hold):
        return hold.target

    @admin.display(description=_("kind"))
    def kind(self, hold):
        return hold.target._meta.verbose_name

    def has_delete_permission(self, request, obj=None):
        return False

    def has_change_permission(self, request, obj=None):
        return super().has_change_permission(request, obj) and (obj is None or obj.is_live)

    def get_form(self, request, obj=None, change=False, **kwargs):
        return super().get_form(request, obj, change=change, form=ReleaseForm if obj else PlaceForm, **kwargs)

    def get_fields(self, request, obj=None):
        if obj is None:
            return ["folder", "file", "user", "reason"]
        facts = self.get_readonly_fields(request, obj)
        return [*facts, "release_reason"] if obj.is_live else facts

    def get_readonly_fields(self, request, obj=None):
        if obj is None:
            return []
        ended = [] if obj.is_live else ["released_by", "released_at"]
        return ["target", "kind", "reason", "placed_by", "placed_at", *ended]

    def create(self, request, hold, facts):
        return holds.place(by=request.user, **facts)

    def change(self, request, hold, facts):
        return holds.release(by=request.user, hold_id=hold.pk, **facts)
