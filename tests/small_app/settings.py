"""The portal's settings with one more app."""

from config.settings import *  # noqa: F403 - all of them
from config.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.small_app"]
ROOT_URLCONF = "tests.small_app.urls"
LENDING_SECRET = "a-word-of-the-lending-library"
