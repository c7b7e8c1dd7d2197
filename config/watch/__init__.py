"""Monitoring: health, logs, metrics and error reports."""
