"""The rate limits of this app, for each user or address (config.http.throttling)."""

RATES = {
    "stkpush": "5/m",
    # A PDF takes a second or so of a processor, and may open large fonts.
    "receipt_pdf": "20/m",
}
