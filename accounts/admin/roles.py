"""Roles in the admin."""

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin
from django.contrib.auth.models import Group
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.people import roles
from config.admin.lines import link, number_of, some_of
from config.admin.operations import OperationsAdmin, OperationsForm

from ..models import Role, RolePolicy, User
from ._lines import person_line

admin.site.unregister(Group)


class RoleForm(OperationsForm):
    requires_second_factor = forms.BooleanField(
        required=False,
        label=gettext_lazy("Second factor required"),
        help_text=gettext_lazy(
            "Who holds this role and has neither an authenticator app nor a passkey reaches nothing but the page that "
            "sets one up, from their next request on."
        ),
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        policy = RolePolicy.objects.filter(role=self.instance.pk).first() if self.instance.pk else None
        self.initial["requires_second_factor"] = bool(policy and policy.requires_second_factor)

    def facts(self):
        facts = super().facts()
        if "permissions" in facts:
            facts["permissions"] = [permission.codename for permission in facts["permissions"]]
        return facts

    class Meta:
        help_texts = {
            "name": gettext_lazy("The built-in roles client, ops and super keep their names."),
            "permissions": gettext_lazy(
                "What holders of the role are told they may do. Who downloads from a folder or uploads to it is set on "
                "the folder, and only supers manage people."
            ),
        }


@admin.register(Role)
class RoleAdmin(OperationsAdmin, GroupAdmin):
    """Saves and deletes through accounts.people.roles. Built-in roles cannot be renamed or deleted."""

    form = RoleForm
    list_display = ["name", "built_in", "number_of_people", "number_of_permissions"]
    list_per_page = 50
    belongings = ["people"]

    def get_queryset(self, request):
        holders, permissions = User.groups.through.objects, Role.permissions.through.objects
        return (
            super()
            .get_queryset(request)
            .annotate(people_count=number_of(holders, "group"), permission_count=number_of(permissions, "group"))
        )

    def get_fieldsets(self, request, obj=None):
        about = (None, {"fields": ["name", "requires_second_factor", "permissions"]})
        return [about, (_("Who holds it and where"), {"fields": self.belongings})] if obj else [about]

    def get_readonly_fields(self, request, obj=None):
        shown = self.belongings if obj else []
        return ["name", *shown] if obj and obj.is_built_in else shown

    def formfield_for_manytomany(self, db_field, request, **kwargs):
        kwargs.setdefault("queryset", roles.permissions())
        field = super().formfield_for_manytomany(db_field, request, **kwargs)
        field.label_from_instance = lambda permission: permission.name
        return field

    def has_delete_permission(self, request, obj=None):
        return super().has_delete_permission(request, obj) and not (obj and obj.is_built_in)

    @admin.display(description=gettext_lazy("built-in"), boolean=True)
    def built_in(self, role):
        return role.is_built_in

    @admin.display(description=gettext_lazy("people"), ordering="people_count")
    def number_of_people(self, role):
        return link("accounts_user_changelist", role.people_count, groups__id__exact=role.pk)

    @admin.display(description=gettext_lazy("permissions"), ordering="permission_count")
    def number_of_permissions(self, role):
        return role.permission_count

    @admin.display(description=gettext_lazy("people"))
    def people(self, role):
        everybody = link("accounts_user_changelist", _("All of them"), groups__id__exact=role.pk)
        return some_of(role.user_set.order_by("name", "email"), person_line, everything=everybody)

    def create(self, request, role, facts):
        return roles.save_role(by=request.user, **facts)

    def change(self, request, role, facts):
        return roles.save_role(by=request.user, role_id=role.pk, **facts)

    def delete(self, request, role):
        roles.delete_role(by=request.user, role_id=role.pk)
