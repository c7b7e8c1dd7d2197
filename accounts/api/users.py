"""One's own account, and what one may see of others."""

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import MultiPartParser
from rest_framework.response import Response
from rest_framework.views import APIView

from config.access import get_visible
from config.serializers import read
from config.throttling import throttle

from .. import avatars, profiles, scopes, sign_in
from ..models import ApiToken, User
from . import serializers


class Me(APIView):
    @extend_schema(responses=serializers.UserSerializer)
    def get(self, request):
        """The caller's own account."""
        return Response(serializers.UserSerializer(request.user).data)

    @extend_schema(request=serializers.ProfileInput, responses=serializers.UserSerializer)
    def put(self, request):
        """Set name, bio and address. A new address counts once the link mailed to it is opened."""
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
            # Whoever reads the new mailbox could take the account over: that is more than a token may.
            raise scopes.ScopeMissing(scopes.NEVER)
        if facts.get("email", request.user.email).strip().lower() != request.user.email:
            if request.auth is None:
                # By the session of a browser, which may stand open: as on the page.
                sign_in.demand_fresh(request)
            throttle(request, "letters")
        user = profiles.change(user=request.user, **facts)
        return Response(serializers.UserSerializer(user).data)

    def _without_echo(self, request):
        """The body without what a script read and sends back unchanged; a changed one is refused as unknown."""
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
    parser_classes = [MultiPartParser]

    @extend_schema(request={"multipart/form-data": serializers.AvatarInput}, responses=serializers.PersonSerializer)
    def post(self, request):
        """Set the caller's picture: PNG, JPEG or WebP of at most 5 MiB."""
        throttle(request, "avatar")
        image = read(serializers.AvatarInput, request)["avatar"]
        user = avatars.set_avatar(user=request.user, image=image)
        return Response({"avatar_url": serializers.PersonSerializer(user).data["avatar_url"]})

    @extend_schema(responses={204: None})
    def delete(self, request):
        """Remove the caller's picture. Without one: the same answer."""
        avatars.remove_avatar(user=request.user)
        return Response(status=204)


class Person(APIView):
    @extend_schema(responses=serializers.PersonSerializer)
    def get(self, request, user_id):
        """Name, bio and picture of a user."""
        user = get_visible(user_id, User.objects.filter(is_active=True))
        return Response(serializers.PersonSerializer(user).data)
