"""Django's PostgreSQL backend, which also notices a server that takes a query and never answers (`base`)."""
