"""Ground floor of the portal (settings, errors, paging …) and its roof (URL table, Celery, WSGI)."""

from .celery import app as celery_app

__all__ = ["celery_app"]
