"""File names and file types, and the check that a file's bytes fit them."""
