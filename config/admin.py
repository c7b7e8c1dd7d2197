"""Django's admin as one more door to the operations, for supers alone.

What an operation refuses is said beside the form it came from, and nothing of that form is saved.
"""

import contextlib
import functools

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.actions import delete_selected as delete_selected_rows
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG
from django.core.exceptions import FieldError, PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from django.db.models import Exists, OuterRef
from django.http import Http404
from django.shortcuts import redirect
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .errors import Refused
from .forms import add_refusal
from .refusals import refusal_of

REFUSALS = (Refused, Http404, PermissionDenied)
# What Python and the databases say of a lookup that makes no sense.
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


class OperationsForm(forms.ModelForm):
    """Tells what the operation refused when the form was sent; `by` is who sent it."""

    refused = None
    by = None
    # An operation's argument → the field of the form that gives it.
    names = {}

    def clean(self):
        facts = super().clean()
        if self.refused is not None:
            add_refusal(self, self.refused, self.names)
        return facts


class SupersOnly:
    """Pages that being staff and holding Django's permissions does not open."""

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
    """Counts no further than MOST rows: in a table of millions nobody pages to the end, and a count reads all of it."""

    MOST = 10_000

    @functools.cached_property
    def count(self):
        return self.object_list.order_by()[: self.MOST].count()


class BoundedLists:
    """Lists that cost no more the more rows there are, and that no query in their address breaks."""

    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = BoundedPaginator

    def lookup_allowed(self, lookup, value, request=None):
        """No patterns: one is enough to keep a database busy, and SQLite calls a broken one its own fault."""
        return not {"regex", "iregex"} & set(lookup.split("__")) and super().lookup_allowed(lookup, value, request)

    def get_changelist_instance(self, request):
        """The list, its rows read. Raises IncorrectLookupParameters where the address asks for what makes no sense."""
        # A fault spoils the transaction around it, where there is one; to begin one would lock all of SQLite.
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
        """As Django does, but for the one letter that PostgreSQL has not."""
        return super().get_search_results(request, queryset, search_term.replace("\0", ""))


class ReadOnlyAdmin(BoundedLists, SupersOnly, admin.ModelAdmin):
    """Rows to look at, which the portal writes by itself."""

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False


class OperationsAdmin(BoundedLists, SupersOnly, admin.ModelAdmin):
    """Its save_model and delete_model call operations, each a transaction with the rest of the form.

    `kept_by` are relations that keep a row from being deleted while they have rows: {name: what they hold, in words}.
    """

    form = OperationsForm
    actions = ["delete_selected"]
    kept_by = {}

    def get_form(self, request, obj=None, change=False, **kwargs):
        """A class made for this request alone, which may therefore carry what belongs to it."""
        form = super().get_form(request, obj, change=change, **kwargs)
        form.refused, form.by = getattr(request, "refused", None), request.user
        return form

    def changeform_view(self, request, object_id=None, form_url="", extra_context=None):
        """A form that an operation refuses is shown again, with the reason; nothing of it was saved."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except REFUSALS as error:
            refusal = refusal_of(error)
            if request.method != "POST" or refusal.status in (429, 503):
                raise
            request.refused = refusal
        return super().changeform_view(request, object_id, form_url, extra_context)

    def save_related(self, request, form, formsets, change):
        """The rows of inlines; what the form itself names went with save_model."""
        for formset in formsets:
            self.save_formset(request, form, formset, change=change)

    def get_deleted_objects(self, objs, request):
        """The rows alone, and for the page that asks what keeps them; once it is answered the operation says so itself.

        Django's own walk reads every row that points at one of them.
        """
        rows = list(objs)
        lacking = {self.opts.verbose_name for row in rows if not self.has_delete_permission(request, row)}
        kept = []
        for name, words in () if "post" in request.POST else self.kept_by.items():
            relation = self.opts.get_field(name)
            pointing = relation.related_model._base_manager.filter(**{relation.field.name: OuterRef("pk")})
            full = self.model._base_manager.filter(Exists(pointing), pk__in=[row.pk for row in rows])
            kept += [format_html("{}: {}", row, words) for row in full]
        return [str(row) for row in rows], {self.opts.verbose_name_plural: len(rows)}, lacking, kept

    def delete_view(self, request, object_id, extra_context=None):
        try:
            return super().delete_view(request, object_id, extra_context)
        except Refused as refusal:
            self.message_user(request, refusal.message, messages.ERROR)
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_change"
        return redirect(name, object_id)

    def delete_queryset(self, request, queryset):
        for row in queryset:
            try:
                self.delete_model(request, row)
            except REFUSALS as error:
                text = _("“%(name)s”: %(reason)s Nothing was deleted.")
                reason = refusal_of(error)
                raise Refused(
                    reason.status, reason.code, text % {"name": str(row), "reason": reason.message}
                ) from error

    @admin.action(permissions=["delete"], description=gettext_lazy("Delete selected %(verbose_name_plural)s"))
    def delete_selected(self, request, queryset):
        """All of them, or none when one is refused."""
        try:
            with transaction.atomic():
                return delete_selected_rows(self, request, queryset)
        except Refused as refusal:
            self.message_user(request, refusal.message, messages.ERROR)
            return None
