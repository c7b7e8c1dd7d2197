from django.apps import AppConfig


class AuditConfig(AppConfig):
    """What happened, by whom and when."""

    name = "audit"
