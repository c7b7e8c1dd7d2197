"""The audit log: append-only, and independent of all other apps."""
