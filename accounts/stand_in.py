"""A user inside a prepared query (config.prepared)."""

from config.prepared import Kind, Slot

from .models import User


class ForUser(Kind):
    """A User or an AnonymousUser. The rules of querysets may read of it what _AnyUser has."""

    def shape(self, value):
        """The facts that decide which SQL a rule makes."""
        return value.is_active, value.is_superuser, getattr(value, "company_id", None) is not None

    def stand_in(self, name, shape):
        """A _AnyUser."""
        return _AnyUser(name, *shape)

    def values(self, name, value):
        """The id of the user, and of their company."""
        return {name: value.pk, f"{name}.company": getattr(value, "company_id", None)}


class _AnyUser(Slot):
    """Stands for each user of one shape; as a value in a filter it is the user's id."""

    def __init__(self, name, is_active, is_superuser, has_company):
        super().__init__(name, User._meta.pk)
        self.is_active, self.is_superuser = is_active, is_superuser
        self.company_id = Slot(f"{name}.company", User._meta.get_field("company").target_field) if has_company else None

    @property
    def pk(self):
        """The id of the user."""
        return self
