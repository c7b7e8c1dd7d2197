"""API tokens in the admin: a super can view and end them, but not change them."""

from django.contrib import admin
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts.credentials import api_tokens
from accounts.scopes import SCOPES
from config.admin.actions import SeveralAtOnce
from config.admin.lines import moment, row_link
from config.admin.site import ReadOnlyAdmin

from ..models import ApiToken


class StateFilter(admin.SimpleListFilter):
    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request, model_admin):
        return [("live", _("Works")), ("over", _("Ended or expired"))]

    def queryset(self, request, queryset):
        match self.value():
            case "live":
                return queryset.live()
            case "over":
                return queryset.filter(Q(revoked_at__isnull=False) | Q(expires_at__lte=timezone.now()))
        return queryset


@admin.register(ApiToken)
class ApiTokenAdmin(SeveralAtOnce, ReadOnlyAdmin):
    """Ends tokens through accounts.credentials.api_tokens."""

    list_display = ["name", "prefix", "owner", "may", "state", "used", "until"]
    list_select_related = ["user"]
    list_filter = [StateFilter]
    search_fields = ["name", "prefix", "user__email", "user__name"]
    search_help_text = gettext_lazy("Name or first characters of the token, name or address of its owner")
    list_per_page = 50
    actions = ["end"]
    fields = ["name", "prefix", "owner", "may", "state", "made", "used", "last_used_address", "until"]

    @admin.display(description=gettext_lazy("owner"), ordering="user__email")
    def owner(self, token):
        return row_link("accounts_user_change", token.user)

    @admin.display(description=gettext_lazy("scopes"))
    def may(self, token):
        return "; ".join(str(SCOPES.get(scope, scope)) for scope in token.scopes)

    @admin.display(description=gettext_lazy("state"))
    def state(self, token):
        if token.revoked_at:
            return _("Ended")
        return _("Expired") if token.has_expired else _("Works")

    @admin.display(description=gettext_lazy("made"), ordering="created_at")
    def made(self, token):
        return moment(token.created_at)

    @admin.display(description=gettext_lazy("last used"), ordering="last_used_at", empty_value=gettext_lazy("never"))
    def used(self, token):
        return moment(token.last_used_at)

    @admin.display(description=gettext_lazy("good until"), ordering="expires_at")
    def until(self, token):
        return moment(token.expires_at)

    @admin.action(permissions=["view"], description=gettext_lazy("End at once"))
    def end(self, request, queryset):
        self.each(
            request,
            self.chosen(request, queryset) or (),
            lambda token: api_tokens.end(by=request.user, token_id=token.pk),
            done_words=lambda n: ngettext("%(n)d token was ended.", "%(n)d tokens were ended.", n) % {"n": n},
        )
