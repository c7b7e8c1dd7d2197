"""Forms of the payment pages: paying for a folder's space, filtering payments, deciding on a payment."""

from django import forms
from django.utils.translation import gettext_lazy as _

from config.errors import Refused
from config.forms import FilterForm, Moment, demand_valid
from fileshare.models import Folder

from .models import PENDING, Status
from .mpesa import phone_numbers

MAX_FOLDERS = 200
STATUSES = [
    ("", _("All")),
    ("pending", _("Under way")),
    *[(status.value, status.label) for status in Status if status not in PENDING],
]


class PayForm(forms.Form):
    """The phone that pays and the folder that gets the space. The operation checks that the user may raise it."""

    phone_number = forms.CharField(
        label=_("M-Pesa number"),
        max_length=phone_numbers.MAX_TYPED,
        help_text=_("Such as 0712 345 678, 0110 345 678 or +254 712 345 678."),
        widget=forms.TextInput(
            attrs={"type": "tel", "inputmode": "tel", "autocomplete": "tel", "placeholder": "0712 345 678"}
        ),
    )
    folder_id = forms.UUIDField(label=_("More space for"), widget=forms.Select())

    def __init__(self, *args, user, personal, chosen=None, **kwargs):
        super().__init__(*args, **kwargs)
        if self.is_bound:
            self.data = {"folder_id": str(personal.pk), **self.data.dict()}
        folders = list(Folder.objects.raisable_by(user).select_related("owner").in_order()[:MAX_FOLDERS])
        known = {folder.pk for folder in folders}
        folders += [folder for folder in (personal, chosen) if folder is not None and folder.pk not in known]
        folders.sort(key=lambda folder: folder.pk != personal.pk)
        self.fields["folder_id"].widget.choices = [(str(folder.pk), _shown(folder, personal)) for folder in folders]
        self.fields["folder_id"].initial = str((chosen or personal).pk)

    def clean_phone_number(self):
        """The number as typed. Reports a wrong number before anything is sent to M-Pesa."""
        typed = self.cleaned_data["phone_number"]
        try:
            phone_numbers.normalise(typed)
        except Refused as refusal:
            raise forms.ValidationError(str(refusal.message)) from None
        return typed


def _shown(folder, personal):
    if folder.pk != personal.pk and folder.owner_id:
        return f"{folder.name} ({folder.owner.name})"
    return folder.name


class ReceiptForm(forms.Form):
    """A super's decision on a payment in review."""

    decision = forms.ChoiceField(choices=[("approve", _("Approve")), ("reject", _("Reject"))])
    receipt_number = forms.RegexField(r"^[A-Za-z0-9]{1,30}$", required=False, label=_("M-Pesa receipt"))

    def clean_receipt_number(self):
        """The receipt number in capitals, as M-Pesa writes it."""
        return self.cleaned_data["receipt_number"].upper()


class TransactionFilter(FilterForm):
    """A super's filter of payments; a whole end day is included."""

    status = forms.ChoiceField(label=_("Status"), required=False, choices=STATUSES)
    phone_number = forms.CharField(label=_("Phone"), required=False, max_length=phone_numbers.MAX_TYPED)
    user_email = forms.CharField(label=_("Payer's e-mail"), required=False, max_length=254)
    receipt_number = forms.CharField(label=_("Receipt"), required=False, max_length=30)
    start_date = Moment(label=_("From"), widget=forms.DateInput(attrs={"type": "date"}))
    end_date = Moment(label=_("Until"), ends=True, widget=forms.DateInput(attrs={"type": "date"}))

    def clean_phone_number(self):
        """The number as twelve digits, or ""."""
        typed = self.cleaned_data["phone_number"]
        if not typed:
            return ""
        try:
            return phone_numbers.normalise(typed)
        except Refused as refusal:
            raise forms.ValidationError(str(refusal.message)) from None

    def apply(self, rows):
        """The payments that pass the filters. Raises Refused (400) that names the invalid filters."""
        demand_valid(self, _("A filter is not valid."))
        facts = self.cleaned_data
        return rows.matching(
            status=facts["status"],
            phone_number=facts["phone_number"],
            user_email=facts["user_email"],
            receipt_number=facts["receipt_number"],
            start=facts["start_date"],
            end=facts["end_date"],
        )
