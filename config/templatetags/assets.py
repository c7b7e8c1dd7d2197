"""Style sheets and the script of pages. A built-in of all templates (settings.TEMPLATES).

Collected, there is one of each for all pages (config.http.bundles); else each file by itself, as it was written.
"""

from django import template
from django.conf import settings
from django.templatetags.static import static
from django.utils.html import format_html, format_html_join

from config.http import bundles

register = template.Library()
LINK = '<link rel="stylesheet" href="{}">'


@register.simple_tag
def style_sheets():
    """The style sheets of every page."""
    names = [bundles.STYLES] if settings.STATIC_COLLECTED else bundles.EVERY_PAGE
    dark = '<link rel="stylesheet" href="{}" media="(prefers-color-scheme: dark)" id="dark-theme">'
    links = format_html_join("\n", LINK, ((static(name),) for name in names))
    return format_html("{}\n{}", links, format_html(dark, static(bundles.DARK)))


@register.simple_tag
def style_sheet(name):
    """A style sheet of some pages, such as css/upload.css."""
    return "" if settings.STATIC_COLLECTED else format_html(LINK, static(name))


@register.simple_tag
def page_script():
    """The script of every page."""
    name = bundles.SCRIPT if settings.STATIC_COLLECTED else bundles.START
    return format_html('<script type="module" src="{}"></script>', static(name))
