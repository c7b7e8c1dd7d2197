from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    """Money for space."""

    name = "payments"
