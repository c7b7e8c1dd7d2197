"""Files of the programs that people write documents with, sent to a portal: `python -m bench.writers`.

write.mjs    the writers of npm
write.py     those of PyPI
__main__.py  installs the writers, adds LibreOffice and gnumeric where they are, uploads what they make, and writes the
             table in docs/formats.md
"""
