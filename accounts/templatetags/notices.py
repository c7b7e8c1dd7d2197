"""A template tag for notices in e-mails: no view prepares their sentences."""

from django import template

from accounts.notices import kinds

register = template.Library()


@register.simple_tag
def notice_sentence(kind, payload):
    """The sentence of a notice of this kind."""
    return kinds.sentence(kind, payload)
