"""Virus scanning: the virus gate, which blocks a file until it is scanned, and the client of clamd."""
