"""`make run`: prepares everything, even in an empty folder, and serves the portal."""

import os
import socket
import sys

from django.conf import settings
from django.core import checks
from django.core.management import BaseCommand, CommandError, call_command
from django.db import connections
from gunicorn.app.base import BaseApplication

from config import embedded, gunicorn
from config.checks import who_may_join
from config.environment import collected
from config.outside.companions import COMPANIONS


class WebServer(BaseApplication):
    """gunicorn with the settings of config.gunicorn, in this process, which keeps the modules already imported."""

    def load_config(self):
        for name in self.cfg.settings:
            if hasattr(gunicorn, name):
                self.cfg.set(name, getattr(gunicorn, name))

    def load(self):
        from config.wsgi import application  # noqa: PLC0415 - import in the worker, after the fork

        return application


class Command(BaseCommand):
    """Migrate, seed, print the portal's address, and become its web server."""

    help = "Prepare the database, seed the demo (DEMO=1), and serve on HOST:PORT."

    def handle(self, *args, **options):
        self._assert_free()
        settings.DATA_DIR.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._collect_static()
        # Commands that are called skip their checks.
        self.check(tags=[checks.Tags.database], databases=["default"])
        call_command("migrate", verbosity=0, interactive=False)
        if settings.DEMO:
            call_command("seed_demo", stdout=self.stdout)
        else:
            self.stdout.write("No demo data. Make the first super with: .venv/bin/python manage.py createsuperuser")
        self.stdout.write(f"\n  The portal:  {settings.SITE_URL}/   (API: /api/docs, administration: /admin/)")
        self.stdout.write(f"  New accounts: {who_may_join()}")
        if settings.EMAIL_BACKEND_KIND == "file":
            self.stdout.write(f"  Its mail:    {settings.EMAIL_FILE_PATH}")
        if not embedded.wanted():
            self.stdout.write("  Its background jobs, beside it:  .venv/bin/celery -A config worker --beat")
        # Close connections before forking: companions and workers must not share those of this process.
        connections.close_all()
        for start in COMPANIONS.values():
            if line := start():
                self.stdout.write(f"  {line}")
        self.stdout.write("  Stop it with Ctrl-C.\n")
        self.stdout.flush()
        if settings.DEBUG:
            # To reload changed code, gunicorn's master must not have imported the portal.
            arguments = ["-m", "gunicorn", "--config", "python:config.gunicorn", "config.wsgi:application"]
            os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 - fixed words
        WebServer().run()

    def _collect_static(self):
        """Collect the static files into the data folder, if those there are not of this checkout.

        The settings decide at the start which files are served, so a process that serves the sources begins anew. If
        the files cannot be collected, the sources are served.
        """
        folder = settings.DATA_DIR / "static"
        if settings.COLLECTS_STATIC and not settings.STATIC_COLLECTED:
            self._begin_anew(STATIC_COLLECTED="1", STATIC_ROOT=str(folder))
        made_of = collected.digest(settings.BASE_DIR)
        if str(folder) != settings.STATIC_ROOT or collected.is_fresh(folder, settings.BASE_DIR):
            return
        try:
            # Nobody reads the other page of the API that a package brings, and it is large.
            call_command("collectstatic", interactive=False, verbosity=0, ignore_patterns=["redoc"])
            collected.note(folder, made_of)
        except (OSError, ValueError) as error:
            self.stderr.write(f"Pages load slowly, for their files could not be collected: {error}")
            self._begin_anew(STATIC_COLLECTED="0")

    def _begin_anew(self, **environment):
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | environment)  # noqa: S606 - our own words

    def _assert_free(self):
        """Raises CommandError when another program uses the port. gunicorn would report it less clearly, and later."""
        family = socket.AF_INET6 if ":" in settings.HOST else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings.HOST.strip("[]"), settings.PORT))
            except OSError as error:
                raise CommandError(
                    f"{settings.HOST}:{settings.PORT} is not to be had ({error.strerror}). "
                    "Choose another port: make run PORT=9000"
                ) from None
