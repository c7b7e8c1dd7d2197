"""The API calls of the sender's page of a file request. The page uses the same uploader, without an account.

Their addresses (sender_urls) begin with the request's own, because browsers send the sender's cookie only there.
"""

from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.views import APIView

from config.api.serializers import read
from config.http.throttling import throttle
from config.http.view_facts import JSON
from fileshare.incoming import uploads
from fileshare.requests import addresses, senders
from fileshare.requests.sender_cookies import known_sender

from ..models import ReceivedFile
from .file_requests import ReceivedFileSerializer
from .serializers import AbortInput, CompleteInput, FileFactsInput, InitiateInput, sent_as
from .uploads import answers_for, body


class ReceiptSerializer(ReceivedFileSerializer):
    """A received file, as its sender sees it."""

    class Meta(ReceivedFileSerializer.Meta):
        fields = ["id", "filename", "size_bytes", "sha256", "received_at", "sent_as", "note"]


class Stranger(BaseAuthentication):
    """No user is signed in, but the CSRF token of the page is still required."""

    def authenticate(self, request):
        """Raise PermissionDenied (403) without the token."""
        SessionAuthentication().enforce_csrf(request)


class SenderView(APIView):
    """A call of the sender's page."""

    authentication_classes = [Stranger]
    permission_classes = [AllowAny]
    refuses_in = JSON
    schema = None

    def sender(self, request, token):
        """The RequestSender of this browser. Raises Http404 when there is no such address, SenderUnknown (403)."""
        sender = known_sender(request, addresses.by_token(token), token)
        if sender is None:
            raise senders.SenderUnknown
        return sender


class SenderInitiateInput(InitiateInput):
    """As in the API, but the request decides the folder, and senders, who do not see the folder, set no tags."""

    folder_id = None
    subfolder_id = None
    tags = None


class SenderInitiate(SenderView):
    def post(self, request, token):
        """Announce a file, or up to 100."""
        sender = self.sender(request, token)
        throttle(request, "initiate")
        facts = read(SenderInitiateInput, request)
        if "files" in facts:
            answers = answers_for(
                request,
                facts["files"],
                lambda files: senders.initiate_many(sender=sender, files=files, part_size=facts.get("part_size")),
                shape=FileFactsInput,
            )
            return Response({"uploads": answers}, status=201)
        upload = senders.initiate(
            sender=sender,
            filename=facts["filename"],
            size_bytes=facts["size_bytes"],
            content_type=facts["content_type"],
            part_size=facts.get("part_size"),
        )
        return Response(body(request, uploads.begin([upload])[0]), status=201)


class SenderUpload(SenderView):
    def get(self, request, token, file_id):
        """The parts an upload has received, and fresh URLs for the missing ones."""
        found = senders.resume(sender=self.sender(request, token), file_id=file_id)
        if isinstance(found, ReceivedFile):
            return Response({"file_id": str(found.pk), "status": "complete", **sent_as(found.file)})
        received = [
            {"part_number": part.part_number, "etag": part.etag, "size_bytes": part.size_bytes}
            for part in found.received
        ]
        return Response({**body(request, found), "status": found.upload.status, "received": received})


class SenderComplete(SenderView):
    def post(self, request, token):
        """Complete an upload: it becomes a file."""
        sender = self.sender(request, token)
        row = senders.complete(sender=sender, **read(CompleteInput, request))
        return Response(ReceiptSerializer(row).data)


class SenderAbort(SenderView):
    def post(self, request, token):
        """Cancel an upload."""
        senders.abort(sender=self.sender(request, token), **read(AbortInput, request))
        return Response(status=204)
