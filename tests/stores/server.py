"""A web server with the object store's view only; tests start it as a separate process.

Files stand in for rights: an upload is open unless a file `closed/<file_id>` lies in the data folder, and a reader
may read unless `denied/<file_id>` does. The environment gives DATA_DIR, SECRET_KEY and X_ACCEL_PREFIX.
"""

import importlib
import os
import sys
import types
from pathlib import Path

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application

data_dir = Path(os.environ["DATA_DIR"])
settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    BODY_FILE_DIR=os.environ.get("BODY_FILE_DIR", ""),
    DATA_DIR=data_dir,
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
    LOGGING={
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"stderr": {"class": "logging.StreamHandler"}},
        "root": {"handlers": ["stderr"], "level": "ERROR"},
    },
    MIDDLEWARE=["django.middleware.common.CommonMiddleware", "config.http.refusals.RefusalMiddleware"],
    ROOT_URLCONF=__name__,
    S3_FILESHARE_BUCKET="",
    SECRET_KEY=os.environ["SECRET_KEY"],
    SITE_URL="",
    STORAGE="local",
    STORE_FSYNC=bool(os.environ.get("STORE_FSYNC")),
    TRUSTED_PROXY_COUNT=0,
    USE_TZ=True,
    X_ACCEL_PREFIX=os.environ.get("X_ACCEL_PREFIX", ""),
)
django.setup()

from django.urls import path  # noqa: E402 - settings come first

from config.errors import Refused  # noqa: E402


def assert_open(file_id):
    if (data_dir / "closed" / file_id).exists():
        raise Refused(409, "upload_completed", "This upload was completed.")


def authorize_store_get(claims, request):
    if (data_dir / "denied" / claims["file"]).exists():
        raise Refused(404, "not_found", "There is nothing here.")
    return types.SimpleNamespace(object_key=claims["object_key"]), None


def file_of_grant(grant_id):
    raise Refused(404, "not_found", "Nothing is shared here.")


def stand_in(wing, name, function):
    """Replace the module `wing`.`name` by one with only `function`: the real module needs the portal's tables."""
    module = types.ModuleType(f"{wing}.{name}")
    setattr(module, function.__name__, function)
    sys.modules[module.__name__] = module
    setattr(importlib.import_module(wing), name, module)


stand_in("fileshare.incoming", "uploads", assert_open)
stand_in("fileshare.outgoing", "downloads", authorize_store_get)
stand_in("fileshare.sharing", "redeeming", file_of_grant)

from fileshare.views.store import store_object  # noqa: E402

urlpatterns = [path("store/<str:token>", store_object, name="store-object")]
application = get_wsgi_application()
