"""The receipt of a paid payment: the page and the PDF show the same facts."""

from django.conf import settings
from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from config.drawing import fonts
from config.lazy import LazyModule
from payments.models import money
from payments.mpesa import phone_numbers
from payments.mpesa.daraja import NAIROBI

fpdf = LazyModule("fpdf")

BRAND, INK, FAINT = (13, 102, 91), (23, 32, 31), (84, 96, 93)
LABEL_WIDTH = 40


def number(row):
    """The receipt's number: short, and it never changes."""
    return row.pk.hex[:12].upper()


def facts(row):
    """[(label, text)] of a paid Transaction, in the reader's language; times are Nairobi's."""
    lines = [
        (_("Receipt"), number(row)),
        (_("M-Pesa receipt"), row.receipt_number or _("not told yet")),
        (_("Paid on"), date_format(timezone.localtime(row.paid_at, NAIROBI), "j F Y, H:i")),
        (_("Paid by"), row.user.name if row.user else _("a closed account")),
        *([(_("E-mail address"), row.user.email)] if row.user else []),
        (_("From the number"), phone_numbers.shown(row.phone_number)),
        (_("For"), row.plan_name),
        (_("Space"), filesizeformat(row.extra_bytes).replace("\xa0", " ")),
        (_("Folder"), row.folder_name),
    ]
    if row.grant_id:
        lines.append((_("Until"), date_format(timezone.localtime(row.grant.ends_at, NAIROBI), "j F Y, H:i")))
    return lines


def pdf(row):
    """The receipt as the bytes of a PDF of one page, some kilobytes: it embeds only the letters that it shows."""
    lines = [(str(label), str(text)) for label, text in facts(row)]
    words = [
        settings.SITE_NAME,
        _("Receipt"),
        money(row.amount),
        settings.SITE_URL,
        *(word for line in lines for word in line),
    ]
    _text, others = fonts.fonts_for("".join(words))
    page = fpdf.FPDF(format=(148, 210))
    page.set_title(f"{_('Receipt')} {number(row)}")
    page.set_author(settings.SITE_NAME)
    page.set_margin(15)
    page.add_page()
    for name in (fonts.MAIN, *others):
        page.add_font(name, fname=fonts.path(name))
    page.set_fallback_fonts(others, exact_match=False)
    # Joins Arabic letters, places marks and vowel signs, and writes from right to left where a script does.
    page.set_text_shaping(True)

    def write(text, *, size, height, colour):
        page.set_font(fonts.MAIN, size=size)
        page.set_text_color(*colour)
        page.multi_cell(0, height, fonts.fonts_for(text)[0], align="L", new_x=fpdf.XPos.LMARGIN, new_y=fpdf.YPos.NEXT)

    write(settings.SITE_NAME, size=12, height=8, colour=BRAND)
    write(_("Receipt"), size=20, height=12, colour=INK)
    write(money(row.amount), size=16, height=12, colour=INK)
    page.ln(2)
    for label, text in lines:
        top = page.y
        write(label, size=9, height=7, colour=FAINT)
        page.set_xy(page.l_margin + LABEL_WIDTH, top)
        write(text, size=10, height=7, colour=INK)
    page.ln(4)
    write(settings.SITE_URL, size=8, height=5, colour=FAINT)
    return bytes(page.output())
