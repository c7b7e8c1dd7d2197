"""The search form, which also reads the parameters of the search API."""

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from config.errors import Invalid
from config.forms import Moment, demand_valid
from fileshare import tags
from fileshare.search.find import MAX_LETTERS, Wanted, endings_of, words_of

from .files import TagsInput

KINDS = [
    ("", _("Any type")),
    ("document", _("Documents")),
    ("sheet", _("Spreadsheets")),
    ("slides", _("Presentations")),
    ("pdf", _("PDF")),
    ("image", _("Images")),
    ("text", _("Text")),
    ("archive", _("Archives")),
    ("audio", _("Audio")),
    ("video", _("Video")),
]
LARGEST = 2**63 - 1
SIZES = [
    ("", _("Any size")),
    (100 * 2**10, _("100 KB")),
    (2**20, _("1 MB")),
    (10 * 2**20, _("10 MB")),
    (100 * 2**20, _("100 MB")),
    (2**30, _("1 GB")),
]


class SearchForm(forms.Form):
    """The search of the page and of the API, with the same names. A day given as the end is included."""

    q = forms.CharField(
        label=_("Name, tag or type"),
        required=False,
        widget=forms.TextInput(attrs={"type": "search", "maxlength": MAX_LETTERS, "autocomplete": "off"}),
    )
    tags = forms.CharField(label=_("Tags"), required=False, max_length=3000, widget=TagsInput)
    type = forms.CharField(label=_("Type"), required=False, widget=forms.Select(choices=KINDS))
    folder_id = forms.UUIDField(label=_("Folder"), required=False, widget=forms.Select)
    uploaded_after = Moment(label=_("Uploaded from"), widget=forms.DateInput(attrs={"type": "date"}))
    uploaded_before = Moment(label=_("Uploaded until"), widget=forms.DateInput(attrs={"type": "date"}), ends=True)
    min_size = forms.IntegerField(
        label=_("Size at least"), required=False, min_value=0, max_value=LARGEST, widget=forms.Select(choices=SIZES)
    )
    max_size = forms.IntegerField(
        label=_("Size at most"), required=False, min_value=0, max_value=LARGEST, widget=forms.Select(choices=SIZES)
    )

    def __init__(self, *args, folders=(), **kwargs):
        super().__init__(*args, **kwargs)
        choices = [("", _("Any folder")), *((str(folder.pk), folder.shown_name) for folder in folders)]
        self.fields["folder_id"].widget.choices = choices
        for name in ("type", "folder_id", "min_size", "max_size"):
            # Keep a value that a link asks for, also when the list of choices does not offer it.
            chosen, widget = self.data.get(name), self.fields[name].widget
            if chosen and chosen not in {str(value) for value, _label in widget.choices}:
                widget.choices = [*widget.choices, (chosen, chosen)]

    @property
    def narrows(self):
        """True when a filter other than the words is set."""
        return any(self.data.get(name) for name in self.fields if name != "q")

    def clean_q(self):
        """The words of the search."""
        return _checked(words_of, self.cleaned_data["q"])

    def clean_type(self):
        """The file name endings of the chosen type."""
        return _checked(endings_of, self.cleaned_data["type"])

    def clean_tags(self):
        """The names of the tags."""
        return tuple(_checked(tags.clean_names, [self.cleaned_data["tags"]]))

    def wanted(self):
        """The form as a Wanted. Raises Refused (400), which names the fields that are not valid."""
        demand_valid(self, _("A filter is not valid."))
        facts = dict(self.cleaned_data)
        return Wanted(words=facts.pop("q"), endings=facts.pop("type"), **facts)


def _checked(read, value):
    try:
        return read(value)
    except Invalid as refusal:
        raise ValidationError(str(refusal.message)) from None
