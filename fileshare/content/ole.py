"""OLE files: the format of old Office documents, and of newer ones with a password."""

from .ranged_reader import KIB

MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
ENCRYPTED_NAME = "EncryptedPackage".encode("utf-16-le")


def directory(reader):
    """Return the first sectors of an OLE file's directory (at most 64 KiB); b"" when the header points to none."""
    header = reader.head(512)
    if len(header) < 512:
        return b""
    shift = int.from_bytes(header[30:32], "little")
    offset = (int.from_bytes(header[48:52], "little") + 1) << min(shift, 12)
    return reader.read(offset, min(64 * KIB, reader.size - offset)) if offset < reader.size else b""
