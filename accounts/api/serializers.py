"""The shapes of people in the API."""

from django.conf import settings
from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from config.serializers import InputSerializer

from .. import roles
from ..models import Company, Notification, Role, User
from ..passwords import MAX_PASSWORD_LENGTH


def password_field():
    """A password as it was typed: nothing trimmed."""
    return serializers.CharField(max_length=MAX_PASSWORD_LENGTH, trim_whitespace=False)


class CompanySerializer(serializers.ModelSerializer):
    class Meta:
        model = Company
        fields = ["id", "name", "slug"]


class PersonSerializer(serializers.ModelSerializer):
    """What one signed-in user may see of another."""

    name = serializers.CharField(source="get_full_name", read_only=True)
    avatar_url = serializers.SerializerMethodField()

    class Meta:
        model = User
        fields = ["id", "name", "bio", "avatar_url"]

    @extend_schema_field({"type": "string", "nullable": True})
    def get_avatar_url(self, user):
        """A path on this portal that changes with the picture, or None."""
        return f"{reverse('avatar', args=[user.pk])}?v={user.avatar.name[-12:-4]}" if user.avatar else None


class UserSerializer(PersonSerializer):
    """One's own account."""

    name = serializers.CharField()
    company = CompanySerializer(read_only=True)
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
    """A user as a super sees them."""

    company = CompanySerializer(read_only=True)
    roles = serializers.SerializerMethodField()
    is_verified = serializers.BooleanField(read_only=True)

    class Meta:
        model = User
        fields = ["id", "email", "name", "company", "roles", "is_active", "is_verified", "created_at", "last_login"]

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
    # No e-mail check here: a malformed address is simply unknown.
    email = serializers.CharField(max_length=254)
    password = password_field()


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


class MarkReadInput(InputSerializer):
    ids = serializers.ListField(child=serializers.UUIDField(), required=False, max_length=1000)
    all = serializers.BooleanField(required=False)

    def validate(self, data):
        if ("ids" in data) == bool(data.get("all")):
            raise serializers.ValidationError("Give either ids, or all as true.")
        return data


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
