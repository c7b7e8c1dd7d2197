"""One's own API tokens: for people who are logged in, never by such a token."""

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from config.pagination import answer, keyset_page, page_of
from config.schema import PAGE_PARAMETERS
from config.serializers import read
from config.throttling import throttle

from .. import api_tokens, passwords
from ..models import ApiToken
from . import serializers


class ApiTokens(APIView):
    @extend_schema(parameters=PAGE_PARAMETERS, responses=page_of(serializers.ApiTokenSerializer))
    def get(self, request):
        """The caller's API tokens, newest first; expired ones stay listed for a while, revoked ones do not."""
        page = keyset_page(ApiToken.objects.of(request.user), request=request, time_field="created_at")
        return answer(page, serializers.ApiTokenSerializer)

    @extend_schema(request=serializers.ApiTokenInput, responses={201: serializers.NewApiTokenSerializer})
    def post(self, request):
        """Make an API token, by one's password: it outlives the log-in. `token` is told this once."""
        facts = read(serializers.ApiTokenInput, request)
        throttle(request, "second_factor")
        passwords.prove(request.user, facts.pop("password"))
        token, raw = api_tokens.create(user=request.user, **facts)
        token.token = raw
        return Response(serializers.NewApiTokenSerializer(token).data, status=201)


class OneApiToken(APIView):
    @extend_schema(responses={204: None})
    def delete(self, request, token_id):
        """Revoke an API token; it ends at once."""
        api_tokens.revoke(user=request.user, token_id=token_id)
        return Response(status=204)
