from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """People and their messages."""

    name = "accounts"
