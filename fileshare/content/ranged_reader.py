"""Read pieces of a large or remote file, and fetch each block only once."""

from .refusals import FileTypeRefused

KIB, MIB, GIB = 1024, 1024**2, 1024**3


class Reader:
    """Reads a seekable binary file by offset, in 64 KiB blocks that are fetched once and kept.

    `size` is the file's length, `fetched` the number of bytes fetched from it so far.
    """

    BLOCK = 64 * KIB

    def __init__(self, source):
        self._source = source
        self._blocks = {}
        self.size = source.seek(0, 2)
        self.fetched = 0

    def read(self, offset, length):
        """Return exactly `length` bytes at `offset`. Refuses with `truncated_file` when the file has fewer."""
        if offset < 0 or offset + length > self.size:
            raise FileTypeRefused("truncated_file")
        first, last = offset // self.BLOCK, (offset + length - 1) // self.BLOCK
        data = b"".join(self._block(number) for number in range(first, last + 1))
        start = offset - first * self.BLOCK
        return data[start : start + length]

    def head(self, length):
        """Return the first `length` bytes, or the whole file when it is shorter."""
        return self.read(0, min(length, self.size))

    def tail(self, length):
        """Return the last `length` bytes, or the whole file when it is shorter."""
        length = min(length, self.size)
        return self.read(self.size - length, length)

    def _block(self, number):
        if number not in self._blocks:
            start = number * self.BLOCK
            self._blocks[number] = read_exactly(self._source, start, min(self.BLOCK, self.size - start))
            self.fetched += len(self._blocks[number])
        return self._blocks[number]


class Window(Reader):
    """A Reader for one way through a large file: it keeps only the block it read last, of 256 KiB."""

    BLOCK = 256 * KIB

    def _block(self, number):
        if number not in self._blocks:
            self._blocks.clear()
        return super()._block(number)


def read_exactly(source, offset, length):
    """Return `length` bytes at `offset`, even when one read of the source returns fewer.

    Raises FileTypeRefused `truncated_file` when the source ends before that.
    """
    source.seek(offset)
    pieces = []
    while length > 0:
        piece = source.read(length)
        if not piece:
            raise FileTypeRefused("truncated_file")
        pieces.append(piece)
        length -= len(piece)
    return b"".join(pieces)
