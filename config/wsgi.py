"""The WSGI application. Not ASGI: there Django would hold a streamed file in memory."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from .http.site_path import under

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = under(settings.SITE_PATH, get_wsgi_application())
