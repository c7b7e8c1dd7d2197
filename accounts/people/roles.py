"""Roles and permissions: check, give and take them."""

from django.contrib.auth.models import Permission
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.addresses import clean_name
from accounts.contributions.actions import Action
from accounts.credentials import api_tokens, sessions
from accounts.models import Company, Role, RolePolicy, User
from accounts.models.roles import SUPER
from accounts.notices.notifications import notify, notify_many
from audit.log import record
from config.access import get_visible
from config.contributions.registry import Registry, portal_apps
from config.errors import Conflict, Invalid
from config.plain_names import clean_title

BATCH = 500
USES = Registry("use of roles")
"""Functions of apps, function(role): a sentence for supers that says why the role cannot be deleted, or ""."""


def user_has_roles(user, *names):
    """True when `user` is active and holds every role in `names`. A super holds all roles."""
    if not user.is_active:
        return False
    return user.is_superuser or set(names) <= set(role_names(user))


def user_has_permissions(user, *codenames):
    """True when `user` is active and holds every permission in `codenames`. A super holds all permissions."""
    if not user.is_active:
        return False
    return user.is_superuser or set(codenames) <= set(permission_names(user))


def role_names(user):
    """The names of the user's roles, sorted."""
    return sorted(group.name for group in user.groups.all())


def permission_names(user):
    """The codenames of the user's permissions, sorted. A super holds every permission of the portal."""
    if user.is_superuser:
        return list(permissions().values_list("codename", flat=True))
    return sorted({name.split(".", 1)[1] for name in user.get_all_permissions()})


def permissions():
    """The permissions a role may carry, as Permission rows sorted by codename."""
    # Leave out the permissions of Django's own apps, such as sessions.
    return Permission.objects.filter(content_type__app_label__in=portal_apps()).order_by("codename")


def assert_super(user):
    """Raises PermissionDenied unless `user` is an active super now, by the database and not by the request's User.

    Only supers manage people. They hold every permission, so they never give a permission that they lack.
    """
    if not User.objects.filter(pk=user.pk, is_superuser=True, is_active=True).exists():
        raise PermissionDenied


def roles_named(names):
    """The Roles of these names, locked so that no other request can delete them now. Raises Invalid (400)."""
    found = list(Role.objects.filter(name__in=names).order_by("pk").select_for_update(no_key=True))
    unknown = sorted(set(names) - {role.name for role in found})
    if unknown:
        raise Invalid("roles", _("There is no role %(name)s.") % {"name": unknown[0][:60]})
    return found


def company_of(company_id):
    """The Company, locked so that no other request can delete it now; None for None. Raises Invalid (400)."""
    try:
        return None if company_id is None else Company.objects.select_for_update(no_key=True).get(pk=company_id)
    except Company.DoesNotExist:
        raise Invalid("company_id", _("There is no such company.")) from None


def _permissions_named(codenames):
    found = list(permissions().filter(codename__in=codenames))
    unknown = sorted(set(codenames) - {permission.codename for permission in found})
    if unknown:
        raise Invalid("permissions", _("There is no permission %(name)s.") % {"name": unknown[0][:60]})
    return found


@transaction.atomic
def save_role(*, by, role_id=None, name=None, permissions=None, requires_second_factor=None):
    """Make a role, or change the one of `role_id`; None leaves a part as it is. Returns the Role.

    A holder of a role that requires a second factor has to set one up at the next request.

    Raises PermissionDenied unless `by` is a super, Http404, Invalid (400), or Conflict (409) for a taken
    name or a built-in role's new name.
    """
    assert_super(by)
    role = Role() if role_id is None else get_visible(role_id, Role.objects.select_for_update())
    before = {} if role_id is None else _role_facts(role)
    name = None if name is None else clean_title(name, most=150)
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
    if requires_second_factor is not None:
        RolePolicy.objects.update_or_create(role=role, defaults={"requires_second_factor": requires_second_factor})
    record(Action.ROLE_CHANGED, user=by, target=role, before=before, after=_role_facts(role))
    return role


@transaction.atomic
def delete_role(*, by, role_id):
    """Delete a role, take it from its holders and notify them.

    Raises PermissionDenied unless `by` is a super, Http404, or Conflict (409) for a built-in role and for one in use.
    A super first takes back what was given to the role, each by itself, so that the audit log names it.
    """
    assert_super(by)
    role = get_visible(role_id, Role.objects.select_for_update())
    if role.is_built_in:
        raise Conflict(_("The built-in roles cannot be deleted."), code="built_in_role")
    for use in USES.values():
        if sentence := use(role):
            raise Conflict(sentence, code="not_empty")
    holders = list(role.user_set.order_by("pk"))
    record(Action.ROLE_CHANGED, user=by, target=role, before=_role_facts(role), holders=len(holders), deleted=True)
    facts, told = (
        {"roles_added": [], "roles_removed": [role.name]},
        {"about": f"role {role.pk}", "since": timezone.now()},
    )
    for start in range(0, len(holders), BATCH):
        batch = holders[start : start + BATCH]
        notify_many(batch, "account_changed", payload_of=lambda *_user_and_earlier: facts, **told)
    role.delete()


def _role_facts(role):
    policy = RolePolicy.objects.filter(role=role).first()
    return {
        "name": role.name,
        "permissions": sorted(role.permissions.values_list("codename", flat=True)),
        "requires_second_factor": policy is not None and policy.requires_second_factor,
    }


@transaction.atomic
def change_user(*, by, user_id, name=None, roles=None, add_roles=(), company_id=..., is_active=None):
    """Set a user's name, roles (names), company (id or None) and whether they may sign in. Returns the User.

    `add_roles` are added to the roles they have. The superuser flag follows the role `super`. The user is notified of
    a change, except one of their own. Raises PermissionDenied unless `by` is a super, Http404, or Invalid (400). Raises
    Conflict (409) when no active super would be left, or for switching on an unverified or closed account.
    """
    # Lock the supers first and in a fixed order. Otherwise two supers could demote each other at once.
    supers = list(User.objects.filter(is_superuser=True).order_by("pk").select_for_update(no_key=True))
    if not any(other.is_active for other in supers if other.pk == by.pk):
        raise PermissionDenied
    user = get_visible(user_id, User.objects.select_for_update(no_key=True))
    before = _facts(user)
    if name is not None:
        user.name = clean_name(name)
    if roles is not None or add_roles:
        roles = {*(role_names(user) if roles is None else roles), *add_roles}
        user.groups.set(roles_named(roles))
        user.is_superuser = user.is_staff = SUPER in roles
    if company_id is not ...:
        user.company = company_of(company_id)
    if is_active is not None:
        _switch(user, is_active)
    keeps_super = user.is_superuser and user.is_active
    if not keeps_super and not any(other.is_active for other in supers if other.pk != user.pk):
        raise Conflict(_("Somebody active has to stay super."), code="last_super")
    return _store(user, before, by)


def switch(user, *, by, is_active):
    """Set whether `user`, whose row the caller has locked and who is no super, may sign in; without a check of rights.

    Returns the User. The user is notified. Raises Conflict (409) for switching on an unverified or closed account.
    """
    before = _facts(user)
    _switch(user, is_active)
    return _store(user, before, by)


def _switch(user, is_active):
    user.is_active = is_active
    if is_active and not user.is_verified:
        raise Conflict(_("The address is not verified yet; its owner has to do that."), code="email_not_verified")
    if is_active and user.closed_at is not None:
        raise Conflict(_("Its owner closed this account. Open it again first."), code="account_closed")


def _store(user, before, by):
    after = _facts(user)
    if after == before:
        return user
    user.save()
    if not user.is_active:
        sessions.end_all(user)
        api_tokens.revoke_all(user, by=by)
    record(Action.USER_CHANGED, user=by, target=user, before=before, after=after)
    if user.pk != by.pk:
        notify(user, "account_changed", **_told(user, before, after))
    return user


@transaction.atomic
def log_out(*, by, user_id):
    """End every session and refresh token of another user; only a super may. API tokens stay.

    Raises PermissionDenied unless `by` is a super, or Http404. Raises Conflict (409) for the super's own account, which
    has its security page, and for a user who is not logged in.
    """
    assert_super(by)
    user = get_visible(user_id, User.objects.select_for_update(no_key=True))
    if user.pk == by.pk:
        raise Conflict(_("End your own sessions on your security page."), code="own_sessions")
    browsers, scripts = user.sessions.live().count(), user.refresh_tokens.newest_of_families().count()
    if not browsers + scripts:
        raise Conflict(_("They are logged in nowhere."), code="not_logged_in")
    sessions.end_all(user)
    record(Action.SESSION_ENDED, user=by, target=user, kind="all", browsers=browsers, scripts=scripts)
    notify(user, "security_changed", what="logged_out")


def _told(user, before, after):
    """The payload of the notice about a change; it leaves out the parts that did not change."""
    facts = {
        "roles_added": sorted(set(after["roles"]) - set(before["roles"])),
        "roles_removed": sorted(set(before["roles"]) - set(after["roles"])),
    }
    if after["company"] != before["company"]:
        facts["company"] = user.company.name if user.company else ""
    return facts | {name: after[name] for name in ("name", "is_active") if after[name] != before[name]}


def _facts(user):
    return {
        "name": user.name,
        "roles": role_names(user),
        "company": str(user.company_id or ""),
        "is_active": user.is_active,
    }
