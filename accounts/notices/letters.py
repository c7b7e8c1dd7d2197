"""Builds a letter, an e-mail, from its templates and a context. `SAMPLES` has a context of each kind, for the checks.

The templates are templates/mail/<letter>.subject.txt, .txt and .html.
"""

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils import translation

from config.contributions.registry import Registry
from config.http.site_path import absolute

SAMPLES = Registry("sample of a letter")
"""Functions without arguments that return a context with which the letter can be built without the database."""


def compose(letter, *, to, language, context, message_id):
    """The message of a letter in `language`. `message_id` is unique: a second try to send the same letter has the same.

    Other mail systems do not answer an Auto-Submitted message (RFC 3834), such as by a note of absence. With an
    `unsubscribe_link` in the context mail programs show a button for it (RFC 8058).
    """
    # `site_origin` is for paths that {% url %} and reverse make; they contain the path of SITE_URL already.
    site = {"site_name": settings.SITE_NAME, "site_url": settings.SITE_URL, "site_origin": absolute("")}
    context = {**context, **site}
    with translation.override(language):
        subject, text, html = (
            render_to_string(f"mail/{letter}{ending}", context) for ending in (".subject.txt", ".txt", ".html")
        )
    headers = {"Auto-Submitted": "auto-generated", "Message-ID": f"<{message_id}@{settings.MAIL_DOMAIN}>"}
    if link := context.get("unsubscribe_link"):
        headers |= {"List-Unsubscribe": f"<{link}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    message = EmailMultiAlternatives(" ".join(subject.split()), text, to=[to], headers=headers)
    message.attach_alternative(html, "text/html")
    return message
