"""Fonts for what the server draws: of packages, under the SIL Open Font License.

No single font has all scripts. The first one has Latin, Greek, Cyrillic and Devanagari; the others stand in for it.
"""

import unicodedata
from functools import cache

import fontpkg
import noto_cjk_sans_jp_regular
from fontTools.ttLib import TTFont

MAIN = "Noto Sans"
# In this order. The last one, of 16 MB, has Chinese, Japanese and Korean, and is opened only for a text that needs it.
OTHERS = ("Noto Sans Arabic", "Arimo", "Noto Sans Thai", "Noto Sans Tamil", "Noto Sans CJK")
MISSING = "□"
"""Stands for a letter that none of the fonts has."""


@cache
def path(name):
    """The file of a font."""
    return str(noto_cjk_sans_jp_regular.FONT_PATH if name == OTHERS[-1] else fontpkg.path(name))


def fonts_for(text):
    """(the text with MISSING for each letter that no font has, the names of the fonts that it needs beside MAIN)."""
    left, needed = {letter for letter in text if not _is_invisible(letter)} - _letters(MAIN), []
    for name in OTHERS:
        if not left:
            break
        if found := left & _letters(name):
            needed.append(name)
            left -= found
    if left and OTHERS[-1] not in needed:
        needed.append(OTHERS[-1])  # it has MISSING
    return "".join(MISSING if letter in left else letter for letter in text), needed


@cache
def _letters(name):
    with TTFont(path(name), lazy=True) as font:
        return frozenset(map(chr, font.getBestCmap()))


def _is_invisible(letter):
    return letter.isspace() or unicodedata.category(letter) == "Cf" or "\ufe00" <= letter <= "\ufe0f"
