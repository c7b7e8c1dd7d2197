"""Companies in the admin."""

from django.contrib import admin
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from config.admin import OperationsAdmin, OperationsForm
from config.admin_lines import link, number_of, some_of

from .. import companies
from ..models import Company, User
from ._lines import folder_line, person_line


class CompanyForm(OperationsForm):
    class Meta:
        help_texts = {
            "name": gettext_lazy("As people know it. It can be changed at any time."),
            "slug": gettext_lazy("Its short name in addresses. Left empty, it is made from the name."),
        }


@admin.register(Company)
class CompanyAdmin(OperationsAdmin):
    """Saved and deleted through accounts.companies."""

    form = CompanyForm
    list_display = ["name", "slug", "number_of_people", "number_of_folders", "created_at"]
    search_fields = ["name", "slug"]
    search_help_text = gettext_lazy("Name or slug")
    prepopulated_fields = {"slug": ["name"]}
    list_per_page = 50
    kept_by = {"people": gettext_lazy("its people"), "folders": gettext_lazy("its folders")}

    def get_queryset(self, request):
        folders = Company._meta.get_field("folders").related_model
        return (
            super()
            .get_queryset(request)
            .annotate(
                people_count=number_of(User.objects, "company"),
                folder_count=number_of(folders.objects, "company"),
            )
        )

    def get_form(self, request, obj=None, change=False, **kwargs):
        form = super().get_form(request, obj, change=change, **kwargs)
        form.base_fields["slug"].required = False
        return form

    def get_fieldsets(self, request, obj=None):
        about = (None, {"fields": ["name", "slug"]})
        return [about, (_("Who and what belongs to it"), {"fields": ["people", "folders"]})] if obj else [about]

    def get_readonly_fields(self, request, obj=None):
        return ["people", "folders"] if obj else []

    @admin.display(description=gettext_lazy("people"), ordering="people_count")
    def number_of_people(self, company):
        return link("accounts_user_changelist", company.people_count, company__id__exact=company.pk)

    @admin.display(description=gettext_lazy("folders"), ordering="folder_count")
    def number_of_folders(self, company):
        return link("fileshare_folder_changelist", company.folder_count, company__id__exact=company.pk)

    @admin.display(description=gettext_lazy("people"))
    def people(self, company):
        everybody = link("accounts_user_changelist", _("All of them"), company__id__exact=company.pk)
        return some_of(company.people.order_by("name", "email"), person_line, everything=everybody)

    @admin.display(description=gettext_lazy("folders"))
    def folders(self, company):
        everything = link("fileshare_folder_changelist", _("All of them"), company__id__exact=company.pk)
        return some_of(company.folders.order_by("name", "pk"), folder_line, everything=everything)

    def save_model(self, request, obj, form, change):
        facts = {name: form.cleaned_data[name] for name in form.changed_data}
        if change and facts:
            saved = companies.save_company(by=request.user, company_id=obj.pk, **facts)
        elif not change:
            saved = companies.save_company(by=request.user, **facts)
        else:
            saved = obj
        obj.__dict__.update(saved.__dict__)

    def delete_model(self, request, obj):
        companies.delete_company(by=request.user, company_id=obj.pk)
