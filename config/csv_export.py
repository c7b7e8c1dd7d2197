"""Tables as CSV: streamed, and nothing in them is a formula to a spreadsheet."""

import csv
import unicodedata

from django.http import StreamingHttpResponse

FORMULA_STARTS = ("=", "+", "-", "@")


class _Line:
    """A file to write to that gives back what is written."""

    def write(self, text):
        return text


def csv_answer(*, filename, head, rows):
    """An answer that streams `head` and `rows` (iterables of cells) as an attachment called `filename`.

    UTF-8 with a byte order mark, by which spreadsheets know it.
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
    """The cell as text; with a ' before it where a spreadsheet, which trims and folds, might see a formula."""
    text = str(cell)
    first = unicodedata.normalize("NFKC", text.strip()[:1])
    return f"'{text}" if first in FORMULA_STARTS or text[:1] in ("\t", "\r", "\n") else text
