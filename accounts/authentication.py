"""Who is asking: an access JWT or an API token in the Authorization header, or the session cookie."""

from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import ValidationError
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken

from . import api_tokens, scopes, second_factor, tokens
from .models import User


class SessionBackend(ModelBackend):
    """Finds the user of a session, and in the same query whether they lack a second factor that a role asks for.

    accounts.middleware acts on it; passwords are checked by accounts.passwords alone.
    """

    def authenticate(self, request, **credentials):
        """Nobody: there is one door, and it knows of the second factor."""

    def get_user(self, user_id):
        """The active user of that id, or None."""
        user = User.objects.with_second_factor().with_ops().filter(pk=user_id).first()
        return user if user is not None and self.user_can_authenticate(user) else None


class AccessTokenAuthentication(JWTAuthentication):
    """A bearer token counts while its user is active, has the password it was made under, and its log-in lasts."""

    def get_user(self, validated_token):
        """Raises InvalidToken (401), or SecondFactorNeeded (403)."""
        try:
            user_id = validated_token[settings.SIMPLE_JWT["USER_ID_CLAIM"]]
            users = tokens.still_logged_in(User.objects.with_company().with_second_factor(), validated_token)
            user = users.get(pk=user_id, is_active=True)
        except (User.DoesNotExist, KeyError, ValueError, TypeError, ValidationError):
            raise InvalidToken from None
        if not tokens.speaks_for(user, validated_token):
            raise InvalidToken
        second_factor.demand(user)
        return user


class ApiTokenAuthentication(BaseAuthentication):
    """A personal API token counts for the calls its scopes name; no view has to ask, and none can forget to."""

    def authenticate(self, request):
        """(user, ApiToken), or None where no API token was sent.

        Raises AuthenticationFailed (401), ScopeMissing or SecondFactorNeeded (403).
        """
        kind, _space, raw = get_authorization_header(request).decode("latin-1").partition(" ")
        raw = raw.strip()
        if kind.lower() != "bearer" or not api_tokens.looks_like_one(raw):
            return None
        token = api_tokens.identify(raw)
        if token is None:
            raise AuthenticationFailed
        second_factor.demand(token.user)
        scopes.demand(token, route=request.resolver_match.route, method=request.method)
        api_tokens.note_use(token)
        return token.user, token

    def authenticate_header(self, request):
        return "Bearer"


class ApiTokenScheme(OpenApiAuthenticationExtension):
    """Tells the schema of API tokens."""

    target_class = "accounts.authentication.ApiTokenAuthentication"
    name = "apiToken"

    def get_security_definition(self, auto_schema):
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "pat_…",
            "description": "A personal API token from /profile/tokens; each call names the scope it takes.",
        }


class AccessTokenScheme(OpenApiAuthenticationExtension):
    """Tells the schema of the bearer token."""

    target_class = "accounts.authentication.AccessTokenAuthentication"
    name = "accessToken"

    def get_security_definition(self, auto_schema):
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
