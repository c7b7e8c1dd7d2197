"""Who is asking: an access JWT in the Authorization header, or the session cookie."""

from django.conf import settings
from django.core.exceptions import ValidationError
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken

from . import tokens
from .models import User


class AccessTokenAuthentication(JWTAuthentication):
    """A bearer token counts while its user is active and has the password it was made under."""

    def get_user(self, validated_token):
        """Raises InvalidToken (401)."""
        try:
            user_id = validated_token[settings.SIMPLE_JWT["USER_ID_CLAIM"]]
            user = User.objects.with_company().get(pk=user_id, is_active=True)
        except (User.DoesNotExist, KeyError, ValueError, TypeError, ValidationError):
            raise InvalidToken from None
        if not tokens.speaks_for(user, validated_token):
            raise InvalidToken
        return user


class AccessTokenScheme(OpenApiAuthenticationExtension):
    """Tells the schema of the bearer token."""

    target_class = "accounts.authentication.AccessTokenAuthentication"
    name = "accessToken"

    def get_security_definition(self, auto_schema):
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
