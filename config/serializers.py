"""Serializers that read what scripts send."""

from django.utils.translation import gettext as _
from rest_framework import serializers


class InputSerializer(serializers.Serializer):
    """A body whose every field is known and of its own JSON type.

    An unknown field (is_superuser, …) is refused, not ignored; so is a number where a text or an id
    belongs, which REST framework would turn into one.
    """

    def to_internal_value(self, data):
        """Raises ValidationError naming each such field (at most ten)."""
        if hasattr(data, "keys"):
            unknown = [str(name)[:60] for name in data if name not in self.fields]
            if unknown:
                raise serializers.ValidationError({name: [_("Unknown field.")] for name in unknown[:10]})
            numbers = [name for name in data if _has_number_for_text(self.fields[name], data[name])]
            if numbers:
                raise serializers.ValidationError({name: [_("Not a text.")] for name in numbers})
        return super().to_internal_value(data)


def _has_number_for_text(field, value):
    if isinstance(field, serializers.ListField) and isinstance(value, list):
        return any(_has_number_for_text(field.child, item) for item in value)
    return isinstance(field, serializers.CharField | serializers.UUIDField) and isinstance(value, int | float)


class MessageSerializer(serializers.Serializer):
    """{"message"}"""

    message = serializers.CharField()
