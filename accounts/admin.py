"""People in the admin; what a change means is decided by the operations."""

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin
from django.contrib.auth.models import Group

from . import roles
from .models import Company, Role, User

admin.site.unregister(Group)


@admin.register(Company)
class CompanyAdmin(admin.ModelAdmin):
    list_display = ["name", "slug", "created_at"]
    search_fields = ["name", "slug"]
    prepopulated_fields = {"slug": ["name"]}


@admin.register(Role)
class RoleAdmin(GroupAdmin):
    """Built-in roles keep their names and stay."""

    def get_readonly_fields(self, request, obj=None):
        return ["name"] if obj and obj.is_built_in else []

    def has_delete_permission(self, request, obj=None):
        return super().has_delete_permission(request, obj) and not (obj and obj.is_built_in)


@admin.register(User)
class UserAdmin(admin.ModelAdmin):
    """Roles, company and whether somebody may sign in; saved through roles.change_user."""

    list_display = ["email", "name", "company", "is_active", "is_superuser", "created_at"]
    list_filter = ["is_active", "groups", "company"]
    list_select_related = ["company"]
    search_fields = ["email", "name"]
    fields = ["email", "name", "company", "groups", "is_active", "email_verified_at", "last_login", "created_at"]
    readonly_fields = ["email", "email_verified_at", "last_login", "created_at"]
    filter_horizontal = ["groups"]

    def has_add_permission(self, request):
        return False

    def has_delete_permission(self, request, obj=None):
        return False

    def save_model(self, request, obj, form, change):
        """The name is plain data; the rest goes through the one operation, with the many-to-many."""
        User.objects.filter(pk=obj.pk).update(name=obj.name)

    def save_related(self, request, form, formsets, change):
        facts = form.cleaned_data
        roles.change_user(
            by=request.user,
            user_id=form.instance.pk,
            roles=[group.name for group in facts["groups"]],
            company_id=facts["company"].pk if facts["company"] else None,
            is_active=facts["is_active"] if "is_active" in form.changed_data else None,
        )
