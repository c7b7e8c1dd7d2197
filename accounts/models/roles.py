"""Roles: Django groups under the name the portal's people know."""

from django.contrib.auth.models import Group, GroupManager

CLIENT, OPS, SUPER = "client", "ops", "super"
BUILT_IN_ROLES = (CLIENT, OPS, SUPER)


class Role(Group):
    """A named set of permissions. `client`, `ops` and `super` are seeded and cannot be deleted;
    members of `super` are exactly the superusers (accounts.roles keeps the two together)."""

    objects = GroupManager()

    class Meta:
        proxy = True

    @property
    def is_built_in(self):
        """True for the three seeded roles."""
        return self.name in BUILT_IN_ROLES
