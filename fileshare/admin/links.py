"""Share links, file requests and one-time links in the admin. A super may look at them, and end the first two."""

from django.contrib import admin
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from config.admin.actions import SeveralAtOnce
from config.admin.lines import moment, row_link
from config.admin.site import ReadOnlyAdmin
from config.errors import Conflict
from fileshare.requests import file_requests
from fileshare.sharing import shares

from ..models import FileRequest, RedeemedLink, RequestState, ShareLink
from .files import OfFiles


class ShareStateFilter(admin.SimpleListFilter):
    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request, model_admin):
        return [("open", _("Not over")), ("over", _("Expired or used up")), ("revoked", _("Revoked"))]

    def queryset(self, request, queryset):
        match self.value():
            case "open":
                return queryset.unspent()
            case "over":
                return queryset.filter(revoked_at=None).exclude(pk__in=ShareLink.objects.unspent().values("pk"))
            case "revoked":
                return queryset.filter(revoked_at__isnull=False)
        return queryset


@admin.register(ShareLink)
class ShareLinkAdmin(SeveralAtOnce, ReadOnlyAdmin):
    """Revokes links through fileshare.sharing.shares. The portal stores no addresses of links, so none are shown."""

    list_display = ["what", "folder", "maker", "state", "uses", "made", "until"]
    list_filter = [ShareStateFilter, "permission", "created_at"]
    list_per_page = 50
    search_fields = [
        "file__filename",
        "shared_files__file__filename",
        "folder__name",
        "created_by__email",
        "recipient",
    ]
    search_help_text = gettext_lazy("Name of a file or folder, address of who made the link or of who got it")
    actions = ["revoke"]
    fields = ["what", "folder", "maker", "state", "permission", "uses", "guarded", "made", "until", "fetches"]

    def get_queryset(self, request):
        return super().get_queryset(request).with_details()

    def get_changelist_instance(self, request):
        listed = super().get_changelist_instance(request)
        listed.result_list = shares.with_states(listed.result_list)
        return listed

    @admin.display(description=gettext_lazy("what it leads to"), ordering="file__filename")
    def what(self, share):
        whom = share.recipient or _("passed on by its maker")
        return format_html("{}<small>{}</small>", share.title, whom)

    @admin.display(description=gettext_lazy("folder"), ordering="file__folder__name")
    def folder(self, share):
        return row_link("fileshare_folder_change", share.target_folder) if share.target_folder else "–"

    @admin.display(description=gettext_lazy("made by"), ordering="created_by__email")
    def maker(self, share):
        return row_link("accounts_user_change", share.created_by)

    @admin.display(description=gettext_lazy("state"))
    def state(self, share):
        state = share.state if hasattr(share, "state") else shares.state_of(share)
        return format_html('<span class="state state-{}">{}</span>', state, state.label)

    @admin.display(description=gettext_lazy("downloads"), ordering="download_count")
    def uses(self, share):
        if share.max_downloads is None:
            return share.download_count
        return _("%(done)d of %(most)d") % {"done": share.download_count, "most": share.max_downloads}

    @admin.display(description=gettext_lazy("password"), boolean=True)
    def guarded(self, share):
        return share.has_password

    @admin.display(description=gettext_lazy("made"), ordering="created_at")
    def made(self, share):
        return moment(share.created_at)

    @admin.display(description=gettext_lazy("good until"), ordering="expires_at")
    def until(self, share):
        return moment(share.ends_at)

    @admin.display(description=gettext_lazy("fetched"))
    def fetches(self, share):
        rows = share.downloads.select_related("file").order_by("-downloaded_at", "-pk")[: shares.FETCHES_TOLD]
        lines = [f"{moment(row.downloaded_at)} · {row.address or '–'} · {row.agent} · {row.what}" for row in rows]
        return "\n".join(lines) or _("Not yet")

    @admin.action(permissions=["view"], description=gettext_lazy("Revoke: they stop working at once"))
    def revoke(self, request, queryset):
        def end(share):
            if share.revoked_at is not None:
                raise Conflict(_("It was revoked before."))
            shares.revoke(user=request.user, share_id=share.pk)

        self.each(
            request,
            self.chosen(request, queryset) or (),
            end,
            done_words=lambda n: ngettext("%(n)d link was revoked.", "%(n)d links were revoked.", n) % {"n": n},
            name=lambda share: share.title,
        )


class RequestStateFilter(admin.SimpleListFilter):
    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request, model_admin):
        return RequestState.choices

    def queryset(self, request, queryset):
        return queryset.in_state(self.value()) if self.value() in RequestState.values else queryset


@admin.register(FileRequest)
class FileRequestAdmin(SeveralAtOnce, OfFiles, ReadOnlyAdmin):
    """Closes requests through fileshare.requests.file_requests."""

    list_display = ["title", "asker", "where", "state_word", "came", "until", "made", "page"]
    list_select_related = ["owner", "folder", "subfolder"]
    list_filter = [RequestStateFilter, "deadline", "created_at"]
    list_per_page = 50
    search_fields = ["title", "owner__email", "folder__name"]
    search_help_text = gettext_lazy("Title, address of who asks, or the folder")
    actions = ["close"]
    fields = ["title", "note", "asker", "where", "state_word", "came", "until", "made", "page"]

    def get_queryset(self, request):
        return super().get_queryset(request).with_right()

    @admin.display(description=gettext_lazy("asked by"), ordering="owner__email")
    def asker(self, row):
        return row_link("accounts_user_change", row.owner)

    @admin.display(description=gettext_lazy("place"), ordering="folder__name")
    def where(self, row):
        return _("deleted") if row.folder is None else self.place(row)

    @admin.display(description=gettext_lazy("state"))
    def state_word(self, row):
        state = row.state
        return format_html('<span class="state state-{}">{}</span>', state, state.label)

    @admin.display(description=gettext_lazy("received"), ordering="received_files")
    def came(self, row):
        return _("%(done)d of %(most)d files") % {"done": row.received_files, "most": row.max_files}

    @admin.display(description=gettext_lazy("until"), ordering="deadline")
    def until(self, row):
        return moment(row.deadline)

    @admin.display(description=gettext_lazy("made"), ordering="created_at")
    def made(self, row):
        return moment(row.created_at)

    @admin.display(description=gettext_lazy("page"))
    def page(self, row):
        return format_html('<a href="{}">{}</a>', row.get_absolute_url(), _("Open"))

    @admin.action(permissions=["view"], description=gettext_lazy("Close: take nothing more"))
    def close(self, request, queryset):
        def end(row):
            if row.closed_at is not None:
                raise Conflict(_("It was closed before."))
            file_requests.close(user=request.user, request_id=row.pk)

        self.each(
            request,
            self.chosen(request, queryset) or (),
            end,
            done_words=lambda n: ngettext("%(n)d request was closed.", "%(n)d requests were closed.", n) % {"n": n},
        )


@admin.register(RedeemedLink)
class RedeemedLinkAdmin(ReadOnlyAdmin):
    """One-time download links that were used. The rows are deleted a day after the links would have expired."""

    list_display = ["what", "folder", "person", "used"]
    list_select_related = ["file__folder", "user"]
    list_filter = ["redeemed_at"]
    list_per_page = 50
    ordering = ["-redeemed_at"]
    search_fields = ["file__filename", "user__email"]
    search_help_text = gettext_lazy("Name of the file, or address of who used the link")
    fields = ["what", "folder", "person", "used"]

    @admin.display(description=gettext_lazy("file"), ordering="file__filename")
    def what(self, link):
        return row_link("fileshare_file_change", link.file)

    @admin.display(description=gettext_lazy("folder"), ordering="file__folder__name")
    def folder(self, link):
        return row_link("fileshare_folder_change", link.file.folder)

    @admin.display(description=gettext_lazy("used by"), ordering="user__email")
    def person(self, link):
        return row_link("accounts_user_change", link.user)

    @admin.display(description=gettext_lazy("used"), ordering="redeemed_at")
    def used(self, link):
        return moment(link.redeemed_at)
