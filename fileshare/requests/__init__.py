"""File requests: people without an account send files to a user's folder."""
