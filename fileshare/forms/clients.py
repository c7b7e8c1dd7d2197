"""Forms of the clients desk: a new client, people to invite, and what a company's folder is like."""

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy

from config.errors import Refused
from config.sizes import SizeField
from fileshare import company_folders
from fileshare.desk import clients, people_lists

from .retention import RetentionField


class SetUpForm(forms.Form):
    """The subfolders of a company's folder, its quota, how long it keeps files, and whether its people may upload."""

    subfolders = forms.CharField(
        label=gettext_lazy("Subfolders"),
        required=False,
        initial=lambda: "\n".join(settings.COMPANY_SUBFOLDERS),
        widget=forms.Textarea(attrs={"rows": 8, "cols": 40}),
        help_text=gettext_lazy("One a line. What is there stays as it is."),
    )
    quota_bytes = SizeField(
        label=gettext_lazy("Quota"),
        required=False,
        min_value=0,
        max_value=2**60,
        help_text=gettext_lazy("Such as 20 GB, for a folder made now. Empty: as usual. A folder there keeps its own."),
    )

    retention_days = RetentionField(
        label=gettext_lazy("How long files stay"),
        help_text=gettext_lazy("Of a folder made now; then its files are deleted. A folder there keeps its own."),
    )
    may_send = forms.BooleanField(
        label=gettext_lazy("They may send files"),
        required=False,
        initial=True,
        help_text=gettext_lazy("The company’s people may upload to the folder, and not only download from it."),
    )

    def facts(self):
        """Keyword arguments for company_folders.set_up."""
        names = company_folders.read_names(self.cleaned_data["subfolders"])
        return {**self.cleaned_data, "subfolders": names}


class PeopleForm(forms.Form):
    """People to invite: typed, or from a CSV file."""

    needs_people = True
    people = forms.CharField(
        label=gettext_lazy("People"),
        required=False,
        max_length=people_lists.MOST_BYTES,
        widget=forms.Textarea(attrs={"rows": 4, "placeholder": "amina@example.com, Amina Otieno"}),
        help_text=gettext_lazy("One per line: e-mail address, name. Each gets an invitation by e-mail."),
    )
    people_file = forms.FileField(
        label=gettext_lazy("Or a CSV file"),
        required=False,
        widget=forms.FileInput(attrs={"accept": ".csv,.txt,text/csv,text/plain"}),
        help_text=gettext_lazy("With the same two columns, up to 1,000 lines."),
    )

    def clean(self):
        """Reads the people; `facts` then has them as people_lists.Persons."""
        facts = super().clean()
        try:
            file = facts.get("people_file")
            text = people_lists.decoded(file.read(people_lists.MOST_BYTES + 1)) if file else facts.get("people", "")
            if file and facts.get("people", "").strip():
                raise ValidationError(gettext_lazy("Type the people or choose a file: one of them."))
            facts["people"] = people_lists.read(text)
            if self.needs_people and not facts["people"]:
                raise ValidationError(gettext_lazy("Name at least one person."))
        except Refused as refusal:
            self.add_error("people_file" if file else "people", refusal.errors[people_lists.FIELD])
        return facts

    def facts(self):
        """Keyword arguments for clients.add_people."""
        return {"people": self.cleaned_data["people"]}


class NewClientForm(PeopleForm, SetUpForm):
    """A company, its people, and what its folder is like."""

    needs_people = False
    name = forms.CharField(label=gettext_lazy("Company"), max_length=200)
    field_order = ["name", "people", "people_file"]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["retention_days"].help_text = ""  # the folder is made now, there is no other

    def facts(self):
        """Keyword arguments for clients.make_client."""
        names = company_folders.read_names(self.cleaned_data["subfolders"])
        wishes = {name: self.cleaned_data[name] for name in SetUpForm.base_fields}
        return wishes | {"name": self.cleaned_data["name"], "people": self.cleaned_data["people"], "subfolders": names}


class ClientSearchForm(forms.Form):
    """Search and order of the list of clients."""

    q = forms.CharField(label=gettext_lazy("Company, name or address"), required=False, max_length=254)

    def text(self):
        """What is searched for; "" for nothing."""
        # NUL stands in no name, and PostgreSQL refuses it.
        return self.data.get("q", "").replace("\0", "").strip()[:254]

    def sort(self):
        """The order, a key of clients.SORTS."""
        asked = self.data.get("sort", "")
        return asked if asked in clients.SORTS else "name"
