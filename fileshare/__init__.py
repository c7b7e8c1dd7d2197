"""Folders, files and their bytes, and the links that people use to reach them."""
