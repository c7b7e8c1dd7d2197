"""What happened: an append-only log that knows no other app."""
