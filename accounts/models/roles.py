"""Roles: Django groups under another name."""

from django.contrib.auth.models import Group, GroupManager

CLIENT, OPS, SUPER = "client", "ops", "super"
BUILT_IN_ROLES = (CLIENT, OPS, SUPER)


class Role(Group):
    """A named set of permissions. A migration creates `client`, `ops` and `super`; they cannot be deleted.

    The members of `super` are exactly the superusers (accounts.people.roles keeps the two together).
    """

    objects = GroupManager()

    class Meta:
        proxy = True

    @property
    def is_built_in(self):
        """True for `client`, `ops` and `super`."""
        return self.name in BUILT_IN_ROLES
