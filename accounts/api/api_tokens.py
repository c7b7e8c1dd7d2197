"""The caller's own API tokens. A call with an API token is refused, so that no token can make another."""

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.credentials import api_tokens, passwords
from accounts.signing_in.scopes import NEVER
from config.api.pagination import answer, keyset_page, page_of
from config.api.schema import PAGE_PARAMETERS
from config.api.serializers import read
from config.http.throttling import throttle

from ..models import ApiToken
from . import serializers


class ApiTokens(APIView):
    token_scopes = (NEVER, NEVER)

    @extend_schema(parameters=PAGE_PARAMETERS, responses=page_of(serializers.ApiTokenSerializer))
    def get(self, request):
        """The caller's API tokens, newest first. Expired ones stay in the list for a while, revoked ones do not."""
        page = keyset_page(ApiToken.objects.of(request.user), request=request, time_field="created_at")
        return answer(page, serializers.ApiTokenSerializer)

    @extend_schema(request=serializers.ApiTokenInput, responses={201: serializers.NewApiTokenSerializer})
    def post(self, request):
        """Make an API token. This takes the password: a token outlives the log-in. `token` is shown only here."""
        facts = read(serializers.ApiTokenInput, request)
        throttle(request, "second_factor")
        passwords.prove(request.user, facts.pop("password"))
        token, raw = api_tokens.create(user=request.user, **facts)
        token.token = raw
        return Response(serializers.NewApiTokenSerializer(token).data, status=201)


class OneApiToken(APIView):
    token_scopes = (NEVER, NEVER)

    @extend_schema(responses={204: None})
    def delete(self, request, token_id):
        """Revoke an API token; it ends at once."""
        api_tokens.revoke(user=request.user, token_id=token_id)
        return Response(status=204)
