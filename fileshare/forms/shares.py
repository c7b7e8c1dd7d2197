"""The form that makes share links."""

import re
from datetime import timedelta

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from config.errors import Invalid
from fileshare.sharing import shares

from ..models import SharePermission

LIFETIMES = [
    ("3600", _("One hour")),
    ("86400", _("One day")),
    ("604800", _("7 days")),
    ("2592000", _("30 days")),
    ("date", _("Until a day you choose")),
]
DAY_SECONDS = 86_400


class ShareForm(forms.Form):
    """One or several share links, to a file or to `several`. The rules of the files' `folders` limit the choices."""

    permission = forms.ChoiceField(
        label=_("Whoever has the link may"),
        choices=[("download", _("Download the file")), ("view", _("Only look at it here"))],
        initial=SharePermission.DOWNLOAD.value,
        help_text=_("What can be seen can also be kept, by a photograph at least: a PDF is shown as it is."),
    )
    expires_in = forms.ChoiceField(label=_("Good for"), choices=LIFETIMES, initial="604800")
    until = forms.DateField(
        label=_("Last day"),
        required=False,
        help_text=_("The link is good until the end of that day (UTC)."),
        widget=forms.DateInput(attrs={"type": "date"}),
    )
    max_downloads = forms.IntegerField(
        label=_("Most downloads"),
        required=False,
        min_value=1,
        max_value=shares.MAX_DOWNLOADS,
        widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
    )
    password = forms.CharField(
        label=_("Password"),
        required=False,
        strip=False,
        max_length=shares.MAX_PASSWORD_LENGTH,
        help_text=_("Tell it by another way, such as the telephone: no letter names it."),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    emails = forms.CharField(
        label=_("Send it to"),
        required=False,
        max_length=20_000,
        help_text=_("E-mail addresses, one on each line. Everybody gets a link of their own."),
        widget=forms.Textarea(attrs={"rows": 3, "autocomplete": "off", "spellcheck": "false"}),
    )

    def __init__(self, *args, folders, several=False, **kwargs):
        super().__init__(*args, auto_id="share_%s", **kwargs)
        if several:
            self.fields["permission"].choices = [
                ("download", _("Download the files")),
                ("view", _("Only look at them here")),
            ]
        self.fields["password"].required = any(folder.share_password_required for folder in folders)
        days = [folder.share_max_days for folder in folders if folder.share_max_days is not None]
        if days:
            most = min(days) * DAY_SECONDS
            fitting = [(value, word) for value, word in LIFETIMES if value == "date" or int(value) <= most]
            self.fields["expires_in"].choices = fitting
            if self.fields["expires_in"].initial not in dict(fitting):
                self.fields["expires_in"].initial = fitting[-2][0]

    def clean(self):
        facts = super().clean()
        if facts.get("expires_in") == "date" and not facts.get("until") and "until" not in self.errors:
            self.add_error("until", _("Choose the last day."))
        return facts

    def clean_emails(self):
        """The addresses as a list. An invalid one is an error here, before it counts against a rate limit."""
        texts = [text for text in re.split(r"[\s,;]+", self.cleaned_data["emails"]) if text]
        try:
            return shares.clean_emails(texts)
        except Invalid as refusal:
            raise ValidationError(refusal.errors["emails"]) from None

    def facts(self):
        """Keyword arguments for shares.create."""
        facts = dict(self.cleaned_data)
        until, now = facts.pop("until"), timezone.now()
        if facts["expires_in"] == "date":
            since_midnight = timedelta(hours=now.hour, minutes=now.minute, seconds=now.second)
            facts["expires_in"] = timedelta(days=(until - now.date()).days + 1) - since_midnight
        else:
            facts["expires_in"] = timedelta(seconds=int(facts["expires_in"]))
        return facts
