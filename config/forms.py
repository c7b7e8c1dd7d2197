"""Form fields that several apps use, and showing an operation's refusal beside its form."""

from datetime import UTC, datetime, time, timedelta

from django import forms
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext_lazy as _

from .errors import Refused


class Moment(forms.Field):
    """A date (its first instant, or with `ends` its last) or an RFC 3339 time, as an aware datetime."""

    def __init__(self, *, ends=False, **kwargs):
        super().__init__(required=False, **kwargs)
        self.ends = ends

    def to_python(self, value):
        text = (value or "").strip()
        if not text:
            return None
        try:
            day = parse_date(text)
            moment = None if day else parse_datetime(text.replace(" ", "+"))
            if day:
                moment = datetime.combine(day + timedelta(days=1 if self.ends else 0), time.min)
            if moment and timezone.is_naive(moment):
                moment = timezone.make_aware(moment)
            # The conversion to UTC may leave the calendar's range, where the database would fail.
            moment = moment and moment.astimezone(UTC)
        except (ValueError, OverflowError):
            moment = None
        if moment is None:
            raise forms.ValidationError(_("Give a date like 2026-11-21 or a time like 2026-11-21T08:00:00Z."))
        return moment


class FilterForm(forms.Form):
    """A filter of a long list."""

    def asked(self):
        """{field: text that the user filled in}; the log's row about a reading stores it."""
        return {name: str(self.data[name])[:254] for name in self.fields if self.data.get(name)}


def demand_valid(form, message):
    """Raise Refused (400, "invalid") with `message` and the errors of each field, unless the form is valid."""
    if not form.is_valid():
        errors = {name: [str(text) for text in texts] for name, texts in form.errors.items()}
        raise Refused(400, "invalid", message, errors=errors)


def add_refusal(form, refusal, names=None):
    """Show a Refused on a form: beside the fields that it names, or above all fields if the form has none of them.

    `names` is {argument of the operation: field of the form}, where the two differ.
    """
    by_field = {(names or {}).get(name, name): texts for name, texts in (refusal.errors or {}).items()}
    known = {name: texts for name, texts in by_field.items() if name in form.fields}
    for name, texts in known.items():
        form.add_error(name, [str(text) for text in texts])
    if not known:
        form.add_error(None, str(refusal.message))


def attempt(form, operation, **kwargs):
    """Call `operation(**kwargs)`. Returns (True, result), or (False, the Refused).

    A refusal becomes errors of the form, beside the fields that it names. A 429 or a 503 is raised again: the form's
    data did not cause it.
    """
    try:
        return True, operation(**kwargs)
    except Refused as refusal:
        if refusal.status in (429, 503):
            raise
        add_refusal(form, refusal)
        return False, refusal
