"""Users in the admin."""

from django import forms
from django.contrib import admin, messages
from django.db.models import Q
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts.people import invitations, roles
from accounts.people.log_reasons import MAX_REASON_LENGTH
from accounts.privacy import subject_rights
from accounts.privacy.sending import as_download
from accounts.second_factors import factors
from accounts.signing_in import sign_in
from config.admin.actions import SeveralAtOnce
from config.admin.lines import link
from config.admin.operations import REFUSALS, OperationsAdmin, OperationsForm
from config.errors import Conflict
from config.http.refusals import refusal_of

from ..models import Company, Role, User
from ..models.roles import SUPER
from ..models.users import INVITED, UNCONFIRMED

STATES = {
    "active": (gettext_lazy("Active"), Q(is_active=True)),
    "invited": (gettext_lazy("Invited"), INVITED),
    "unverified": (gettext_lazy("Address not confirmed"), UNCONFIRMED),
    "off": (
        gettext_lazy("Switched off"),
        Q(is_active=False, email_verified_at__isnull=False, closed_at=None),
    ),
    "closed": (gettext_lazy("Closed by its owner"), Q(closed_at__isnull=False)),
}


class StateFilter(admin.SimpleListFilter):
    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request, model_admin):
        return [(key, label) for key, (label, _condition) in STATES.items()]

    def queryset(self, request, queryset):
        return queryset.filter(STATES[self.value()][1]) if self.value() in STATES else queryset


class RoleFilter(admin.RelatedFieldListFilter):
    """A filter with the title “role”: the column is called groups, but people know it as roles."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.title = _("role")


class UserForm(OperationsForm):
    names = {"roles": "groups", "company_id": "company"}
    no_super = forms.BooleanField(
        required=False,
        label=gettext_lazy("Yes, I give up the administration"),
        help_text=gettext_lazy(
            "Only needed when you take the role super from yourself or switch yourself off. You cannot undo it; "
            "another super can."
        ),
    )

    class Meta:
        labels = {
            "groups": gettext_lazy("Roles"),
            "is_active": gettext_lazy("May log in"),
            "name": gettext_lazy("Name"),
            "email": gettext_lazy("E-mail address"),
            "company": gettext_lazy("Company"),
            "email_verified_at": gettext_lazy("Address confirmed"),
            "created_at": gettext_lazy("Account made"),
        }
        help_texts = {
            "email": gettext_lazy("An invitation goes there; its link is good for 7 days."),
            "groups": gettext_lazy(
                "client: a client of the firm. ops: takes part in the firm's work with documents. super: may do "
                "everything, this administration included."
            ),
            "company": gettext_lazy("Its people may download from the folders of the company. At most one."),
            "is_active": gettext_lazy(
                "Switched off, nothing is deleted, but every session, token and download link stops working at once."
            ),
        }
        widgets = {"groups": forms.CheckboxSelectMultiple}

    def clean_email(self):
        return self.cleaned_data["email"].lower()

    def clean(self):
        facts = super().clean()
        own = self.by is not None and self.instance.pk == self.by.pk and not self.instance._state.adding
        if own and not facts.get("no_super") and "groups" in facts and self.refused is None:
            names = {group.name for group in facts["groups"]}
            if SUPER not in names or not facts.get("is_active"):
                text = _("You would lose this administration. If you mean it, tick the last box of the page.")
                self.add_error("groups" if SUPER not in names else "is_active", text)
        return facts

    def facts(self):
        facts = super().facts()
        facts.pop("no_super", None)
        if "roles" in facts:
            facts["roles"] = [group.name for group in facts["roles"]]
        return facts


class CompanyChoice(forms.Form):
    """The company that the chosen users get."""

    company = forms.ModelChoiceField(
        Company.objects.order_by("name"),
        label=gettext_lazy("Company"),
        required=False,
        empty_label=gettext_lazy("None"),
    )

    def facts(self):
        """Keyword arguments for roles.change_user."""
        company = self.cleaned_data["company"]
        return {"company_id": company.pk if company else None}


class RoleChoice(forms.Form):
    """The role that the chosen users get in addition to their own."""

    role = forms.ModelChoiceField(Role.objects.order_by("name"), label=gettext_lazy("Role"))

    def facts(self):
        """Keyword arguments for roles.change_user."""
        return {"add_roles": [self.cleaned_data["role"].name]}


class ReasonForm(forms.Form):
    """The reason why a super copies or erases a person's data."""

    reason = forms.CharField(
        label=gettext_lazy("How the person asked, and how you knew them"),
        max_length=MAX_REASON_LENGTH,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=gettext_lazy("It stands in the audit log, such as: letter of 3 May, known by passport."),
    )


@admin.register(User)
class UserAdmin(SeveralAtOnce, OperationsAdmin):
    """Adds users by invitations.invite; changes name, roles, company and is_active by roles.change_user."""

    form = UserForm
    list_display = ["person", "company", "role_list", "state", "logged_in"]
    list_filter = [StateFilter, ("groups", RoleFilter), ("company", admin.RelatedOnlyFieldListFilter)]
    search_fields = ["email", "name"]
    search_help_text = gettext_lazy("E-mail address or name")
    autocomplete_fields = ["company"]
    actions = [
        "set_company",
        "add_role",
        "switch_on",
        "switch_off",
        "reopen",
        "invite_again",
        "log_out",
        "remove_second_factors",
        "copy_data",
        "erase",
        "delete_selected",
    ]
    chosen_order = ("email",)
    list_per_page = 50
    add_fieldsets = [(None, {"fields": ["email", "name", "groups", "company"]})]
    fieldsets = [
        (None, {"fields": ["email", "name", "company", "groups", "is_active"]}),
        (
            gettext_lazy("Account"),
            {"fields": ["state", "email_verified_at", "logged_in", "sessions", "created_at", "log"]},
        ),
    ]
    readonly_fields = ["state", "email_verified_at", "logged_in", "sessions", "created_at", "log"]

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("company").prefetch_related("groups")

    def get_fieldsets(self, request, obj=None):
        if obj is None:
            return self.add_fieldsets
        if obj.pk == request.user.pk:
            return [*self.fieldsets, (_("This is your own account"), {"fields": ["no_super"]})]
        return self.fieldsets

    def get_readonly_fields(self, request, obj=None):
        return ["email", *self.readonly_fields] if obj else []

    def has_delete_permission(self, request, obj=None):
        """Only an invitation can be deleted. Any other account stays, and with it the record of what its owner did."""
        return super().has_delete_permission(request, obj) and (obj is None or obj.is_invited)

    def get_form(self, request, obj=None, change=False, **kwargs):
        if obj:
            text = _("Its owner changes it in their profile.")
            kwargs["help_texts"] = {**self.form.Meta.help_texts, "email": text}
        return super().get_form(request, obj, change=change, **kwargs)

    @admin.display(description=gettext_lazy("person"), ordering="email")
    def person(self, user):
        return format_html("{}<small>{}</small>", user.email, user.name)

    @admin.display(description=gettext_lazy("last log-in"), ordering="last_login", empty_value=gettext_lazy("never"))
    def logged_in(self, user):
        return user.last_login and date_format(timezone.localtime(user.last_login), "j M Y")

    @admin.display(description=gettext_lazy("logged in now"))
    def sessions(self, user):
        facts = {
            "browsers": user.sessions.live().count(),
            "scripts": user.refresh_tokens.newest_of_families().count(),
        }
        return _("browsers: %(browsers)d, scripts: %(scripts)d") % facts

    @admin.display(description=gettext_lazy("roles"))
    def role_list(self, user):
        return ", ".join(roles.role_names(user)) or "–"

    @admin.display(description=gettext_lazy("state"), ordering="is_active")
    def state(self, user):
        key = user.state
        return format_html('<span class="state state-{}">{}</span>', key, STATES[key][0])

    @admin.display(description=gettext_lazy("log"))
    def log(self, user):
        return format_html_join(" · ", "{}", [(each,) for each in self.log_links(user)])

    def log_links(self, user):
        """Links to the audit log and the API tokens of `user`."""
        return [
            link("audit_event_changelist", _("What they did"), q=user.email),
            link("accounts_apitoken_changelist", _("Their API tokens"), user__id__exact=user.pk),
        ]

    def create(self, request, user, facts):
        invited = invitations.invite(by=request.user, **facts)
        self.message_user(request, _("An invitation is on its way to %(email)s.") % {"email": invited.email})
        return invited

    def change(self, request, user, facts):
        return roles.change_user(by=request.user, user_id=user.pk, **facts)

    def delete(self, request, user):
        invitations.withdraw(by=request.user, user_id=user.pk)

    # --- Several at once ---

    def chosen_line(self, user):
        return f"{user.name} · {user.email}"

    def _change_each(self, request, users, operation, *, own=True):
        """Call `operation` for each user; `own=False` refuses it for the super's own account."""

        def change(user):
            if not own and user.pk == request.user.pk:
                raise Conflict(_("This is your own account."))
            operation(by=request.user, user_id=user.pk)

        self.each(
            request,
            users or (),
            change,
            done_words=lambda n: ngettext("%(n)d account was changed.", "%(n)d accounts were changed.", n) % {"n": n},
        )

    def _give_each(self, request, queryset, *, action, title, form_class):
        """Ask with `form_class` what to set, then set it for each chosen user."""
        return self.ask(
            request,
            queryset,
            action=action,
            title=title,
            form_class=form_class,
            perform=lambda users, form: self._change_each(
                request, users, lambda **who: roles.change_user(**who, **form.facts())
            ),
        )

    @admin.action(permissions=["change"], description=gettext_lazy("Set the company…"))
    def set_company(self, request, queryset):
        return self._give_each(
            request, queryset, action="set_company", title=_("Set the company"), form_class=CompanyChoice
        )

    @admin.action(permissions=["change"], description=gettext_lazy("Add a role…"))
    def add_role(self, request, queryset):
        return self._give_each(request, queryset, action="add_role", title=_("Add a role"), form_class=RoleChoice)

    @admin.action(permissions=["change"], description=gettext_lazy("Switch on: may log in"))
    def switch_on(self, request, queryset):
        self._change_each(
            request, self.chosen(request, queryset), lambda **who: roles.change_user(**who, is_active=True)
        )

    @admin.action(permissions=["change"], description=gettext_lazy("Switch off: may not log in"))
    def switch_off(self, request, queryset):
        self._change_each(
            request, self.chosen(request, queryset), lambda **who: roles.change_user(**who, is_active=False), own=False
        )

    @admin.action(permissions=["change"], description=gettext_lazy("Open again: closed by its owner"))
    def reopen(self, request, queryset):
        self._change_each(request, self.chosen(request, queryset), subject_rights.reopen_account)

    @admin.action(permissions=["change"], description=gettext_lazy("Mail the invitation again"))
    def invite_again(self, request, queryset):
        self._change_each(request, self.chosen(request, queryset), invitations.invite_again)

    @admin.action(permissions=["change"], description=gettext_lazy("Log out everywhere"))
    def log_out(self, request, queryset):
        self._change_each(request, self.chosen(request, queryset), roles.log_out)

    @admin.action(permissions=["change"], description=gettext_lazy("Remove the second factors of a locked-out person"))
    def remove_second_factors(self, request, queryset):
        if not sign_in.is_fresh(request):
            return sign_in.confirm_first(request, request.path)
        return self._change_each(request, self.chosen(request, queryset), factors.remove_all)

    def _ask_about_one(self, request, queryset, *, action, title, about, button, perform):
        """Ask for the reason of an action on one person's data, then call `perform(user, reason)`."""
        if not sign_in.is_fresh(request):
            return sign_in.confirm_first(request, request.path)
        if len(queryset[:2]) != 1:
            self.message_user(request, _("Choose one person."), messages.ERROR)
            return None
        return self.ask(
            request,
            queryset,
            action=action,
            title=title,
            about=about,
            button=button,
            form_class=ReasonForm,
            perform=lambda rows, form: perform(rows[0], form.cleaned_data["reason"]),
        )

    @admin.action(permissions=["change"], description=gettext_lazy("A copy of their data…"))
    def copy_data(self, request, queryset):
        def perform(user, reason):
            try:
                return as_download(subject_rights.export_for(by=request.user, user_id=user.pk, reason=reason))
            except REFUSALS as error:
                self.message_user(request, refusal_of(error).message, messages.ERROR)
                return None

        about = _("For somebody who asks for it and cannot log in. Make sure who is asking before you hand it over.")
        words = {"title": _("A copy of their data"), "about": about, "button": _("Download the copy")}
        return self._ask_about_one(request, queryset, action="copy_data", perform=perform, **words)

    @admin.action(permissions=["change"], description=gettext_lazy("Erase the account…"))
    def erase(self, request, queryset):
        def perform(user, reason):
            self._change_each(request, [user], lambda **who: subject_rights.erase_now(**who, reason=reason), own=False)

        about = _(
            "The account is closed at once and erased for good: the person's own folder with every file in it, their "
            "grants, links and requests. Nothing brings it back."
        )
        words = {"title": _("Erase the account"), "about": about, "button": _("Erase for good")}
        return self._ask_about_one(request, queryset, action="erase", perform=perform, **words)
