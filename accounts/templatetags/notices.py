"""Notices in letters, where no view prepares them."""

from django import template

from .. import notices

register = template.Library()


@register.simple_tag
def notice_sentence(kind, payload):
    """What a notice of this kind says."""
    return notices.sentence(kind, payload)
