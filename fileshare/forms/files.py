"""Forms of files: to upload, rename, publish and tag one."""

from django import forms
from django.utils.translation import gettext_lazy as _

from fileshare.content import file_types

from ..models import TypePolicy, Visibility


class TagsInput(forms.TextInput):
    """An input for tags. The page lists known tags in _known_tags.html, and static/js/tags.js loads more."""

    def __init__(self):
        super().__init__(attrs={"list": "known-tags", "autocomplete": "off", "data-module": "tags"})


class UploadForm(forms.Form):
    """One file to upload; the ids name the folder and subfolder. `agreed` is ticked where many will see the file."""

    file = forms.FileField(label=_("File"), allow_empty_file=True, max_length=None)
    tags = forms.CharField(
        label=_("Tags"),
        required=False,
        max_length=3000,
        help_text=_("Separated by commas; every file you add gets them."),
        widget=TagsInput,
    )
    agreed = forms.BooleanField(required=False)
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
    """Name and visibility of a file. A field that was not sent does not change."""

    filename = forms.CharField(label=_("Name"), max_length=1000, required=False)
    visibility = forms.ChoiceField(label=_("Who may see it"), choices=Visibility.choices, required=False)

    def changes(self):
        """Keyword arguments for files.change, of the fields that were sent."""
        return {name: value for name, value in self.cleaned_data.items() if value}
