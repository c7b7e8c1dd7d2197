"""Forms of the pages about people."""

from django import forms
from django.utils.translation import gettext_lazy as _

from .models import User
from .passwords import MAX_PASSWORD_LENGTH


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
    # A malformed address is simply unknown: log-in never says what is wrong with one.
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


class AvatarForm(forms.Form):
    avatar = forms.FileField(
        label=_("Choose a picture"),
        help_text=_("PNG, JPEG or WebP, at most 5 MiB."),
        widget=forms.FileInput(attrs={"accept": "image/png,image/jpeg,image/webp"}),
    )
