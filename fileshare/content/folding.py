"""The folded form of a name, which search compares: letters that people take for the same one are the same.

Databases and Python disagree about the case of letters outside ASCII, so only `fold` folds them. The databases compare
folded text character by character.
"""

import unicodedata
from functools import lru_cache
from itertools import pairwise

# Every character that is typed as an apostrophe. They are mapped before NFKD, which turns some of them into a space and
# an accent, and after it, which makes some of other characters.
_APOSTROPHES = dict.fromkeys(map(ord, "`´ʹʻʼʽʾʿˈˊˋ‘’‛′՚Ꞌꞌ＇"), "'")
# Letters with a stroke or a lost dot, and joined letters, which Unicode does not decompose.
_LETTERS = str.maketrans({"ı": "i", "ł": "l", "ø": "o", "đ": "d", "ħ": "h", "ŧ": "t", "æ": "ae", "œ": "oe"})
_LETTERS |= _APOSTROPHES
# The classes of Unicode's combining marks that are accents: Hebrew points, Arabic and Syriac vowel signs, overlays, and
# marks above, below or beside a letter. Not vowel signs and tones of the scripts of India and South-East Asia, nor the
# voicing marks of kana: without them a word is another word.
_ACCENT_CLASSES = frozenset({1, *range(10, 37), *range(200, 241)})


def fold(text):
    """`text` in NFKC, case-folded, without accents and invisible characters, with one form of apostrophe.

    `fold(fold(x)) == fold(x)`.
    """
    if text.isascii():
        return text.lower().replace("`", "'")
    text = unicodedata.normalize("NFKD", text.translate(_APOSTROPHES)).casefold()
    text = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not _is_left_out(letter))
    return unicodedata.normalize("NFKC", text.translate(_LETTERS))


def find_all(text, words):
    """[(start, end)] of the parts of `text` whose folded form is one of the folded `words`; sorted, apart, longest."""
    pieces = _pieces(text)
    folded = "".join(form for _start, form in pieces)
    at = [start for start, form in pieces for _letter in form] + [len(text)]
    ends = [next_at for (_start, form), (next_at, _next) in pairwise([*pieces, (len(text), "")]) for _letter in form]
    found, position = [], 0
    longest_first = sorted(filter(None, words), key=len, reverse=True)
    while position < len(folded):
        word = next((word for word in longest_first if folded.startswith(word, position)), "")
        if word:
            found.append((at[position], ends[position + len(word) - 1]))
        position += max(len(word), 1)
    return found


@lru_cache(maxsize=4096)
def _is_left_out(letter):
    kind = unicodedata.category(letter)
    if kind == "Mn":
        return unicodedata.combining(letter) in _ACCENT_CLASSES or "\ufe00" <= letter <= "\ufe0f"
    return kind == "Cf"


def _pieces(text):
    """[(position, folded form)] of each letter of `text` together with the marks behind it."""
    starts = [
        number
        for number, letter in enumerate(text)
        if number == 0 or not (unicodedata.combining(letter) or unicodedata.category(letter) in ("Mn", "Cf"))
    ]
    return [(start, fold(text[start:end])) for start, end in pairwise([*starts, len(text)])]
