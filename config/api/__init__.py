"""Shared by all calls of the API: paging, serializers, permissions, the schema and its page."""
