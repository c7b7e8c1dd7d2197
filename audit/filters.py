"""The filters of the log, one form for page, exports and both APIs."""

from datetime import UTC, datetime, time, timedelta

from django import forms
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext_lazy as _

from config.errors import Refused

from .models import Action


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


class EventFilter(forms.Form):
    """user_email, action, folder_slug, start_date, end_date (a whole end day is included)."""

    user_email = forms.CharField(required=False, max_length=254)
    action = forms.ChoiceField(required=False, choices=[("", _("Everything")), *Action.choices])
    folder_slug = forms.CharField(required=False, max_length=100)
    start_date = Moment()
    end_date = Moment(ends=True)

    def apply(self, events):
        """The events that fit; raises Refused 400 naming the filters that make no sense."""
        if not self.is_valid():
            errors = {name: [str(text) for text in texts] for name, texts in self.errors.items()}
            raise Refused(400, "invalid", _("A filter is not valid."), errors=errors)
        facts = self.cleaned_data
        return events.matching(
            user_email=facts["user_email"],
            action=facts["action"],
            folder_slug=facts["folder_slug"],
            start=facts["start_date"],
            end=facts["end_date"],
        )
