"""Forms of the pages about people."""

from datetime import UTC, datetime, time, timedelta

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .credentials.passwords import MAX_PASSWORD_LENGTH
from .models import NotificationPreference, User
from .notices import kinds
from .scopes import choices_for


def _password(label, autocomplete):
    return forms.CharField(
        label=label,
        max_length=MAX_PASSWORD_LENGTH,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": autocomplete}),
    )


def _email(label):
    return forms.EmailField(label=label, max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "email"}))


class SignupForm(forms.Form):
    name = forms.CharField(label=_("Your name"), max_length=150, widget=forms.TextInput(attrs={"autocomplete": "name"}))
    email = _email(_("E-mail address"))
    password = _password(_("Password"), "new-password")
    password.help_text = _("At least 10 characters. A few unrelated words are easy to keep and hard to guess.")


class LoginForm(forms.Form):
    # Not an EmailField: a malformed address gets the same answer as an unknown one.
    email = forms.CharField(
        label=_("E-mail address"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "username"}),
    )
    password = _password(_("Password"), "current-password")


class ForgotPasswordForm(forms.Form):
    email = _email(_("E-mail address"))


class ResetPasswordForm(forms.Form):
    token = forms.CharField(max_length=2000, widget=forms.HiddenInput)
    new_password = _password(_("New password"), "new-password")


class InvitationForm(forms.Form):
    token = forms.CharField(max_length=2000, widget=forms.HiddenInput)
    new_password = _password(_("Password"), "new-password")
    new_password.help_text = _("At least 10 characters. A few unrelated words are easy to keep and hard to guess.")


class ProfileForm(forms.ModelForm):
    class Meta:
        model = User
        fields = ["name", "bio"]
        labels = {"name": _("Name"), "bio": _("About you")}
        widgets = {"bio": forms.Textarea(attrs={"rows": 4})}


class EmailForm(forms.Form):
    email = _email(_("New e-mail address"))


class PasswordForm(forms.Form):
    current_password = _password(_("Present password"), "current-password")
    new_password = _password(_("New password"), "new-password")


def _code():
    return forms.CharField(
        label=_("Code"),
        max_length=20,
        widget=forms.TextInput(
            attrs={
                "autocomplete": "one-time-code",
                "inputmode": "numeric",
                "spellcheck": "false",
                "class": "code-input",
            }
        ),
    )


def _passkey():
    """A hidden field: passkeys.js writes the answer of the browser's passkey dialog into it."""
    return forms.CharField(max_length=20_000, required=False, widget=forms.HiddenInput)


class CodeForm(forms.Form):
    code = _code()
    code.help_text = _("The six digits that your app shows now.")


class RecoveryCodeForm(forms.Form):
    recovery_code = forms.CharField(
        label=_("Recovery code"),
        max_length=60,
        help_text=_("One of those you kept when you set this up. Each is good once."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )


class OneProofForm(forms.Form):
    """A form in which the user fills in exactly one field; each field is one way to prove who they are.

    `asks` is the error message when the user filled in no field, or several.
    """

    asks = ""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.required = False

    def clean(self):
        """Raises ValidationError unless exactly one field is filled in."""
        facts = super().clean()
        if not self.errors and sum(bool(text) for text in facts.values()) != 1:
            raise forms.ValidationError(self.asks)
        return facts


class SecondStepForm(OneProofForm):
    """`cleaned_data` holds the keyword arguments of sign_in.finish_browser."""

    asks = _("Type the code.")
    code = _code()
    recovery_code = forms.CharField(max_length=60)
    passkey = _passkey()


class PasskeyForm(forms.Form):
    name = forms.CharField(
        label=_("Name"),
        max_length=60,
        required=False,
        help_text=_("So that you know it again, such as “my phone”."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    passkey = _passkey()

    def clean_passkey(self):
        """Raises ValidationError when the browser sent no passkey."""
        if not self.cleaned_data["passkey"]:
            raise forms.ValidationError(_("Your browser did not bring a passkey. Try again."))
        return self.cleaned_data["passkey"]


class ConfirmForm(OneProofForm):
    """`cleaned_data` holds the keyword arguments of sign_in.confirm."""

    asks = _("Give your password, or a code.")
    password = _password(_("Your password"), "current-password")
    code = _code()
    code.label = _("Or a code of your app")
    passkey = _passkey()


class AvatarForm(forms.Form):
    avatar = forms.FileField(
        label=_("Choose a picture"),
        help_text=_("PNG, JPEG or WebP, at most 5 MiB."),
        widget=forms.FileInput(attrs={"accept": "image/png,image/jpeg,image/webp"}),
    )


class ApiTokenForm(forms.Form):
    """A new API token; `cleaned_data` holds keyword arguments of accounts.credentials.api_tokens.create."""

    name = forms.CharField(
        label=_("Name"),
        max_length=100,
        help_text=_("What will use it, such as “nightly report”."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    scopes = forms.MultipleChoiceField(
        label=_("What it may do"),
        help_text=_("Choose as little as will do. It can never do more than you may yourself."),
        widget=forms.CheckboxSelectMultiple,
    )
    lifetime = forms.ChoiceField(
        label=_("How long it is good for"),
        choices=[("30", _("30 days")), ("90", _("90 days")), ("365", _("365 days")), ("date", _("Until a date"))],
        initial="90",
        widget=forms.RadioSelect,
    )
    until = forms.DateField(
        label=_("Last day"),
        required=False,
        help_text=_("Only for “Until a date”; within a year."),
        widget=forms.DateInput(attrs={"type": "date"}),
    )

    def __init__(self, *args, user, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["scopes"].choices = choices_for(user)

    def clean(self):
        """Replace `lifetime` and `until` by one `expires_at`; a chosen date counts until the end of that day in UTC."""
        facts = super().clean()
        lifetime, until = facts.pop("lifetime", None), facts.pop("until", None)
        if lifetime == "date" and until is None:
            self.add_error("until", _("Choose the last day."))
        elif lifetime == "date":
            facts["expires_at"] = datetime.combine(until, time.max, UTC)
        elif lifetime is not None:
            facts["expires_at"] = timezone.now() + timedelta(days=int(lifetime))
        return facts


class ExportForm(forms.Form):
    password = _password(_("Your password"), "current-password")


class CloseAccountForm(forms.Form):
    email = forms.CharField(
        label=_("Type your e-mail address"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
    )
    password = _password(_("Your password"), "current-password")


class MailForm(forms.Form):
    """One choice for each kind of notice. A kind that the form does not send keeps its setting."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, prefix="mail", **kwargs)
        labels = dict(NotificationPreference.Mail.choices)
        for kind in filter(lambda kind: kind.choices, kinds.KINDS.values()):
            self.fields[kind.name] = forms.ChoiceField(
                label=kind.label,
                required=False,
                choices=[(mail, labels[mail]) for mail in kind.choices],
                widget=forms.RadioSelect,
            )

    def wishes(self):
        """{kind: mail} of the kinds that the form sent."""
        return {name: mail for name, mail in self.cleaned_data.items() if mail}

    def groups(self):
        """[(heading, fields under it)] in the order of the page."""
        groups = [
            (label, [self[name] for name in self.fields if kinds.KINDS[name].group == group])
            for group, label in kinds.groups()
        ]
        return [(label, fields) for label, fields in groups if fields]
