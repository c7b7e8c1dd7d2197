"""Serializers that check request bodies strictly."""

from django.utils.translation import gettext as _
from rest_framework import serializers

from config.errors import Invalid

CSRF_FIELD = "csrfmiddlewaretoken"


class InputSerializer(serializers.Serializer):
    """A body that holds known fields only, each of its JSON type.

    Refuses an unknown field (is_superuser, …) instead of ignoring it. Refuses a number where a text or an id belongs;
    REST framework would convert it. A form may also send its CSRF token.

    With `null_is_left_out`, a null counts as a missing value if the field may be missing. A change (PATCH) keeps the
    null, which could mean "remove the value".
    """

    null_is_left_out = False

    def to_internal_value(self, data):
        """Raises ValidationError that names each such field (at most ten unknown ones)."""
        if hasattr(data, "keys"):
            unknown = [str(name)[:60] for name in data if name not in self.fields and name != CSRF_FIELD]
            if unknown:
                raise serializers.ValidationError({name: [_("Unknown field.")] for name in unknown[:10]})
            numbers = [
                name for name in data if name != CSRF_FIELD and _has_number_for_text(self.fields[name], data[name])
            ]
            if numbers:
                raise serializers.ValidationError({name: [_("Not a text.")] for name in numbers})
        if self.null_is_left_out and not self.partial and isinstance(data, dict) and not hasattr(data, "getlist"):
            data = {name: value for name, value in data.items() if not self._is_left_out(name, value)}
        return super().to_internal_value(data)

    def _is_left_out(self, name, value):
        field = self.fields.get(name)
        return value is None and field is not None and not field.required and not field.allow_null


def _has_number_for_text(field, value):
    if isinstance(field, serializers.ListField) and isinstance(value, list):
        return any(_has_number_for_text(field.child, item) for item in value)
    return isinstance(field, serializers.CharField | serializers.UUIDField) and isinstance(value, int | float)


class PlainIntegerField(serializers.IntegerField):
    """A JSON whole number. Refuses "12", 1.5 and true."""

    def to_internal_value(self, data):
        if type(data) is not int:
            self.fail("invalid")
        return super().to_internal_value(data)


class MessageSerializer(serializers.Serializer):
    """{"message"}"""

    message = serializers.CharField()


def read_flag(params, name):
    """True when the query string sets the flag `name`. Raises Invalid (400) for a word that is not true or false.

    Reading a typing mistake as false would give a caller who wants a one-time link a link that works many times.
    """
    word = params.get(name, "").lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("", "0", "false", "no", "off"):
        return False
    raise Invalid(name, _("true or false."))


def read(serializer_class, request, **kwargs):
    """The validated body of a request; raises ValidationError (400)."""
    serializer = serializer_class(data=request.data, **kwargs)
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data
