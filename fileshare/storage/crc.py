"""Compute the CRC-32 of a file from the CRC-32s of its parts, without reading the bytes again.

A CRC is the remainder of a polynomial over GF(2). Appending n bytes to a text multiplies its
remainder by x^(8n); the CRC of the joined text is that product plus (xor) the CRC of the tail.
Bits are kept reflected, as zlib does: the highest bit is x^0.
"""

import functools

POLYNOMIAL = 0xEDB88320
ONE = 1 << 31  # x^0


def _times(left, right):
    """left · right modulo the CRC polynomial."""
    product = 0
    while left:
        if left & ONE:
            product ^= right
        left = (left << 1) & 0xFFFFFFFF
        right = (right >> 1) ^ POLYNOMIAL if right & 1 else right >> 1
    return product


@functools.lru_cache(maxsize=256)
def _shift(size_bytes):
    """x^(8 · size_bytes). Cached, because all parts of an upload except the last have the same size."""
    result, power, exponent = ONE, ONE >> 1, 8 * size_bytes
    while exponent:
        if exponent & 1:
            result = _times(result, power)
        power = _times(power, power)
        exponent >>= 1
    return result


def combine(head, tail, tail_bytes):
    """The CRC-32 of two joined texts, from the CRC-32 of each and the length of the second."""
    return _times(_shift(tail_bytes), head) ^ tail
