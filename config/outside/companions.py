"""Services that `make run` starts beside the portal, such as a simulator on a developer's machine."""

from config.contributions.registry import Registry

COMPANIONS = Registry("companion of make run")
"""Functions that start a companion if it is wanted. They return a line to print, or "" if not started."""
