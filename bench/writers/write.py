"""Makes files with the writers of PyPI. Argument: the folder for the files, where each writer gets a folder of its own.

It runs in a virtual environment of the writers, not in the portal's.
"""

import io
import sys
from importlib.metadata import version
from pathlib import Path

import docx
import openpyxl
import pptx
import xlsxwriter
from odf import opendocument, table, text
from openpyxl.chart import BarChart, Reference
from PIL import Image
from pptx.util import Inches

ROWS = [["Month", "Amount"], ["January", 12.5], ["Février", 7]]
PICTURE_KINDS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "gif": "GIF", "bmp": "BMP", "tif": "TIFF", "avif": "AVIF"}


def place(writer, name):
    """The path for a file of this writer."""
    folder = Path(sys.argv[1], f"{writer} {version(writer)}")
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def picture(kind="PNG", mode="RGB"):
    """A small picture as a file."""
    made = io.BytesIO()
    Image.new(mode, (64, 48)).save(made, kind)
    made.seek(0)
    return made


def workbooks():
    """XlsxWriter, in memory and row by row, and openpyxl, both ways too."""
    for name, options in {"book": {}, "streamed": {"constant_memory": True}}.items():
        with xlsxwriter.Workbook(str(place("XlsxWriter", f"{name}.xlsx")), options) as book:
            sheet = book.add_worksheet("Sales")
            for number, row in enumerate(ROWS):
                sheet.write_row(number, 0, row)
            if name == "book":
                sheet.insert_image("D1", "a.png", {"image_data": picture()})
                sheet.write_comment("A1", "a note")
                chart = book.add_chart({"type": "bar"})
                chart.add_series({"values": "=Sales!$B$2:$B$3"})
                sheet.insert_chart("D9", chart)
    for name, write_only in {"book": False, "streamed": True}.items():
        book = openpyxl.Workbook(write_only=write_only)
        sheet = book.create_sheet("Sales")
        for row in ROWS:
            sheet.append(row)
        if not write_only:
            chart = BarChart()
            chart.add_data(Reference(sheet, min_col=2, min_row=1, max_row=3))
            sheet.add_chart(chart, "D1")
        book.save(place("openpyxl", f"{name}.xlsx"))


def documents():
    """python-docx and odfpy."""
    letter = docx.Document()
    letter.add_heading("Figures of the year")
    letter.add_picture(picture())
    letter.save(str(place("python-docx", "letter.docx")))
    words = opendocument.OpenDocumentText()
    words.text.addElement(text.P(text="Figures of the year"))
    words.save(str(place("odfpy", "letter.odt")))
    book = opendocument.OpenDocumentSpreadsheet()
    sheet = table.Table(name="Sales")
    book.spreadsheet.addElement(sheet)
    book.save(str(place("odfpy", "book.ods")))
    opendocument.OpenDocumentPresentation().save(str(place("odfpy", "slides.odp")))


def slides():
    """python-pptx, with a film: it deflates what PowerPoint stores."""
    show = pptx.Presentation()
    slide = show.slides.add_slide(show.slide_layouts[5])
    slide.shapes.title.text = "Plans"
    film = io.BytesIO(b"\0\0\0\x20ftypisom" + bytes(1000))
    sides = [Inches(number) for number in (1, 2, 3, 2)]
    slide.shapes.add_movie(film, *sides, poster_frame_image=picture(), mime_type="video/mp4")
    show.save(str(place("python-pptx", "slides.pptx")))


def pictures():
    """Pillow: each kind of picture under its own ending, under .jpg, and grey of 16 bits."""
    for ending, kind in PICTURE_KINDS.items():
        place("pillow", f"picture.{ending}").write_bytes(picture(kind).read())
        place("pillow", f"{ending}.jpg").write_bytes(picture(kind).read())
    place("pillow", "grey-of-16-bits.png").write_bytes(picture("PNG", "I;16").read())
    place("pillow", "picture.pdf").write_bytes(picture("PDF").read())


workbooks()
documents()
slides()
pictures()
