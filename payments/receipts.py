"""A paid payment as a receipt: the same facts for the page and for the PDF."""

from django.conf import settings
from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from fpdf import FPDF
from fpdf.enums import XPos, YPos

from . import phone_numbers
from .daraja import NAIROBI
from .models import money


def number(row):
    """The receipt's own number: short, and the same for ever."""
    return row.pk.hex[:12].upper()


def facts(row):
    """[(label, text)] of a paid Transaction, in the reader's language; times are Nairobi's."""
    lines = [
        (_("Receipt"), number(row)),
        (_("M-Pesa receipt"), row.receipt_number or _("not told yet")),
        (_("Paid on"), date_format(timezone.localtime(row.paid_at, NAIROBI), "j F Y, H:i")),
        (_("Paid by"), f"{row.user.name} <{row.user.email}>" if row.user else _("a closed account")),
        (_("From the number"), phone_numbers.shown(row.phone_number)),
        (_("For"), row.plan_name),
        (_("Space"), filesizeformat(row.extra_bytes).replace("\xa0", " ")),
        (_("Folder"), row.folder_name),
    ]
    if row.grant_id:
        lines.append((_("Until"), date_format(timezone.localtime(row.grant.ends_at, NAIROBI), "j F Y, H:i")))
    return lines


def pdf(row):
    """The receipt as the bytes of a PDF of one page, some kilobytes."""
    page = FPDF(format=(148, 210))
    page.set_title(f"{_('Receipt')} {number(row)}")
    page.set_author(_plain(settings.SITE_NAME))
    page.set_margin(15)
    page.add_page()
    below = {"new_x": XPos.LMARGIN, "new_y": YPos.NEXT}
    page.set_font("Helvetica", "B", 12)
    page.set_text_color(13, 102, 91)
    page.cell(0, 8, _plain(settings.SITE_NAME), **below)
    page.set_text_color(23, 32, 31)
    page.set_font("Helvetica", "B", 20)
    page.cell(0, 12, _plain(_("Receipt")), **below)
    page.set_font("Helvetica", "B", 16)
    page.cell(0, 12, _plain(money(row.amount)), **below)
    page.ln(2)
    for label, text in facts(row):
        page.set_font("Helvetica", "", 9)
        page.set_text_color(84, 96, 93)
        page.cell(40, 7, _plain(label))
        page.set_font("Helvetica", "", 10)
        page.set_text_color(23, 32, 31)
        page.multi_cell(0, 7, _plain(text), **below)
    page.ln(4)
    page.set_font("Helvetica", "", 8)
    page.set_text_color(84, 96, 93)
    page.multi_cell(0, 5, _plain(settings.SITE_URL), **below)
    return bytes(page.output())


def _plain(text):
    """In the letters a PDF's own fonts have; others become question marks."""
    return str(text).encode("latin-1", "replace").decode("latin-1")
