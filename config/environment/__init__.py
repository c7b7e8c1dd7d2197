"""Reads settings from the environment: typed readers, and a check for weak secrets."""
