"""How long a folder keeps its files: one of a few usual times, or another number of days."""

from django import forms
from django.utils.translation import gettext_lazy as _

from ..models.folders import MAX_RETENTION_DAYS

OTHER = "other"
CHOICES = [
    ("", _("Keep: until somebody deletes them")),
    ("30", _("30 days")),
    ("90", _("90 days")),
    ("365", _("1 year")),
    # Seven years have one leap day or two. Nothing may go too early.
    ("2557", _("7 years")),
    (OTHER, _("Another number of days:")),
]


class RetentionInput(forms.MultiWidget):
    """A list of the usual times, and a field for another number of days, which counts when the list says so."""

    # The field's label is that of the list; the number has a name of its own.
    use_fieldset = False

    def __init__(self):
        limits = {"min": 1, "max": MAX_RETENTION_DAYS, "placeholder": _("days")}
        other = forms.NumberInput(attrs={**limits, "aria-label": _("Number of days"), "class": "other-days"})
        super().__init__({"": forms.Select(choices=CHOICES), OTHER: other})

    def decompress(self, value):
        text = "" if value is None else str(value)
        if any(text == choice for choice, _words in CHOICES):
            return [text, None]
        return [OTHER, text]

    def value_from_datadict(self, data, files, name):
        chosen, other = super().value_from_datadict(data, files, name)
        return (other or OTHER) if chosen == OTHER else chosen

    def id_for_label(self, id_):
        return f"{id_}_0"


class RetentionField(forms.IntegerField):
    """Days, from 1 to MAX_RETENTION_DAYS; None keeps files."""

    default_error_messages = {"invalid": _("Give a number of days, or choose another time.")}

    def __init__(self, **options):
        options |= {"min_value": 1, "max_value": MAX_RETENTION_DAYS, "required": False, "widget": RetentionInput()}
        super().__init__(**options)

    def widget_attrs(self, widget):
        # The number's own widget has the limits.
        return {}
