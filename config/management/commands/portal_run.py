"""`make run`: everything from an empty folder to a portal that answers."""

import os
import socket
import sys

from django.conf import settings
from django.core.management import BaseCommand, CommandError, call_command
from django.db import connections
from gunicorn.app.base import BaseApplication

from config import embedded, gunicorn


class WebServer(BaseApplication):
    """gunicorn by config.gunicorn, in this very process: what is imported already is not imported again."""

    def load_config(self):
        for name in self.cfg.settings:
            if hasattr(gunicorn, name):
                self.cfg.set(name, getattr(gunicorn, name))

    def load(self):
        from config.wsgi import application  # noqa: PLC0415 - in the worker, after the fork

        return application


class Command(BaseCommand):
    """Migrate, seed, say where the portal is, and become its web server."""

    help = "Prepare the database, seed the demo (DEMO=1), and serve on HOST:PORT."

    def handle(self, *args, **options):
        self._assert_free()
        settings.DATA_DIR.mkdir(mode=0o750, parents=True, exist_ok=True)
        call_command("migrate", verbosity=0, interactive=False)
        if settings.DEMO:
            call_command("seed_demo", stdout=self.stdout)
        else:
            self.stdout.write("No demo data. Make the first super with: .venv/bin/python manage.py createsuperuser")
        self.stdout.write(f"\n  The portal:  {settings.SITE_URL}/   (API: /api/docs, administration: /admin/)")
        if settings.EMAIL_BACKEND_KIND == "file":
            self.stdout.write(f"  Its mail:    {settings.EMAIL_FILE_PATH}")
        if not embedded.wanted():
            self.stdout.write("  Its background jobs, beside it:  .venv/bin/celery -A config worker --beat")
        if self._simulate_payments():
            self.stdout.write("  Payments:    simulated; no money moves (docs/payments.md)")
        self.stdout.write("  Stop it with Ctrl-C.\n")
        self.stdout.flush()
        # A forked worker must not share its parent's connections.
        connections.close_all()
        if settings.DEBUG:
            # Reloading on a change needs a master that has imported nothing of the portal.
            arguments = ["-m", "gunicorn", "--config", "python:config.gunicorn", "config.wsgi:application"]
            os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 - fixed words
        WebServer().run()

    def _simulate_payments(self):
        """Start a simulated Daraja beside the portal, where one is wanted and none is named. True when it did."""
        if settings.MPESA_ENV != "simulator" or settings.MPESA_BASE_URL:
            return False
        connections.close_all()
        call_command("daraja_simulator", beside=True)
        return True

    def _assert_free(self):
        """Say so now, in one sentence, when another program has the port."""
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
