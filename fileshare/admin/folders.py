"""Folders in the admin, with their subfolders, their permissions and their used space."""

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect
from django.db.models import BigIntegerField, Case, F, Value, When
from django.template.defaultfilters import filesizeformat
from django.template.loader import render_to_string
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts.models import Company, Role, User
from config.admin.actions import SeveralAtOnce
from config.admin.lines import link, moment, number_of, row_link, some_of
from config.admin.operations import OperationsAdmin, OperationsForm
from config.sizes import SizeField

from .. import folders, holds
from ..forms.retention import RetentionField, RetentionInput
from ..models import File, Folder, FolderPermission, PermissionType, Subfolder

NEARLY_FULL_PERCENT = 90
KINDS = {
    "documents": gettext_lazy("Client documents"),
    "company": gettext_lazy("Of a company"),
    "special": gettext_lazy("Special"),
    "personal": gettext_lazy("Personal"),
}


class SubfolderForm(forms.ModelForm):
    """A subfolder keeps its slug, because addresses that people were given contain it."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["slug"].disabled = not self.instance._state.adding


class SubfolderInline(admin.TabularInline):
    model = Subfolder
    form = SubfolderForm
    extra = 0
    fields = ["name", "slug"]
    prepopulated_fields = {"slug": ["name"]}
    verbose_name_plural = gettext_lazy("subfolders: one level, with the permissions of the folder")


class FolderPermissionInline(admin.TabularInline):
    model = FolderPermission
    extra = 0
    autocomplete_fields = ["user", "company"]
    fields = ["user", "role", "company", "permission_type", "granted_by", "granted"]
    readonly_fields = ["granted_by", "granted"]
    verbose_name_plural = gettext_lazy("permissions: each for a person, a role or a company")

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("user", "role", "company", "granted_by")

    @admin.display(description=gettext_lazy("granted"))
    def granted(self, permission):
        return moment(permission.granted_at)

    def has_change_permission(self, request, obj=None):
        # A super grants or revokes a permission, but cannot change one into another.
        return False


class FolderForm(OperationsForm):
    names = {"company_id": "company"}

    class Meta:
        labels = {"quota_bytes": gettext_lazy("Quota"), "retention_days": gettext_lazy("How long files stay")}
        help_texts = {
            "name": gettext_lazy("As people know it. It can be changed at any time."),
            "slug": gettext_lazy("Its short name in addresses. Left empty, it is made from the name."),
            "company": gettext_lazy("Every person of the company may download from the folder, without a permission."),
            "type_policy": gettext_lazy("Which kinds of files it takes."),
            "retention_days": gettext_lazy(
                "Then a file is deleted; whom it concerns is told a week before. A shorter time leaves present files "
                "8 days at least."
            ),
            "quota_bytes": gettext_lazy("How much it may hold, such as 500 MB or 20 GB."),
        }
        field_classes = {"quota_bytes": SizeField, "retention_days": RetentionField}


class KindFilter(admin.SimpleListFilter):
    title = gettext_lazy("kind")
    parameter_name = "kind"

    def lookups(self, request, model_admin):
        return list(KINDS.items())

    def queryset(self, request, queryset):
        return queryset.of_kind(self.value()) if self.value() in KINDS else queryset


class RoomFilter(admin.SimpleListFilter):
    title = gettext_lazy("space")
    parameter_name = "space"

    def lookups(self, request, model_admin):
        return [
            ("full", _("Nearly full: %(percent)d%% or more") % {"percent": NEARLY_FULL_PERCENT}),
            ("empty", _("Nothing in it")),
        ]

    def queryset(self, request, queryset):
        match self.value():
            case "full":
                return queryset.filter(fullness__gte=NEARLY_FULL_PERCENT * 100)
            case "empty":
                return queryset.filter(used_bytes=0, reserved_bytes=0)
        return queryset


class GrantForm(forms.Form):
    """The permissions that a person, a role or a company gets on several folders."""

    user = forms.ModelChoiceField(
        User.objects.filter(is_active=True),
        required=False,
        label=gettext_lazy("Person"),
        widget=AutocompleteSelect(FolderPermission._meta.get_field("user"), admin.site),
    )
    role = forms.ModelChoiceField(
        Role.objects.order_by("name"),
        required=False,
        label=gettext_lazy("Or role"),
        empty_label=gettext_lazy("None"),
        help_text=gettext_lazy("Everybody who holds the role, now or later."),
    )
    company = forms.ModelChoiceField(
        Company.objects.order_by("name"),
        required=False,
        label=gettext_lazy("Or company"),
        widget=AutocompleteSelect(FolderPermission._meta.get_field("company"), admin.site),
        help_text=gettext_lazy("Everybody of the company, now or later."),
    )
    permission_types = forms.MultipleChoiceField(
        choices=PermissionType.choices, label=gettext_lazy("Permission"), widget=forms.CheckboxSelectMultiple
    )

    def clean(self):
        facts = super().clean()
        if not self.errors and sum(bool(facts.get(name)) for name in ("user", "role", "company")) != 1:
            self.add_error(None, _("Name a person, a role or a company: one of them."))
        return facts

    def holder(self):
        """Keyword arguments for folders.grant."""
        user, role, company = (self.cleaned_data[name] for name in ("user", "role", "company"))
        if user:
            return {"user_id": user.pk}
        return {"role": role.name} if role else {"company_id": company.pk}


@admin.register(Folder)
class FolderAdmin(SeveralAtOnce, OperationsAdmin):
    """Creates, changes, grants and deletes through fileshare.folders."""

    form = FolderForm
    list_display = ["folder", "kind_word", "whose", "space", "file_count", "stays", "page"]
    list_filter = [KindFilter, RoomFilter, "type_policy", ("company", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["company", "owner"]
    list_per_page = 50
    search_fields = ["name", "slug", "company__name", "owner__email", "owner__name"]
    search_help_text = gettext_lazy("Name or slug of the folder, its company or its owner")
    autocomplete_fields = ["company"]
    prepopulated_fields = {"slug": ["name"]}
    actions = ["grant", "delete_selected"]
    kept_by = {
        "files": gettext_lazy("its files, those in the trash too"),
        "uploads": gettext_lazy("its uploads on their way"),
    }
    chosen_order = ("name", "pk")
    inlines = [SubfolderInline, FolderPermissionInline]

    def get_queryset(self, request):
        room = F("quota_bytes") + F("granted_bytes")
        return (
            super()
            .get_queryset(request)
            .with_quota()
            .annotate(
                files_count=number_of(File.objects.filter(deleted_at=None), "folder"),
                # In hundredths of a percent.
                fullness=Case(
                    When(quota_bytes=0, granted_bytes=0, then=Value(10_000)),
                    default=(F("used_bytes") + F("reserved_bytes")) * 10_000 / room,
                    output_field=BigIntegerField(),
                ),
            )
        )

    def get_fieldsets(self, request, obj=None):
        main = ["name", "slug", "description", "company", "type_policy", "retention_days", "quota_bytes"]
        sharing = (_("Share links to its files"), {"fields": ["share_password_required", "share_max_days"]})
        if obj is None:
            return [(None, {"fields": main}), sharing]
        facts = ["kind_word", "space", "lent_space", "file_count", "made", "where"]
        return [(None, {"fields": main}), sharing, (_("What it holds"), {"fields": facts})]

    def get_readonly_fields(self, request, obj=None):
        if obj is None:
            return []
        shown = ["kind_word", "space", "lent_space", "file_count", "made", "where"]
        return ["slug", "company", *shown] if obj.kind in ("documents", "personal") else shown

    def get_prepopulated_fields(self, request, obj=None):
        return {} if obj else self.prepopulated_fields

    def get_form(self, request, obj=None, change=False, **kwargs):
        form = super().get_form(request, obj, change=change, **kwargs)
        if "slug" in form.base_fields:
            form.base_fields["slug"].required = False
        return form

    def formfield_for_dbfield(self, db_field, request, **kwargs):
        if db_field.name == "quota_bytes":
            # Replace the admin's widget for numbers: it does not accept a unit such as GB.
            kwargs["widget"] = forms.TextInput
        if db_field.name == "retention_days":
            kwargs["widget"] = RetentionInput
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def has_delete_permission(self, request, obj=None):
        return super().has_delete_permission(request, obj) and not (obj and obj.kind == "documents")

    # --- What is shown --------------------------------------------------------------------------------

    @admin.display(description=gettext_lazy("folder"), ordering="name")
    def folder(self, folder):
        return format_html("{}<small>{}</small>", folder.shown_name, folder.slug)

    @admin.display(description=gettext_lazy("kind"))
    def kind_word(self, folder):
        return KINDS[folder.kind]

    @admin.display(description=gettext_lazy("whose"), ordering="company__name")
    def whose(self, folder):
        if folder.owner_id:
            return row_link("accounts_user_change", folder.owner)
        return row_link("accounts_company_change", folder.company)

    @admin.display(description=gettext_lazy("space"), ordering="fullness")
    def space(self, folder):
        return render_to_string("admin/fileshare/folder/_space.html", {"folder": folder})

    @admin.display(description=gettext_lazy("files"), ordering="files_count")
    def file_count(self, folder):
        return link("fileshare_file_changelist", folder.files_count, folder__id__exact=folder.pk)

    @admin.display(
        description=gettext_lazy("files stay"), ordering="retention_days", empty_value=gettext_lazy("for ever")
    )
    def stays(self, folder):
        days = folder.retention_days
        return days and ngettext("%(n)d day", "%(n)d days", days) % {"n": days}

    @admin.display(description=gettext_lazy("page"))
    def page(self, folder):
        return format_html('<a href="{}">{}</a>', folder.get_absolute_url(), _("Open"))

    @admin.display(description=gettext_lazy("space on loan"))
    def lent_space(self, folder):
        return some_of(
            folder.grants.active().order_by("ends_at"),
            lambda grant: (
                _("%(size)s until %(day)s") % {"size": filesizeformat(grant.extra_bytes), "day": moment(grant.ends_at)}
            ),
        )

    @admin.display(description=gettext_lazy("made"))
    def made(self, folder):
        by = format_html(" · {}", row_link("accounts_user_change", folder.created_by)) if folder.created_by_id else ""
        return format_html("{}{}", moment(folder.created_at), by)

    @admin.display(description=gettext_lazy("more of it"))
    def where(self, folder):
        return format_html_join(
            " · ",
            "{}",
            [
                (format_html('<a href="{}">{}</a>', folder.get_absolute_url(), _("Its page")),),
                (link("fileshare_upload_changelist", _("Uploads on their way"), folder__id__exact=folder.pk),),
                (link("audit_event_changelist", _("What happened in it"), folder_slug=folder.slug),),
            ],
        )

    # --- What is done ---------------------------------------------------------------------------------

    def save_model(self, request, obj, form, change):
        if change:
            # The formset may delete subfolders. The guard of holds must come before the lock of any row.
            holds.guard()
        super().save_model(request, obj, form, change)

    def create(self, request, folder, facts):
        return folders.create_folder(user=request.user, **facts)

    def change(self, request, folder, facts):
        return folders.change_folder(user=request.user, folder_id=folder.pk, **facts)

    def delete(self, request, folder):
        folders.delete_folder(user=request.user, folder_id=folder.pk)

    def save_formset(self, request, form, formset, change):
        rows = formset.save(commit=False)
        for row in formset.deleted_objects:
            if isinstance(row, Subfolder):
                folders.delete_subfolder(user=request.user, subfolder_id=row.pk)
            else:
                folders.revoke(user=request.user, permission_id=row.pk)
        for row in rows:
            if isinstance(row, Subfolder):
                self._save_subfolder(request.user, form.instance, row)
            else:
                folders.grant(
                    user=request.user,
                    folder_id=form.instance.pk,
                    permission_type=row.permission_type,
                    user_id=row.user_id,
                    role=row.role.name if row.role_id else None,
                    company_id=row.company_id,
                )

    def _save_subfolder(self, user, folder, row):
        if row._state.adding:
            folders.create_subfolder(user=user, folder_id=folder.pk, name=row.name, slug=row.slug)
        else:
            folders.rename_subfolder(user=user, subfolder_id=row.pk, name=row.name)

    @admin.action(permissions=["change"], description=gettext_lazy("Grant a permission…"))
    def grant(self, request, queryset):
        """Grant to one holder on each chosen folder. A message names the permissions granted before."""

        def perform(rows, form):
            self.each(
                request,
                [(folder, kind) for folder in rows for kind in form.cleaned_data["permission_types"]],
                lambda row: folders.grant(
                    user=request.user, folder_id=row[0].pk, permission_type=row[1], **form.holder()
                ),
                done_words=lambda n: (
                    ngettext("%(n)d permission was granted.", "%(n)d permissions were granted.", n) % {"n": n}
                ),
                name=lambda row: f"{row[0].name}, {PermissionType(row[1]).label}",
            )

        return self.ask(
            request, queryset, action="grant", title=_("Grant a permission"), form_class=GrantForm, perform=perform
        )
