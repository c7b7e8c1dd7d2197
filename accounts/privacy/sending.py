"""The HTTP answer with the copy of a person's data."""

from django.http import StreamingHttpResponse
from django.utils import timezone


def as_download(blocks):
    """An answer that downloads `blocks` of bytes, the copy of a person's data, as a JSON file."""
    response = StreamingHttpResponse(blocks, content_type="application/json")
    response["Content-Disposition"] = f'attachment; filename="portal-data-{timezone.now():%Y-%m-%d}.json"'
    response["X-Content-Type-Options"] = "nosniff"
    # Otherwise nginx would write the copy into a file while a slow client reads it.
    response["X-Accel-Buffering"] = "no"
    return response
