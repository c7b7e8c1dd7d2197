"""Forms of the pages about files."""

from django import forms
from django.utils.translation import gettext_lazy as _

from . import file_types
from .models import TypePolicy, Visibility


class UploadForm(forms.Form):
    """One file for a place; the ids name it."""

    file = forms.FileField(label=_("File"), allow_empty_file=True, max_length=None)
    folder_id = forms.UUIDField(required=False, widget=forms.HiddenInput)
    subfolder_id = forms.UUIDField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args, policy=None, **kwargs):
        super().__init__(*args, **kwargs)
        if policy == TypePolicy.OFFICE:
            self.fields["file"].widget.attrs["accept"] = file_types.ACCEPT


class FileForm(forms.Form):
    """Name, visibility and tags of a file; a field that was not sent stays as it is."""

    filename = forms.CharField(label=_("Name"), max_length=1000, required=False)
    tags = forms.CharField(label=_("Tags"), max_length=3000, required=False, help_text=_("Separated by commas."))
    visibility = forms.ChoiceField(label=_("Who may see it"), choices=Visibility.choices, required=False)

    def changes(self):
        """Keyword arguments for files.change, of the fields that were sent."""
        sent = {name: self.cleaned_data[name] for name in self.cleaned_data if name in self.data}
        changes = {name: sent[name] for name in ("filename", "visibility") if sent.get(name)}
        if "tags" in sent:
            changes["tag_names"] = sent["tags"].split(",")
        return changes
