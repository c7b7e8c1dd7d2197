"""Base classes of the admin: only supers may open it, and lists have a bounded cost."""

import contextlib
import functools

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG
from django.core.exceptions import FieldError, ValidationError
from django.core.paginator import Paginator
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction

# Errors that Python and the databases raise for a lookup that makes no sense.
NO_SENSE = (
    ValueError,
    TypeError,
    ArithmeticError,
    LookupError,
    AttributeError,
    FieldError,
    ValidationError,
    DatabaseError,
)


class SupersOnly:
    """Pages for active supers only; staff status and Django's permissions do not open them."""

    def _is_super(self, request):
        return request.user.is_active and request.user.is_superuser

    def has_module_permission(self, request):
        return self._is_super(request)

    def has_view_permission(self, request, obj=None):
        return self._is_super(request)

    def has_add_permission(self, request):
        return self._is_super(request)

    def has_change_permission(self, request, obj=None):
        return self._is_super(request)

    def has_delete_permission(self, request, obj=None):
        return self._is_super(request)


class BoundedPaginator(Paginator):
    """Counts at most MOST rows: a full count reads the whole table, and no user pages through millions of rows."""

    MOST = 10_000

    @functools.cached_property
    def count(self):
        return self.object_list.order_by()[: self.MOST].count()


class BoundedLists:
    """Lists whose cost does not grow with the table, and that answer any query string without an error 500."""

    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = BoundedPaginator

    def lookup_allowed(self, lookup, value, request=None):
        """Refuse regex lookups: one can keep a database busy, and SQLite reports a broken one as its own failure."""
        return not {"regex", "iregex"} & set(lookup.split("__")) and super().lookup_allowed(lookup, value, request)

    def get_changelist_instance(self, request):
        """The list with its rows already read. Raises IncorrectLookupParameters when the address asks for nonsense."""
        # An error breaks the surrounding transaction, so use a savepoint if there is one. Do not begin a transaction:
        # it would lock all of SQLite.
        guard = transaction.atomic() if connection.in_atomic_block else contextlib.nullcontext()
        try:
            with guard:
                listed = super().get_changelist_instance(request)
                if request.method != "POST":
                    len(listed.result_list)
                return listed
        except (OperationalError, InterfaceError):
            raise
        except NO_SENSE as error:
            if not set(request.GET) - {ERROR_FLAG}:
                raise
            raise IncorrectLookupParameters(error) from error

    def get_search_results(self, request, queryset, search_term):
        """Django's search, without NUL characters: PostgreSQL cannot store or compare them."""
        return super().get_search_results(request, queryset, search_term.replace("\0", ""))


class ReadOnlyAdmin(BoundedLists, SupersOnly, admin.ModelAdmin):
    """Rows that only the portal writes; supers can look at them."""

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False
