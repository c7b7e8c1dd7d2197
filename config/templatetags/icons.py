"""Icons of static/icons.svg. A built-in of all templates (settings.TEMPLATES)."""

import functools

from django import template
from django.core.signals import setting_changed
from django.templatetags.static import static
from django.utils.html import format_html

register = template.Library()


@register.simple_tag
def icon(name):
    """One icon, as decoration only."""
    return _html(name)


# A page has some forty icons, and to look the drawing's address up takes longer than to write it.
@functools.lru_cache(256)
def _html(name):
    return format_html(
        '<svg class="icon" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>',
        static("icons.svg"),
        name,
    )


setting_changed.connect(lambda **_signal: _html.cache_clear(), weak=False)
