"""The filters of the log: one form for the page, the exports and the APIs."""

from django import forms
from django.utils.translation import gettext_lazy as _

from config.forms import FilterForm, Moment, demand_valid

from . import actions


def _choices():
    return [("", _("Everything")), *actions.filter_choices()]


class EventFilter(FilterForm):
    """user_email, action, folder_slug, target_id, start_date, end_date (a whole end day is included)."""

    user_email = forms.CharField(label=_("Who (e-mail)"), required=False, max_length=254)
    action = forms.ChoiceField(label=_("Action"), required=False, choices=_choices)
    folder_slug = forms.CharField(label=_("Folder (short name)"), required=False, max_length=100)
    target_id = forms.CharField(label=_("About (id)"), required=False, max_length=64)
    start_date = Moment(label=_("From"), widget=forms.DateInput(attrs={"type": "date"}))
    end_date = Moment(label=_("Until"), ends=True, widget=forms.DateInput(attrs={"type": "date"}))

    def apply(self, events):
        """The events that pass the filters. Raises Refused (400) that names the invalid filters."""
        demand_valid(self, _("A filter is not valid."))
        return events.matching(**self.facts())

    def facts(self):
        """The filters of a valid form, as EventQuerySet.matching takes them."""
        facts = self.cleaned_data
        named = {name: facts[name] for name in ("user_email", "action", "folder_slug", "target_id")}
        return {**named, "start": facts["start_date"], "end": facts["end_date"]}
