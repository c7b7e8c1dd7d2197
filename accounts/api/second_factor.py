"""The second step of a log-in by script. Passkeys are for browsers; a script sends a code."""

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from config.serializers import read
from config.throttling import throttle

from .. import halfway, sign_in
from . import serializers
from .auth import PublicView


class SecondStep(PublicView):
    @extend_schema(request=serializers.SecondStepInput, responses=serializers.LoginAnswer)
    def post(self, request):
        """Trade the `mfa_token` of a log-in and a code, or a recovery code, for an access and a refresh token.

        A wrong code (401 `code_invalid`) leaves the token good until its five minutes are over; success spends it.
        """
        facts = read(serializers.SecondStepInput, request)
        throttle(request, "login_address")
        throttle(request, "second_factor", account=halfway.read(facts["mfa_token"]).email)
        return Response(serializers.LoginAnswer(sign_in.finish_script(**facts)).data)
