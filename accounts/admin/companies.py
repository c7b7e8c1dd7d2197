"""Companies in the admin."""

from django.contrib import admin
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.people import companies
from config.admin.lines import link, number_of, some_of
from config.admin.operations import OperationsAdmin, OperationsForm

from ..models import Company, User
from ._lines import person_line


class CompanyForm(OperationsForm):
    class Meta:
        help_texts = {
            "name": gettext_lazy("As people know it. It can be changed at any time."),
            "slug": gettext_lazy("Its short name in addresses. Left empty, it is made from the name."),
        }


@admin.register(Company)
class CompanyAdmin(OperationsAdmin):
    """Saves and deletes through accounts.people.companies."""

    form = CompanyForm
    list_display = ["name", "slug", "number_of_people", "created_at"]
    search_fields = ["name", "slug"]
    search_help_text = gettext_lazy("Name or slug")
    prepopulated_fields = {"slug": ["name"]}
    list_per_page = 50
    kept_by = {"people": gettext_lazy("its people")}
    belongings = ["people"]

    def get_queryset(self, request):
        return super().get_queryset(request).annotate(people_count=number_of(User.objects, "company"))

    def get_form(self, request, obj=None, change=False, **kwargs):
        form = super().get_form(request, obj, change=change, **kwargs)
        form.base_fields["slug"].required = False
        return form

    def get_fieldsets(self, request, obj=None):
        about = (None, {"fields": ["name", "slug"]})
        return [about, (_("Who and what belongs to it"), {"fields": self.belongings})] if obj else [about]

    def get_readonly_fields(self, request, obj=None):
        return self.belongings if obj else []

    @admin.display(description=gettext_lazy("people"), ordering="people_count")
    def number_of_people(self, company):
        return link("accounts_user_changelist", company.people_count, company__id__exact=company.pk)

    @admin.display(description=gettext_lazy("people"))
    def people(self, company):
        everybody = link("accounts_user_changelist", _("All of them"), company__id__exact=company.pk)
        return some_of(company.people.order_by("name", "email"), person_line, everything=everybody)

    def create(self, request, company, facts):
        return companies.save_company(by=request.user, **facts)

    def change(self, request, company, facts):
        return companies.save_company(by=request.user, company_id=company.pk, **facts)

    def delete(self, request, company):
        companies.delete_company(by=request.user, company_id=company.pk)
