"""Share links, for scripts: the caller creates, lists and revokes their own."""

from datetime import timedelta

from django.conf import settings
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from config.api.pagination import answer, keyset_page, page_of
from config.api.schema import PAGE_PARAMETERS
from config.api.serializers import InputSerializer, read
from config.errors import Invalid
from config.http.throttling import throttle
from fileshare.contributions import scopes
from fileshare.sharing import shares

from ..models import ShareDownload, ShareLink, SharePermission, ShareState
from ..models.shares import MAX_SHARED_FILES
from .serializers import PlainIntegerField


class ShareInput(InputSerializer):
    null_is_left_out = True

    permission = serializers.ChoiceField(SharePermission.choices)
    expires_in = PlainIntegerField(
        min_value=int(shares.MIN_LIFE.total_seconds()),
        max_value=settings.MAX_SHARE_DAYS * 86_400,
        help_text="Seconds from now.",
    )
    password = serializers.CharField(
        required=False, trim_whitespace=False, max_length=shares.MAX_PASSWORD_LENGTH, help_text="Kept as typed."
    )
    max_downloads = PlainIntegerField(required=False, min_value=1, max_value=shares.MAX_DOWNLOADS)
    emails = serializers.ListField(
        child=serializers.CharField(max_length=320, trim_whitespace=False),
        required=False,
        max_length=shares.MAX_EMAILS,
        help_text="Each gets a link of their own by mail.",
    )


class SeveralSharesInput(ShareInput):
    file_ids = serializers.ListField(
        child=serializers.UUIDField(), required=False, min_length=1, max_length=MAX_SHARED_FILES
    )
    folder_id = serializers.UUIDField(required=False, help_text="Instead of file_ids.")
    subfolder_id = serializers.UUIDField(required=False, help_text="With folder_id: only its files.")


class SharedPlace(serializers.Serializer):
    id = serializers.UUIDField()
    name = serializers.CharField()


class Carried(serializers.Serializer):
    """What a link leads to: one file, several, or a folder, of which it shows what is in it at the time."""

    kind = serializers.ChoiceField(["file", "files", "folder"])
    file_count = serializers.IntegerField(allow_null=True, help_text="When it was made; null for a folder.")
    filenames = serializers.ListField(child=serializers.CharField(), help_text="The first three; none of a folder.")
    folder = SharedPlace(allow_null=True)
    subfolder = SharedPlace(allow_null=True)


class MailedLink(serializers.Serializer):
    id = serializers.UUIDField()
    email = serializers.EmailField(source="recipient")
    expires_at = serializers.DateTimeField()


class ShareAnswer(serializers.Serializer):
    id = serializers.UUIDField()
    url = serializers.URLField()
    token = serializers.CharField()
    permission = serializers.ChoiceField(SharePermission.choices)
    expires_at = serializers.DateTimeField()
    max_downloads = serializers.IntegerField(allow_null=True)
    links = MailedLink(many=True, required=False, help_text="With emails: one for each.")


class SeveralSharesAnswer(ShareAnswer):
    carries = Carried()


class ShareDownloadSerializer(serializers.ModelSerializer):
    filename = serializers.CharField(
        source="file.filename", default=None, allow_null=True, help_text="null for a ZIP, or when the file is gone."
    )

    class Meta:
        model = ShareDownload
        fields = ["downloaded_at", "address", "user_agent", "filename"]


class ShareLinkSerializer(serializers.ModelSerializer):
    """A share link as its maker sees it, without the token: only the call that creates the link returns it."""

    state = serializers.ChoiceField(ShareState.choices)
    has_password = serializers.BooleanField()
    carries = serializers.SerializerMethodField()
    downloads = ShareDownloadSerializer(many=True, source="fetches", help_text="The last ten.")

    @extend_schema_field(Carried)
    def get_carries(self, link):
        return _carried(link)

    class Meta:
        model = ShareLink
        fields = [
            "id",
            "permission",
            "state",
            "expires_at",
            "max_downloads",
            "download_count",
            "has_password",
            "recipient",
            "revoked_at",
            "created_at",
            "carries",
            "downloads",
        ]


def _carried(link):
    kind, count, names = "file", 1, [link.file.filename] if link.file else []
    if link.folder:
        kind, count = "folder", None
    elif link.file_count:
        kind, count, names = "files", link.file_count, link.first_names
    facts = {"kind": kind, "file_count": count, "filenames": names, "folder": link.folder, "subfolder": link.subfolder}
    return Carried(facts).data


def _create(request, input_class, answer_class, **target):
    throttle(request, "share")
    facts = read(input_class, request)
    facts["emails"] = shares.clean_emails(facts.get("emails", ()))
    if not target:
        _assert_one_target(facts)
    throttle(request, "letters", times=len(facts["emails"]))
    lifetime = timedelta(seconds=facts.pop("expires_in"))
    made = shares.create(user=request.user, expires_in=lifetime, **target, **facts)
    first = made[0].link
    body = {
        "id": first.pk,
        "url": made[0].url,
        "token": made[0].token,
        "permission": first.permission,
        "expires_at": first.expires_at,
        "max_downloads": first.max_downloads,
        "carries": _carried(first),
    }
    if facts["emails"]:
        body["links"] = [one.link for one in made]
    return Response(answer_class(body).data, status=201, headers={"Cache-Control": "no-store"})


def _assert_one_target(facts):
    if ("file_ids" in facts) == ("folder_id" in facts):
        raise Invalid("file_ids", _("Name either file_ids or folder_id."))
    if "subfolder_id" in facts and "folder_id" not in facts:
        raise Invalid("subfolder_id", _("Name the folder_id of the subfolder, too."))


class Shares(APIView):
    token_scopes = scopes.SHARES

    @extend_schema(request=SeveralSharesInput, responses={201: SeveralSharesAnswer})
    def post(self, request):
        """Create one share link to several files or to a folder, or mail one to each of `emails`.

        All files must be ones that the caller may share. A link to a folder shows what is in it at each opening and
        what its maker may share then: for its owner and a super every file, for others their own uploads. Only this
        answer contains the token.
        """
        return _create(request, SeveralSharesInput, SeveralSharesAnswer)

    @extend_schema(parameters=PAGE_PARAMETERS, responses=page_of(ShareLinkSerializer))
    def get(self, request):
        """The caller's own links, to files and to folders, newest first."""
        rows = shares.told(ShareLink.objects.filter(created_by=request.user))
        page = keyset_page(rows, request=request, time_field="created_at")
        page.results = shares.with_states(page.results)
        return answer(page, ShareLinkSerializer)


class OneOfShares(APIView):
    token_scopes = scopes.SHARES

    @extend_schema(responses={204: None})
    def delete(self, request, share_id):
        """End a link at once, whatever it leads to; a second call changes nothing."""
        shares.revoke(user=request.user, share_id=share_id)
        return Response(status=204)


class FileShares(APIView):
    token_scopes = scopes.SHARES

    @extend_schema(request=ShareInput, responses={201: ShareAnswer})
    def post(self, request, file_id):
        """Create a share link, or mail one to each of `emails`. Only this answer contains the token."""
        return _create(request, ShareInput, ShareAnswer, file_id=file_id)

    @extend_schema(parameters=PAGE_PARAMETERS, responses=page_of(ShareLinkSerializer))
    def get(self, request, file_id):
        """The caller's links that lead to a file, newest first; a super sees the links of all users."""
        rows = shares.of_file(user=request.user, file_id=file_id)
        page = keyset_page(rows, request=request, time_field="created_at")
        page.results = shares.with_states(page.results)
        return answer(page, ShareLinkSerializer)


class OneShare(APIView):
    token_scopes = scopes.SHARES

    @extend_schema(responses={204: None})
    def delete(self, request, file_id, share_id):
        """End a link at once; a second call changes nothing."""
        shares.revoke(user=request.user, share_id=share_id, file_id=file_id)
        return Response(status=204)
