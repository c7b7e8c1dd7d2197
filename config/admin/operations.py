"""Forms of the admin call operations: the changed fields become the arguments of one call.

When the operation refuses, the form shows the reason and saves nothing.
"""

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.actions import delete_selected as delete_selected_rows
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.http import Http404
from django.shortcuts import redirect
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from config.errors import Refused
from config.forms import add_refusal
from config.http.refusals import refusal_of

from .site import BoundedLists, SupersOnly

REFUSALS = (Refused, Http404, PermissionDenied)


class OperationsForm(forms.ModelForm):
    """A form whose changed fields are an operation's arguments, and that shows why the operation refused.

    `by` is the user who sent it. `names` is {argument of the operation: field of the form}, where the two differ.
    """

    refused = None
    by = None
    names = {}

    def clean(self):
        facts = super().clean()
        if self.refused is not None:
            add_refusal(self, self.refused, self.names)
        return facts

    def facts(self):
        """The changed fields as keyword arguments. An argument that ends in `_id` gets the id of the chosen row."""
        arguments = {field: argument for argument, field in self.names.items()}
        changed = {arguments.get(field, field): self.cleaned_data[field] for field in self.changed_data}
        return {name: value.pk if name.endswith("_id") and value else value for name, value in changed.items()}


class OperationsAdmin(BoundedLists, SupersOnly, admin.ModelAdmin):
    """An admin whose forms call operations, each in one transaction with the rest of the form.

    A subclass defines `create`, `change` and `delete`. `kept_by` names relations whose rows forbid to delete a row:
    {relation: what it holds, in words}.
    """

    form = OperationsForm
    actions = ["delete_selected"]
    kept_by = {}

    def create(self, request, row, facts):
        """Create a row from the form's `facts` and return it; `row` is the unsaved object of Django's form."""
        raise NotImplementedError

    def change(self, request, row, facts):
        """Apply the changes `facts` to `row` and return the changed row."""
        raise NotImplementedError

    def delete(self, request, row):
        """Delete `row`."""
        raise NotImplementedError

    def save_model(self, request, obj, form, change):
        """Pass on only the changed fields. Unchanged ones would undo another user's change to them."""
        facts = form.facts()
        if change and not facts:
            return
        saved = self.change(request, obj, facts) if change else self.create(request, obj, facts)
        # Django continues with its own object: it logs it, saves its inline rows and shows its name.
        obj.__dict__.update(saved.__dict__)

    def delete_model(self, request, obj):
        self.delete(request, obj)

    def get_form(self, request, obj=None, change=False, **kwargs):
        """Django makes a new form class for each request, so the class can carry the request's refusal and user."""
        form = super().get_form(request, obj, change=change, **kwargs)
        form.refused, form.by = getattr(request, "refused", None), request.user
        return form

    def changeform_view(self, request, object_id=None, form_url="", extra_context=None):
        """When the operation refuses, show the form again with the reason; nothing was saved."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except REFUSALS as error:
            refusal = refusal_of(error)
            if request.method != "POST" or refusal.status in (429, 503):
                raise
            request.refused = refusal
        return super().changeform_view(request, object_id, form_url, extra_context)

    def save_related(self, request, form, formsets, change):
        """Save the inline rows; save_model passed the form's own many-to-many fields to the operation."""
        for formset in formsets:
            self.save_formset(request, form, formset, change=change)

    def get_deleted_objects(self, objs, request):
        """Only the rows themselves, and on the confirmation page the relations that keep them (`kept_by`).

        Once the user has confirmed, the operation checks this itself. Django's own version reads every row that points
        at one of them.
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
        """Delete all chosen rows, or none when the operation refuses one."""
        try:
            with transaction.atomic():
                return delete_selected_rows(self, request, queryset)
        except Refused as refusal:
            self.message_user(request, refusal.message, messages.ERROR)
            return None
