"""Forms and the operations behind them: fields that several apps have, and refusals shown beside the form."""

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
            # A time zone may carry it out of the calendar, which no database could tell.
            moment = moment and moment.astimezone(UTC)
        except (ValueError, OverflowError):
            moment = None
        if moment is None:
            raise forms.ValidationError(_("Give a date like 2026-11-21 or a time like 2026-11-21T08:00:00Z."))
        return moment


class FilterForm(forms.Form):
    """Which rows of a long list somebody wants."""

    def asked(self):
        """{field: what was filled in, as it was written}: what the log's row about a reading says."""
        return {name: str(self.data[name])[:254] for name in self.fields if self.data.get(name)}


def demand_valid(form, message):
    """Raise Refused (400, "invalid") with `message` and what is wrong with each field, unless the form is valid."""
    if not form.is_valid():
        errors = {name: [str(text) for text in texts] for name, texts in form.errors.items()}
        raise Refused(400, "invalid", message, errors=errors)


def add_refusal(form, refusal, names=None):
    """Say on a form what a Refused says: beside the fields it names where the form has them, else above them all.

    `names` is {argument of the operation: field of the form}, of those that differ.
    """
    by_field = {(names or {}).get(name, name): texts for name, texts in (refusal.errors or {}).items()}
    known = {name: texts for name, texts in by_field.items() if name in form.fields}
    for name, texts in known.items():
        form.add_error(name, [str(text) for text in texts])
    if not known:
        form.add_error(None, str(refusal.message))


def attempt(form, operation, **kwargs):
    """Call `operation` with a valid form's data. Returns (True, result), or (False, the Refused).

    A refusal becomes errors of the form, by field where it names fields that the form has.
    A limit on the rate or a fault behind the portal is no matter of the form and goes on up.
    """
    try:
        return True, operation(**kwargs)
    except Refused as refusal:
        if refusal.status in (429, 503):
            raise
        add_refusal(form, refusal)
        return False, refusal
