"""`make run`: everything from an empty folder to a portal that answers."""

import os
import socket
import sys

from django.conf import settings
from django.core.management import BaseCommand, CommandError, call_command

from config import embedded


class Command(BaseCommand):
    """Migrate, seed, say where the portal is, and become its web server."""

    help = "Prepare the database, seed the demo (DEMO=1), and serve on HOST:PORT."

    def handle(self, *args, **options):
        self._assert_free()
        settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
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
        self.stdout.write("  Stop it with Ctrl-C.\n")
        self.stdout.flush()
        program = [sys.executable, "-m", "gunicorn", "--config", "python:config.gunicorn", "config.wsgi:application"]
        os.execv(sys.executable, program)  # noqa: S606 - fixed words

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
