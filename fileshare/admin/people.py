"""Users and roles in the admin, registered again with their folders and files."""

from django.contrib import admin
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Exists, OuterRef
from django.template.defaultfilters import filesizeformat
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.admin.roles import RoleAdmin
from accounts.admin.users import UserAdmin
from accounts.models import Role, User
from config.admin.lines import link

from ._lines import grants_list, rights_list

admin.site.unregister([Role, User])


class FilesFilter(admin.SimpleListFilter):
    title = gettext_lazy("files")
    parameter_name = "files"

    def lookups(self, request, model_admin):
        return [("yes", _("Has uploaded some")), ("no", _("Has none"))]

    def queryset(self, request, queryset):
        uploaders = User.objects.filter(pk=OuterRef("pk"), files__isnull=False, files__deleted_at=None)
        match self.value():
            case "yes":
                return queryset.filter(Exists(uploaders))
            case "no":
                return queryset.filter(~Exists(uploaders))
        return queryset


@admin.register(User)
class UserWithFilesAdmin(UserAdmin):
    list_display = ["person", "company", "role_list", "state", "storage", "logged_in"]
    list_filter = [*UserAdmin.list_filter, FilesFilter]
    fieldsets = [*UserAdmin.fieldsets, (gettext_lazy("Folders"), {"fields": ["personal_space", "grants"]})]
    readonly_fields = [*UserAdmin.readonly_fields, "personal_space", "grants"]

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("personal_folder")

    def log_links(self, user):
        """The links to the user's log, and one to their files."""
        files = link("fileshare_file_changelist", _("Their files"), uploaded_by__id__exact=user.pk)
        return [*super().log_links(user), files]

    @admin.display(description=gettext_lazy("own files"), ordering="personal_folder__used_bytes")
    def storage(self, user):
        try:
            return filesizeformat(user.personal_folder.used_bytes)
        except ObjectDoesNotExist:
            return "–"

    @admin.display(description=gettext_lazy("personal folder"))
    def personal_space(self, user):
        try:
            folder = user.personal_folder
        except ObjectDoesNotExist:
            return _("Made when they first open their files.")
        used = _("%(used)s of %(quota)s used") % {
            "used": filesizeformat(folder.used_bytes),
            "quota": filesizeformat(folder.quota_bytes),
        }
        return format_html("{} · {}", used, link("fileshare_folder_change", _("Change the quota"), folder.pk))

    @admin.display(description=gettext_lazy("may use"))
    def grants(self, user):
        return rights_list(user)


@admin.register(Role)
class RoleWithFoldersAdmin(RoleAdmin):
    belongings = [*RoleAdmin.belongings, "grants"]

    @admin.display(description=gettext_lazy("folders"))
    def grants(self, role):
        return grants_list(role.folder_permissions)
