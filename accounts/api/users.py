"""The caller's own account, and what the caller may see of other users."""

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import MultiPartParser
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.people import avatars, profiles
from accounts.scopes import ACCOUNT, Scope
from accounts.signing_in import scopes, sign_in
from config.access import get_visible
from config.api.serializers import read
from config.http.throttling import throttle

from ..models import ApiToken, User
from . import serializers


class Me(APIView):
    token_scopes = ACCOUNT

    @extend_schema(responses=serializers.UserSerializer)
    def get(self, request):
        """The caller's own account."""
        return Response(serializers.UserSerializer(request.user).data)

    @extend_schema(request=serializers.ProfileInput, responses=serializers.UserSerializer)
    def put(self, request):
        """Set name, bio and address. A new address takes effect when its owner opens the link mailed to it."""
        return self._change(request, partial=False)

    @extend_schema(request=serializers.ProfileInput, responses=serializers.UserSerializer)
    def patch(self, request):
        """Set some of name, bio and address."""
        return self._change(request, partial=True)

    def _change(self, request, *, partial):
        serializer = serializers.ProfileInput(data=self._without_echo(request), partial=partial)
        serializer.is_valid(raise_exception=True)
        facts = serializer.validated_data
        if "email" in facts and isinstance(request.auth, ApiToken):
            # Refuse: the reader of the new mailbox could reset the password and take over the account.
            raise scopes.ScopeMissing(scopes.NEVER)
        if facts.get("email", request.user.email).strip().lower() != request.user.email:
            if request.auth is None:
                # A browser's session may be open on an unattended computer. Ask for a recent proof, as the page does.
                sign_in.demand_fresh(request)
            throttle(request, "letters")
        user = profiles.change(user=request.user, **facts)
        return Response(serializers.UserSerializer(user).data)

    def _without_echo(self, request):
        """The body without read-only fields that a script read and sends back unchanged.

        A changed read-only field stays in the body, so the serializer refuses it as unknown.
        """
        if not hasattr(request.data, "items"):
            raise ValidationError(_("Expected an object."))
        present = serializers.UserSerializer(request.user).data
        settable = serializers.ProfileInput().fields
        return {
            name: value
            for name, value in request.data.items()
            if name in settable or name not in present or str(present[name]) != str(value)
        }


class Avatar(APIView):
    token_scopes = ACCOUNT

    parser_classes = [MultiPartParser]

    @extend_schema(request={"multipart/form-data": serializers.AvatarInput}, responses=serializers.AvatarAnswer)
    def post(self, request):
        """Set the caller's picture: PNG, JPEG or WebP of at most 5 MiB."""
        throttle(request, "avatar")
        image = read(serializers.AvatarInput, request)["avatar"]
        user = avatars.set_avatar(user=request.user, image=image)
        return Response({"avatar_url": serializers.PersonSerializer(user).data["avatar_url"]})

    @extend_schema(responses={204: None})
    def delete(self, request):
        """Remove the caller's picture. The answer is the same without one."""
        avatars.remove_avatar(user=request.user)
        return Response(status=204)


class Person(APIView):
    token_scopes = (Scope.ACCOUNT_READ, scopes.NEVER)

    @extend_schema(responses=serializers.PersonSerializer)
    def get(self, request, user_id):
        """Name, bio and picture of a user."""
        user = get_visible(user_id, User.objects.filter(is_active=True))
        return Response(serializers.PersonSerializer(user).data)
