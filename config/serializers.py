"""Serializers that read what scripts send."""

from django.utils.translation import gettext as _
from rest_framework import serializers


class InputSerializer(serializers.Serializer):
    """A body whose every field is known: one that is not (is_superuser, …) is refused, not ignored."""

    def to_internal_value(self, data):
        """Raises ValidationError naming each unknown field (at most ten)."""
        if hasattr(data, "keys"):
            unknown = [str(name)[:60] for name in data if name not in self.fields]
            if unknown:
                raise serializers.ValidationError({name: [_("Unknown field.")] for name in unknown[:10]})
        return super().to_internal_value(data)


class MessageSerializer(serializers.Serializer):
    """{"message"}"""

    message = serializers.CharField()
