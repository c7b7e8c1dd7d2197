"""What all apps stand on (settings, errors, paging …), and what ties them together (URL table, Celery, WSGI)."""

from .celery import app as celery_app

__all__ = ["celery_app"]
