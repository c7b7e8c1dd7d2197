"""API calls to sign up, log in and log out."""

from django.conf import settings
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.credentials import lockout, passwords, tokens
from accounts.people import registration
from accounts.signing_in import sign_in
from config.api.serializers import MessageSerializer, read
from config.http.throttling import throttle

from . import serializers


class PublicView(APIView):
    """A call for people who are not signed in yet. It ignores credentials in the request."""

    authentication_classes = []
    permission_classes = [AllowAny]


class Signup(PublicView):
    @extend_schema(request=serializers.SignupInput, responses={201: serializers.SignupAnswer})
    def post(self, request):
        """Make an account; a mailed link activates it. The answer is the same when the address is taken."""
        throttle(request, "signup")
        link = registration.sign_up(**read(serializers.SignupInput, request))
        answer = {"message": _("We mailed you a link. Open it to activate your account.")}
        if settings.EXPOSE_VERIFICATION_LINK:
            answer["verification_link"] = link
        return Response(answer, status=201)


class VerifyEmail(PublicView):
    # No HEAD: a mail scanner that sends one must not use up the token.
    http_method_names = ["get", "options"]

    @extend_schema(parameters=[OpenApiParameter("token", OpenApiTypes.STR, required=True)], responses=MessageSerializer)
    def get(self, request):
        """Activate the account of a mailed token. 400 for an invalid token, 410 for an expired or used one."""
        registration.verify_email(token=request.GET.get("token", ""))
        return Response({"message": "success"})


class Login(PublicView):
    @extend_schema(request=serializers.LoginInput, responses=serializers.LoginAnswer)
    def post(self, request):
        """Exchange credentials for an access and a refresh token.

        A user with a second factor gets 401 `mfa_required` with an `mfa_token` for `/api/auth/login/second-factor`,
        the user's `methods` (`totp`, `recovery_code`; `passkey` is for browsers), and `expires_in`: how many seconds
        the `mfa_token` works.
        """
        facts = read(serializers.LoginInput, request)
        throttle(request, "login_address")
        throttle(request, "login", account=facts["email"])
        device = request.COOKIES.get(lockout.COOKIE_NAME, "")
        return Response(serializers.LoginAnswer(sign_in.sign_in_script(**facts, device=device)).data)


class Refresh(PublicView):
    @extend_schema(request=serializers.RefreshInput, responses=serializers.TokenPair)
    def post(self, request):
        """Exchange a refresh token for the next pair. A second use ends the whole log-in: 401 `token_reused`."""
        throttle(request, "refresh")
        return Response(sign_in.refresh_script(**read(serializers.RefreshInput, request)))


class Logout(PublicView):
    @extend_schema(request=serializers.RefreshInput, responses={204: None})
    def post(self, request):
        """End the log-in of a refresh token, with all its tokens."""
        tokens.close_family(**read(serializers.RefreshInput, request))
        return Response(status=204)


class ForgotPassword(PublicView):
    @extend_schema(request=serializers.ForgotPasswordInput, responses={202: MessageSerializer})
    def post(self, request):
        """Mail a link for a new password (15 minutes, once). The answer is the same for every address."""
        throttle(request, "forgot_password")
        passwords.request_reset(**read(serializers.ForgotPasswordInput, request))
        return Response({"message": _("If the address has an account, a link is on its way.")}, status=202)


class ResetPassword(PublicView):
    @extend_schema(request=serializers.ResetPasswordInput, responses=MessageSerializer)
    def post(self, request):
        """Set a new password. Every session, refresh token and API token of the user ends."""
        throttle(request, "reset_password")
        passwords.reset(**read(serializers.ResetPasswordInput, request))
        return Response({"message": "success"})
