"""Companies in the admin, registered again with an action that creates their folders."""

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts.admin.companies import CompanyAdmin
from accounts.models import Company
from config.admin.actions import SeveralAtOnce
from config.admin.lines import link, number_of, row_link, some_of
from config.forms import attempt
from config.sizes import SizeField

from .. import company_folders
from ..forms.retention import RetentionField
from ..models import Folder
from ._lines import folder_line

admin.site.unregister(Company)


class SetUpForm(forms.Form):
    """The subfolders, the quota and the time to keep files of a company's folder."""

    subfolders = forms.CharField(
        label=gettext_lazy("Subfolders"),
        required=False,
        initial="\n".join(company_folders.SUBFOLDERS),
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

    def facts(self):
        """Keyword arguments for company_folders.set_up."""
        names = company_folders.read_names(self.cleaned_data["subfolders"])
        return {"subfolders": names} | {name: self.cleaned_data[name] for name in ("quota_bytes", "retention_days")}


@admin.register(Company)
class CompanyWithFoldersAdmin(SeveralAtOnce, CompanyAdmin):
    """Creates folders through fileshare.company_folders."""

    list_display = ["name", "slug", "number_of_people", "number_of_folders", "created_at"]
    kept_by = {**CompanyAdmin.kept_by, "folders": gettext_lazy("its folders")}
    belongings = [*CompanyAdmin.belongings, "folders"]
    actions = ["set_up_folders", "delete_selected"]
    chosen_order = ("name",)
    change_form_template = "admin/accounts/company/change_form.html"

    def get_queryset(self, request):
        return super().get_queryset(request).annotate(folder_count=number_of(Folder.objects, "company"))

    @admin.display(description=gettext_lazy("folders"), ordering="folder_count")
    def number_of_folders(self, company):
        return link("fileshare_folder_changelist", company.folder_count, company__id__exact=company.pk)

    @admin.display(description=gettext_lazy("folders"))
    def folders(self, company):
        everything = link("fileshare_folder_changelist", _("All of them"), company__id__exact=company.pk)
        return some_of(company.folders.order_by("name", "pk"), folder_line, everything=everything)

    def get_urls(self):
        page = path(
            "<uuid:company_id>/set-up-folders/",
            self.admin_site.admin_view(self.set_up_page),
            name="accounts_company_set_up_folders",
        )
        return [page, *super().get_urls()]

    def set_up_page(self, request, company_id):
        """The form that creates one company's folder; a message then says what was created."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        company = get_object_or_404(Company, pk=company_id)
        form = SetUpForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            done, result = attempt(
                form, company_folders.set_up, user=request.user, company_id=company.pk, **form.facts()
            )
            if done:
                self.message_user(request, _told(result), messages.SUCCESS)
                return redirect("admin:accounts_company_change", company.pk)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Set up folders"),
            "opts": self.opts,
            "company": company,
            "form": form,
        }
        status = 400 if form.is_bound else 200
        return TemplateResponse(request, "admin/accounts/company/set_up_folders.html", context, status=status)

    @admin.action(permissions=["change"], description=gettext_lazy("Set up folders…"))
    def set_up_folders(self, request, queryset):
        """Create the folders of each chosen company; a message for each says what was created."""

        def perform(companies, form):
            def set_up(company):
                done = company_folders.set_up(user=request.user, company_id=company.pk, **form.facts())
                self.message_user(request, format_html("{}: {}", company.name, _told(done)), messages.INFO)

            self.each(
                request,
                companies,
                set_up,
                done_words=lambda n: (
                    ngettext("%(n)d company has its folders.", "%(n)d companies have their folders.", n) % {"n": n}
                ),
            )

        return self.ask(
            request,
            queryset,
            action="set_up_folders",
            title=_("Set up folders"),
            form_class=SetUpForm,
            perform=perform,
            about=_("Each gets a folder of its own, unless it has one, and in it these subfolders."),
        )


def _told(done):
    """The result of a set-up in words, with a link to the folder."""
    folder = row_link("fileshare_folder_change", done.folder)
    words = _("The folder {folder} was made.") if done.is_new else _("The folder {folder} was there.")
    parts = [format_html(words, folder=folder)]
    if done.made:
        parts.append(_("Subfolders made: %(names)s.") % {"names": ", ".join(done.made)})
    if done.there:
        parts.append(_("There before: %(names)s.") % {"names": ", ".join(done.there)})
    return format_html(" ".join(["{}"] * len(parts)), *parts)
