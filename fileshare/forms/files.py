"""Forms of files: to upload one, to name and show it, to tag it."""

from django import forms
from django.utils.translation import gettext_lazy as _

from .. import file_types
from ..models import TypePolicy, Visibility


class TagsInput(forms.TextInput):
    """A line for tags; the page has the known ones in _known_tags.html, static/js/tags.js brings others."""

    def __init__(self):
        super().__init__(attrs={"list": "known-tags", "autocomplete": "off", "data-module": "tags"})


class UploadForm(forms.Form):
    """One file for a place; the ids name it."""

    file = forms.FileField(label=_("File"), allow_empty_file=True, max_length=None)
    tags = forms.CharField(
        label=_("Tags"),
        required=False,
        max_length=3000,
        help_text=_("Separated by commas; every file you add gets them."),
        widget=TagsInput,
    )
    folder_id = forms.UUIDField(required=False, widget=forms.HiddenInput)
    subfolder_id = forms.UUIDField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args, policy=None, **kwargs):
        super().__init__(*args, **kwargs)
        if policy == TypePolicy.OFFICE:
            self.fields["file"].widget.attrs["accept"] = file_types.ACCEPT


class TagForm(forms.Form):
    """Tags to add to a file."""

    tags = forms.CharField(
        label=_("Add tags"),
        max_length=3000,
        help_text=_("Separated by commas."),
        widget=TagsInput,
    )


class FileForm(forms.Form):
    """Name and visibility of a file; a field that was not sent stays as it is."""

    filename = forms.CharField(label=_("Name"), max_length=1000, required=False)
    visibility = forms.ChoiceField(label=_("Who may see it"), choices=Visibility.choices, required=False)

    def changes(self):
        """Keyword arguments for files.change, of the fields that were sent."""
        return {name: value for name, value in self.cleaned_data.items() if value}
