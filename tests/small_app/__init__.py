"""A small app that lends things. It hands in one of everything an app may hand in, for tests/test_contributions.py."""
