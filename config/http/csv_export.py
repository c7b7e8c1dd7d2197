"""Tables as streamed CSV, without cells that a spreadsheet would run as a formula."""

import csv
import unicodedata

from django.http import StreamingHttpResponse

FORMULA_STARTS = ("=", "+", "-", "@")


class _Line:
    """A file-like object for csv.writer; its `write` returns the text."""

    def write(self, text):
        return text


def csv_answer(*, filename, head, rows):
    """An answer that streams `head` and `rows` (iterables of cells) as an attachment called `filename`.

    Encoded as UTF-8 with a byte order mark, so that spreadsheets detect the encoding.
    """
    writer = csv.writer(_Line())

    def lines():
        yield "\ufeff"
        yield writer.writerow(head)
        for row in rows:
            yield writer.writerow([harmless(cell) for cell in row])

    return StreamingHttpResponse(
        lines(),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{filename}"'},
    )


def harmless(cell):
    """The cell as text; with a ' before it where a spreadsheet could see a formula.

    Spreadsheets trim spaces and fold full-width characters before they look for a formula.
    """
    text = str(cell)
    first = unicodedata.normalize("NFKC", text.strip()[:1])
    return f"'{text}" if first in FORMULA_STARTS or text[:1] in ("\t", "\r", "\n") else text
