"""The rights of users to their data: a copy, and erasure."""
