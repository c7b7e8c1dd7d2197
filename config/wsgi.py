"""The WSGI application. Bytes want WSGI: under ASGI Django would hold a streamed file in memory."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()
