"""Forms of file requests: to create or change one, to invite senders, and for the sender's name."""

import re
from datetime import timedelta

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.credentials.passwords import MAX_PASSWORD_LENGTH
from config.access import is_uuid
from config.errors import Invalid
from fileshare.requests import invitations

from ..models import TypePolicy
from ..models.requests import MAX_BYTES, MAX_FILES


class FileRequestForm(forms.Form):
    """A file request. `request` is the FileRequest to change; None for a new one."""

    OWN, AS_FOLDER = "own", "folder"

    place = forms.CharField(label=_("Where the files go"), max_length=80, widget=forms.Select)
    title = forms.CharField(label=_("What you ask for"), max_length=200)
    note = forms.CharField(
        label=_("A few words to the sender"),
        max_length=2000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
    )
    deadline = forms.DateTimeField(
        label=_("Until when"),
        initial=lambda: (timezone.now() + timedelta(days=14)).replace(second=0, microsecond=0),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text=_("Day and time in UTC."),
    )
    max_files = forms.IntegerField(label=_("Most files"), min_value=1, max_value=MAX_FILES, initial=20)
    max_megabytes = forms.IntegerField(
        label=_("Most in all, in MB"), min_value=1, max_value=MAX_BYTES // 2**20, initial=1024
    )
    type_policy = forms.ChoiceField(
        label=_("Which files"),
        choices=[(AS_FOLDER, _("Whatever the folder takes")), (TypePolicy.OFFICE, TypePolicy.OFFICE.label)],
    )
    password = forms.CharField(
        label=_("Password"),
        max_length=MAX_PASSWORD_LENGTH,
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("Who opens the link has to know it. Tell it by another way than the link."),
    )
    no_password = forms.BooleanField(label=_("Ask for no password any more"), required=False)
    asks_name = forms.BooleanField(label=_("The sender has to give a name"), required=False, initial=True)
    asks_email = forms.BooleanField(label=_("The sender has to give an e-mail address"), required=False)

    def __init__(self, *args, request=None, places=(), **kwargs):
        if request is not None:
            kwargs["initial"] = {
                "title": request.title,
                "note": request.note,
                "deadline": request.deadline.replace(second=0, microsecond=0),
                "max_files": request.max_files,
                "max_megabytes": -(-request.max_bytes // 2**20),
                "type_policy": TypePolicy.OFFICE if request.policy == TypePolicy.OFFICE else self.AS_FOLDER,
                "asks_name": request.asks_name,
                "asks_email": request.asks_email,
            }
        super().__init__(*args, **kwargs)
        if request is not None:
            del self.fields["place"]
            self.fields["password"].help_text = _("Leave it empty to keep things as they are.")
        else:
            del self.fields["no_password"]
            self.fields["place"].widget.choices = [(self.OWN, _("My files")), *places]

    def clean_place(self):
        """(folder id, subfolder id) as text, each None when not chosen."""
        if self.cleaned_data["place"] == self.OWN:
            return None, None
        folder_id, _slash, subfolder_id = self.cleaned_data["place"].partition("/")
        if not is_uuid(folder_id) or (subfolder_id and not is_uuid(subfolder_id)):
            raise ValidationError(_("Choose one of the folders."))
        return folder_id, subfolder_id or None

    def facts(self):
        """Keyword arguments for file_requests.create."""
        facts = dict(self.cleaned_data)
        facts["folder_id"], facts["subfolder_id"] = facts.pop("place")
        facts["max_bytes"] = facts.pop("max_megabytes") * 2**20
        facts["type_policy"] = self._policy()
        return facts

    def _policy(self):
        """The chosen type policy; None for the folder's own."""
        policy = self.cleaned_data["type_policy"]
        return None if policy == self.AS_FOLDER else policy

    def changes(self):
        """Keyword arguments for file_requests.change: only the fields that the user changed."""
        changed = {name: self.cleaned_data[name] for name in self.changed_data}
        if "max_megabytes" in changed:
            changed["max_bytes"] = changed.pop("max_megabytes") * 2**20
        if "type_policy" in changed:
            changed["type_policy"] = self._policy()
        if changed.pop("no_password", False):
            changed["password"] = ""
        return changed


class InvitationForm(forms.Form):
    """The addresses to which a request's link is mailed."""

    emails = forms.CharField(
        label=_("E-mail addresses"),
        max_length=10_000,
        widget=forms.Textarea(attrs={"rows": 2, "autocomplete": "off"}),
        help_text=_("Separated by commas or line breaks."),
    )

    def clean_emails(self):
        """The addresses as a list. An invalid one is an error here, before it counts against a rate limit."""
        texts = re.split(r"[,;\s]+", self.cleaned_data["emails"])
        try:
            return invitations.clean_invited(texts)
        except Invalid as refusal:
            raise ValidationError(refusal.errors["emails"]) from None


class SenderForm(forms.Form):
    """The sender's name and address, and the password if the request has one."""

    name = forms.CharField(
        label=_("Your name"), max_length=150, required=False, widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    email = forms.CharField(
        label=_("Your e-mail address"),
        max_length=254,
        required=False,
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
        help_text=_("We mail you the receipt, and nothing else."),
    )
    password = forms.CharField(
        label=_("Password"),
        max_length=1000,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text=_("Whoever sent you the link has told it to you, or will."),
    )

    def __init__(self, *args, request, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["name"].required = request.asks_name
        self.fields["email"].required = request.asks_email
        if not request.password:
            del self.fields["password"]
