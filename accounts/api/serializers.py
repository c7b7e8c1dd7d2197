"""The JSON of people and accounts in the API."""

from datetime import timedelta

from django.conf import settings
from django.utils import timezone
from django.utils.functional import lazy
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from accounts.credentials.api_tokens import MAX_DAYS
from accounts.credentials.passwords import MAX_PASSWORD_LENGTH
from accounts.people import roles
from accounts.scopes import SCOPES
from config.api.serializers import InputSerializer, PlainIntegerField

from ..models import ApiToken, Company, Notification, Role, User


def password_field():
    """A password, exactly as the user typed it: not trimmed."""
    return serializers.CharField(max_length=MAX_PASSWORD_LENGTH, trim_whitespace=False)


class CompanySerializer(serializers.ModelSerializer):
    class Meta:
        model = Company
        fields = ["id", "name", "slug"]


class PersonSerializer(serializers.ModelSerializer):
    """What a signed-in user may see of another user."""

    name = serializers.CharField(source="get_full_name", read_only=True)
    avatar_url = serializers.CharField(read_only=True, allow_null=True)

    class Meta:
        model = User
        fields = ["id", "name", "bio", "avatar_url"]


class UserSerializer(PersonSerializer):
    """The caller's own account."""

    name = serializers.CharField()
    company = CompanySerializer(read_only=True, allow_null=True)
    roles = serializers.SerializerMethodField()
    permissions = serializers.SerializerMethodField()

    class Meta:
        model = User
        fields = [
            "id",
            "email",
            "name",
            "bio",
            "avatar_url",
            "company",
            "roles",
            "permissions",
            "created_at",
            "updated_at",
        ]

    def get_roles(self, user) -> list[str]:
        return roles.role_names(user)

    def get_permissions(self, user) -> list[str]:
        return roles.permission_names(user)


class AdminUserSerializer(serializers.ModelSerializer):
    """What a super sees of a user."""

    company = CompanySerializer(read_only=True, allow_null=True)
    roles = serializers.SerializerMethodField()
    is_verified = serializers.BooleanField(read_only=True)

    class Meta:
        model = User
        fields = [
            *("id", "email", "name", "company", "company_id", "roles"),
            *("is_active", "is_verified", "created_at", "last_login"),
        ]

    def get_roles(self, user) -> list[str]:
        return roles.role_names(user)


class RoleSerializer(serializers.ModelSerializer):
    permissions = serializers.SerializerMethodField()

    class Meta:
        model = Role
        fields = ["id", "name", "permissions"]

    def get_permissions(self, role) -> list[str]:
        return sorted(permission.codename for permission in role.permissions.all())


class PermissionSerializer(serializers.Serializer):
    codename = serializers.CharField()
    name = serializers.CharField()


class NotificationSerializer(serializers.ModelSerializer):
    class Meta:
        model = Notification
        fields = ["id", "type", "payload", "is_read", "created_at"]


class ApiTokenSerializer(serializers.ModelSerializer):
    class Meta:
        model = ApiToken
        fields = [
            "id",
            "name",
            "prefix",
            "scopes",
            "expires_at",
            "created_at",
            "last_used_at",
            "last_used_address",
        ]


class NewApiTokenSerializer(ApiTokenSerializer):
    token = serializers.CharField(help_text="Shown now and never again.")

    class Meta(ApiTokenSerializer.Meta):
        fields = [*ApiTokenSerializer.Meta.fields, "token"]


class NotificationKindSerializer(serializers.Serializer):
    kind = serializers.CharField()
    label = serializers.CharField(help_text="In the caller's language.")
    group = serializers.CharField()
    default = serializers.CharField()
    choices = serializers.ListField(child=serializers.CharField())


class PreferencesSerializer(serializers.Serializer):
    mail = serializers.DictField(child=serializers.CharField(), help_text="now, digest or off for every kind.")
    kinds = NotificationKindSerializer(many=True)


# --- What is sent -----------------------------------------------------------------------------------


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "sign-up", value={"email": "amina@example.org", "password": "seven green boats", "name": "Amina"}
        )
    ]
)
class SignupInput(InputSerializer):
    email = serializers.EmailField(max_length=254)
    password = password_field()
    name = serializers.CharField(max_length=150)


class SignupAnswer(serializers.Serializer):
    message = serializers.CharField()
    verification_link = serializers.URLField(required=False, help_text="Only with EXPOSE_VERIFICATION_LINK.")


@extend_schema_serializer(
    examples=[OpenApiExample("log-in", value={"email": "amina@example.org", "password": "seven green boats"})]
)
class LoginInput(InputSerializer):
    # Not an EmailField: a malformed address gets the same answer as an unknown one.
    email = serializers.CharField(max_length=254)
    password = password_field()


class SecondStepInput(InputSerializer):
    mfa_token = serializers.CharField(max_length=2000)
    code = serializers.CharField(max_length=20, required=False)
    recovery_code = serializers.CharField(max_length=60, required=False)

    def validate(self, data):
        if ("code" in data) == ("recovery_code" in data):
            raise serializers.ValidationError(_("Give either code or recovery_code."))
        return data


class SessionSerializer(serializers.Serializer):
    """A browser or a script that is logged in."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(["browser", "script"])
    agent = serializers.CharField(help_text="What it calls itself.")
    address = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField()
    is_current = serializers.BooleanField()


class TokenPair(serializers.Serializer):
    access = serializers.CharField(
        help_text=f"A JWT, good for {int(settings.ACCESS_TOKEN_LIFETIME.total_seconds())} seconds."
    )
    refresh = serializers.CharField(help_text="Good once, for the next pair.")


class LoginAnswer(TokenPair):
    user = UserSerializer()


class RefreshInput(InputSerializer):
    refresh = serializers.CharField(max_length=4000)


class ForgotPasswordInput(InputSerializer):
    email = serializers.EmailField(max_length=254)


class ResetPasswordInput(InputSerializer):
    token = serializers.CharField(max_length=2000)
    new_password = password_field()


class ProfileInput(InputSerializer):
    name = serializers.CharField(max_length=150)
    bio = serializers.CharField(max_length=1000, allow_blank=True, required=False)
    email = serializers.EmailField(max_length=254, required=False)


class AvatarInput(InputSerializer):
    avatar = serializers.FileField(allow_empty_file=True)


class AvatarAnswer(serializers.Serializer):
    avatar_url = serializers.CharField(
        help_text="A path of this portal. It opens with the session or the token of the call that told it."
    )


class MarkReadInput(InputSerializer):
    ids = serializers.ListField(child=serializers.UUIDField(), required=False, max_length=1000)
    all = serializers.BooleanField(required=False)

    def validate(self, data):
        if ("ids" in data) == bool(data.get("all")):
            raise serializers.ValidationError(_("Give either ids, or all as true."))
        return data


# Lazy, because apps may register their scopes after this module is loaded.
_scopes = lazy(lambda: ", ".join(SCOPES), str)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "nightly reports",
            value={"name": "nightly reports", "scopes": ["account:read", "account:write"], "expires_in_days": 90},
        )
    ]
)
class ApiTokenInput(InputSerializer):
    name = serializers.CharField(max_length=100)
    scopes = serializers.ListField(
        child=serializers.CharField(max_length=60), min_length=1, max_length=100, help_text=_scopes()
    )
    password = password_field()
    expires_in_days = PlainIntegerField(min_value=1, max_value=MAX_DAYS, required=False)
    expires_at = serializers.DateTimeField(required=False)

    def validate(self, data):
        days = data.pop("expires_in_days", None)
        if (days is None) == ("expires_at" not in data):
            text = _("Give either expires_in_days, or expires_at.")
            raise serializers.ValidationError({"expires_at": [text]})
        if days is not None:
            data["expires_at"] = timezone.now() + timedelta(days=days)
        return data


class PreferencesInput(InputSerializer):
    mail = serializers.DictField(
        child=serializers.ChoiceField(["now", "digest", "off"]),
        allow_empty=False,
        help_text='{"account_changed": "digest", ...}',
    )

    def validate_mail(self, wishes):
        if len(wishes) > 100:
            raise serializers.ValidationError(_("At most 100 kinds."))
        return wishes


class RoleInput(InputSerializer):
    name = serializers.CharField(max_length=150)
    permissions = serializers.ListField(child=serializers.CharField(max_length=100), required=False, max_length=500)


class UserChangeInput(InputSerializer):
    roles = serializers.ListField(child=serializers.CharField(max_length=150), required=False, max_length=100)
    company_id = serializers.UUIDField(required=False, allow_null=True)
    is_active = serializers.BooleanField(required=False)


class CompanyInput(InputSerializer):
    name = serializers.CharField(max_length=200)
    slug = serializers.SlugField(max_length=100, required=False)
