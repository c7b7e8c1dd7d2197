"""Share links: every person who has the link can open the file, without an account."""
