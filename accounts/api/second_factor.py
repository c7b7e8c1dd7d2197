"""The second step of a log-in by API: a script sends a code. Passkeys are for browsers."""

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from accounts.second_factors import half_signed_in
from accounts.signing_in import sign_in
from config.api.serializers import read
from config.http.throttling import throttle

from . import serializers
from .auth import PublicView


class SecondStep(PublicView):
    @extend_schema(request=serializers.SecondStepInput, responses=serializers.LoginAnswer)
    def post(self, request):
        """Exchange the `mfa_token` of a log-in and a code, or a recovery code, for an access and a refresh token.

        After a wrong code (401 `code_invalid`) the `mfa_token` still works, until its five minutes are over. A right
        code uses it up.
        """
        facts = read(serializers.SecondStepInput, request)
        throttle(request, "login_address")
        throttle(request, "second_factor", account=half_signed_in.read(facts["mfa_token"]).email)
        return Response(serializers.LoginAnswer(sign_in.finish_script(**facts)).data)
