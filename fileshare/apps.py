from django.apps import AppConfig


class FileshareConfig(AppConfig):
    """Folders, bytes and links."""

    name = "fileshare"
