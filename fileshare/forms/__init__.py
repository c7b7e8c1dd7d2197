"""Forms of the pages about files, one module a noun."""
