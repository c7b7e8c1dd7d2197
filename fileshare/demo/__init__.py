"""The demo: real documents for trying out the portal."""
