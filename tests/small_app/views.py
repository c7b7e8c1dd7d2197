from django.http import Http404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from config.http.throttling import throttle
from config.http.view_facts import JSON, says

from .contributions import Scope


class Things(APIView):
    """Read with a token. A POST does nothing, and its body must be short."""

    token_scopes = (Scope.THINGS_READ, None)
    body_limit = 10

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request):
        """What there is to lend."""
        throttle(request, "things")
        return Response({"things": []})

    @extend_schema(request=None, responses={204: None})
    def post(self, request):
        """Nothing."""
        return Response(status=204)


@says(refuses_in=JSON)
def lent(request, token):
    """A page behind a link whose address is a secret. No address is valid here."""
    raise Http404
