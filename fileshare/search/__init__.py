"""Search by name, type and tag."""
