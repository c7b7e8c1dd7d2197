"""The check of letters by `manage.py check --deploy`."""

from email import message_from_bytes, policy

from django.conf import settings
from django.core import checks
from django.core.mail import get_connection

from .notices.letters import SAMPLES, compose

HINT = "Look at SITE_NAME, SITE_URL and DEFAULT_FROM_EMAIL, and at the templates of the letter."


@checks.register(checks.Tags.security, deploy=True)
def letters_can_be_built(app_configs, **options):
    """E001: a kind of letter cannot be built with the settings as they are. Nothing is sent, no database is asked."""
    reasons = {}
    for letter, sample in SAMPLES.items():
        for language, _name in settings.LANGUAGES:
            try:
                _build(letter, language, sample())
            except Exception as error:  # noqa: BLE001 - name whatever a template or a mail library raises
                reasons.setdefault(f"{type(error).__name__}: {error}", {})[letter] = True
    return [
        checks.Error(f"Letters cannot be built: {', '.join(letters)}. {reason}", hint=HINT, id="accounts.E001")
        for reason, letters in reasons.items()
    ]


def _build(letter, language, context):
    """Build a letter as far as before it is sent. Raises what the backend raises, ValueError for a broken header."""
    to = f"amina@{settings.MAIL_DOMAIN}"
    message = compose(letter, to=to, language=language, context=context, message_id="sample")
    written = message_from_bytes(message.message().as_bytes(), policy=policy.default)
    for name in ("From", "To", "Message-ID"):
        if written[name].defects:
            raise ValueError(f"{name}: {written[name].defects[0]}")
    for name in ("From", "To"):
        if len(written[name].addresses) != 1 or not written[name].addresses[0].domain:
            raise ValueError(f"{name} is not one address: {written[name]}")
    if not written["Subject"]:
        raise ValueError("The subject is empty.")
    # The APIs of mail providers get another form of the message.
    if for_api := getattr(connection := get_connection(), "build_message_payload", None):
        for_api(message, connection.send_defaults)
