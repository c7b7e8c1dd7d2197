"""/secure-download/<token>: the bytes behind an encrypted link, for the user it was made for."""

from rest_framework.permissions import AllowAny
from rest_framework.views import APIView

from config.refusals import api_exception_handler, refusal_of, refuse, wants_json
from config.throttling import throttle

from .. import downloads, links
from .sending import send_object


class SecureDownload(APIView):
    """Signed in by access token or by session; a browser is refused with a page, a script with JSON."""

    permission_classes = [AllowAny]
    schema = None

    def get(self, request, token):
        """The bytes; GET and HEAD, ranges included."""
        throttle(request, "redeem", strict=False)
        try:
            file = downloads.redeem(user=request.user, token=token, request=request)
        except (downloads.NotYours, links.LinkForged):
            # Whoever tries links that are not theirs is soon told to wait.
            throttle(request, "foreign_link")
            raise
        return send_object(
            request._request, key=file.object_key, filename=file.filename, content_type=file.content_type
        )

    def head(self, request, token):
        """What GET would answer, spending nothing."""
        return self.get(request, token)

    def get_exception_handler(self):
        return self._refuse

    def _refuse(self, error, context):
        refusal = refusal_of(error)
        if refusal is None or wants_json(context["request"]):
            return api_exception_handler(error, context)
        return refuse(context["request"]._request, refusal)
