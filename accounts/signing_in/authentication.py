"""Find the user of a request: by an access JWT or an API token in the Authorization header, or the session cookie."""

from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import ValidationError
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken

from accounts.credentials import api_tokens, tokens
from accounts.models import RefreshToken, User
from accounts.second_factors import factors
from config.prepared import Prepared

from . import scopes

OF_SESSION = Prepared(
    lambda pk: User.objects.with_second_factor().with_ops().filter(pk=pk).order_by(),
    pk=User._meta.pk,
)
OF_TOKEN = Prepared(
    lambda pk: User.objects.with_company().with_second_factor().filter(pk=pk, is_active=True).order_by(),
    pk=User._meta.pk,
)
OF_TOKEN_OF_FAMILY = Prepared(
    lambda pk, family: tokens.still_logged_in(
        User.objects.with_company().with_second_factor().filter(pk=pk, is_active=True).order_by(), family
    ),
    pk=User._meta.pk,
    family=RefreshToken._meta.get_field("family"),
)


class SessionBackend(ModelBackend):
    """Loads the user of a session. The same query tells whether a role requires a second factor that they lack.

    accounts.second_factors.middleware reads that. This class checks no passwords: accounts.credentials.passwords does.
    """

    def authenticate(self, request, **credentials):
        """Always None. Only accounts.signing_in.sign_in signs users in, because it asks for the second factor."""

    def get_user(self, user_id):
        """The active user with this id, or None."""
        user = OF_SESSION.first(pk=user_id)
        return user if user is not None and self.user_can_authenticate(user) else None


class AccessTokenAuthentication(JWTAuthentication):
    """Accepts an access JWT while its user is active and has not changed the password, and its log-in has not ended."""

    def get_user(self, validated_token):
        """The user of the token. Raises InvalidToken (401), or SecondFactorNeeded (403)."""
        try:
            pk = validated_token[settings.SIMPLE_JWT["USER_ID_CLAIM"]]
            family = tokens.family_of(validated_token)
            user = OF_TOKEN.first(pk=pk) if family is None else OF_TOKEN_OF_FAMILY.first(pk=pk, family=family)
        except (KeyError, ValueError, TypeError, ValidationError):
            raise InvalidToken from None
        if user is None or not tokens.speaks_for(user, validated_token):
            raise InvalidToken
        factors.demand(user)
        return user


class ApiTokenAuthentication(BaseAuthentication):
    """Accepts an API token for the calls that its scopes allow.

    The check is here and not in the views, so that no view can forget it.
    """

    def authenticate(self, request):
        """(user, ApiToken), or None when the request has no API token.

        Raises AuthenticationFailed (401), ScopeMissing or SecondFactorNeeded (403).
        """
        kind, _space, raw = get_authorization_header(request).decode("latin-1").partition(" ")
        raw = raw.strip()
        if kind.lower() != "bearer" or not api_tokens.looks_like_one(raw):
            return None
        token = api_tokens.identify(raw)
        if token is None:
            raise AuthenticationFailed
        factors.demand(token.user)
        scopes.demand(token, view=request.parser_context["view"], method=request.method)
        api_tokens.note_use(token)
        return token.user, token

    def authenticate_header(self, request):
        return "Bearer"


class ApiTokenScheme(OpenApiAuthenticationExtension):
    """Describes API tokens in the OpenAPI schema."""

    target_class = "accounts.signing_in.authentication.ApiTokenAuthentication"
    name = "apiToken"

    def get_security_definition(self, auto_schema):
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "pat_…",
            "description": "A personal API token from /profile/tokens; each call names the scope it takes.",
        }


class AccessTokenScheme(OpenApiAuthenticationExtension):
    """Describes access tokens in the OpenAPI schema."""

    target_class = "accounts.signing_in.authentication.AccessTokenAuthentication"
    name = "accessToken"

    def get_security_definition(self, auto_schema):
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
