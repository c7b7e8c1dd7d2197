"""Roles and rights: asking for them, giving and taking them."""

from django.contrib.auth.models import Permission
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from audit.log import record
from audit.models import Action
from config.access import get_visible
from config.errors import Conflict, Invalid

from . import tokens
from .models import Company, Role, User
from .models.roles import SUPER

# Django's bookkeeping models are nobody's business here.
APPS = ("accounts", "fileshare", "payments", "audit")


def user_has_roles(user, *names):
    """True when an active user holds every role named; a super holds them all."""
    if not user.is_active:
        return False
    return user.is_superuser or set(names) <= set(role_names(user))


def user_has_permissions(user, *codenames):
    """True when an active user holds every permission named ("add_file"), by role or by themselves."""
    if not user.is_active:
        return False
    return user.is_superuser or set(codenames) <= set(permission_names(user))


def role_names(user):
    """The user's roles by name, sorted."""
    return sorted(group.name for group in user.groups.all())


def permission_names(user):
    """The codenames the user holds, sorted; a super holds every one of the portal's."""
    if user.is_superuser:
        return list(permissions().values_list("codename", flat=True))
    return sorted({name.split(".", 1)[1] for name in user.get_all_permissions()})


def permissions():
    """The permissions a role may carry, as Permission rows sorted by codename."""
    return Permission.objects.filter(content_type__app_label__in=APPS).order_by("codename")


def _permissions_named(codenames):
    found = list(permissions().filter(codename__in=codenames))
    unknown = sorted(set(codenames) - {permission.codename for permission in found})
    if unknown:
        raise Invalid("permissions", _("There is no permission %(name)s.") % {"name": unknown[0][:60]})
    return found


@transaction.atomic
def save_role(*, by, role_id=None, name=None, permissions=None):
    """Make a role, or change the one of `role_id`; None leaves a part as it is. Returns the Role.

    Raises Http404, Invalid (400), or Conflict (409) for a taken name or a built-in role's new name.
    """
    role = Role() if role_id is None else get_visible(role_id, Role.objects.select_for_update())
    if name is not None and name != role.name:
        if role.pk and role.is_built_in:
            raise Conflict(_("The built-in roles keep their names."), code="built_in_role")
        if Role.objects.filter(name__iexact=name).exclude(pk=role.pk).exists():
            raise Conflict(_("A role of this name is there already."), code="name_taken")
        role.name = name
    try:
        with transaction.atomic():
            role.save()
    except IntegrityError:
        raise Conflict(_("A role of this name is there already."), code="name_taken") from None
    if permissions is not None:
        role.permissions.set(_permissions_named(permissions))
    record(Action.ROLE_CHANGED, user=by, target=role, permissions=permissions)
    return role


@transaction.atomic
def delete_role(*, by, role_id):
    """Delete a role; whoever held it holds it no longer. Raises Http404, or Conflict (409) for a built-in one."""
    role = get_visible(role_id, Role.objects.select_for_update())
    if role.is_built_in:
        raise Conflict(_("The built-in roles cannot be deleted."), code="built_in_role")
    record(Action.ROLE_CHANGED, user=by, target=role, deleted=True)
    role.delete()


@transaction.atomic
def change_user(*, by, user_id, roles=None, company_id=..., is_active=None):
    """Set a user's roles (names), company (id or None) and whether they may sign in. Returns the User.

    The role `super` and the superuser flag move together. Raises Http404, Invalid (400), or Conflict
    (409) when nobody active would be super any more.
    """
    # The supers are locked first and always in one order, so that two cannot demote each other.
    supers = list(User.objects.filter(is_superuser=True).order_by("pk").select_for_update())
    user = get_visible(user_id, User.objects.select_for_update())
    before = {"roles": role_names(user), "company": str(user.company_id or ""), "is_active": user.is_active}
    if roles is not None:
        found = list(Role.objects.filter(name__in=roles))
        unknown = sorted(set(roles) - {role.name for role in found})
        if unknown:
            raise Invalid("roles", _("There is no role %(name)s.") % {"name": unknown[0][:60]})
        user.groups.set(found)
        user.is_superuser = user.is_staff = SUPER in roles
    if company_id is not ...:
        try:
            user.company = None if company_id is None else Company.objects.get(pk=company_id)
        except Company.DoesNotExist:
            raise Invalid("company_id", _("There is no such company.")) from None
    if is_active is not None:
        user.is_active = is_active
        if is_active and not user.is_verified:
            raise Conflict(_("The address is not verified yet; its owner has to do that."), code="email_not_verified")
    keeps_super = user.is_superuser and user.is_active
    if not keeps_super and not any(other.is_active for other in supers if other.pk != user.pk):
        raise Conflict(_("Somebody active has to stay super."), code="last_super")
    user.save()
    if not user.is_active:
        tokens.close_all_families(user)
    after = {"roles": role_names(user), "company": str(user.company_id or ""), "is_active": user.is_active}
    record(Action.USER_CHANGED, user=by, target=user, before=before, after=after)
    return user
