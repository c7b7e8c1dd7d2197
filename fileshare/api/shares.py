"""Share links, for scripts: the caller creates, lists and revokes their own."""

from datetime import timedelta

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from config.api.pagination import answer, keyset_page, page_of
from config.api.schema import PAGE_PARAMETERS
from config.api.serializers import InputSerializer, read
from config.http.throttling import throttle
from fileshare.contributions import scopes
from fileshare.sharing import shares

from ..models import ShareDownload, ShareLink, SharePermission, ShareState
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


class ShareDownloadSerializer(serializers.ModelSerializer):
    class Meta:
        model = ShareDownload
        fields = ["downloaded_at", "address", "user_agent"]


class ShareLinkSerializer(serializers.ModelSerializer):
    """A share link as its maker sees it, without the token: only the call that creates the link returns it."""

    state = serializers.ChoiceField(ShareState.choices)
    has_password = serializers.BooleanField()
    downloads = ShareDownloadSerializer(many=True, source="fetches", help_text="The last ten.")

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
            "downloads",
        ]


class FileShares(APIView):
    token_scopes = scopes.SHARES

    @extend_schema(request=ShareInput, responses={201: ShareAnswer})
    def post(self, request, file_id):
        """Create a share link, or mail one to each of `emails`. Only this answer contains the token."""
        throttle(request, "share")
        facts = read(ShareInput, request)
        facts["emails"] = shares.clean_emails(facts.get("emails", ()))
        throttle(request, "letters", times=len(facts["emails"]))
        lifetime = timedelta(seconds=facts.pop("expires_in"))
        made = shares.create(user=request.user, file_id=file_id, expires_in=lifetime, **facts)
        first = made[0].link
        body = {
            "id": first.pk,
            "url": made[0].url,
            "token": made[0].token,
            "permission": first.permission,
            "expires_at": first.expires_at,
            "max_downloads": first.max_downloads,
        }
        if facts["emails"]:
            body["links"] = [one.link for one in made]
        return Response(ShareAnswer(body).data, status=201, headers={"Cache-Control": "no-store"})

    @extend_schema(parameters=PAGE_PARAMETERS, responses=page_of(ShareLinkSerializer))
    def get(self, request, file_id):
        """The caller's links to a file, newest first; a super sees the links of all users."""
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
