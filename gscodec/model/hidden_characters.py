"""Characters forbidden in names of a file: control characters and invisible characters."""

import re
import unicodedata
from typing import Final

HIDDEN_RANGES: Final = (
    (0x00, 0x1F),  # control characters: terminal escapes, line feeds
    (0x7F, 0x9F),
    (0xAD, 0xAD),  # soft hyphen
    (0x61C, 0x61C),  # Arabic letter mark
    (0x115F, 0x1160),  # Hangul fillers, here and below
    (0x17B4, 0x17B5),  # Khmer inherent vowels
    (0x180E, 0x180E),  # Mongolian vowel separator
    (0x200B, 0x200F),  # zero width, left-to-right and right-to-left marks
    (0x2028, 0x202E),  # line and paragraph separators, bidirectional embeddings and overrides
    (0x2060, 0x206F),  # word joiner, invisible operators, bidirectional isolates
    (0x3164, 0x3164),
    (0xFEFF, 0xFEFF),  # byte order mark
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFFB),  # interlinear annotation
    (0x1BCA0, 0x1BCA3),  # shorthand format controls
    (0x1D173, 0x1D17A),  # musical format controls
    (0xE0000, 0xE0FFF),  # tags and supplementary variation selectors
)
"""(first, last) code points forbidden in names of a file: control and invisible characters.

The list is fixed, so that readers of different Unicode versions agree. Variation selectors of emoji (U+FE00 to FE0F)
are allowed.
"""

_HIDDEN: Final = re.compile("[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in HIDDEN_RANGES) + "]")


def has_hidden(text: str) -> bool:
    """Whether a text has a code point of HIDDEN_RANGES."""
    return _HIDDEN.search(text) is not None


_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def does_not_show(char: str) -> bool:
    """Whether a character must not reach a terminal or a file system because it is invisible or ambiguous.

    Beside HIDDEN_RANGES these are controls, format characters, surrogates, private and unassigned characters and
    separators of lines, as this Python's Unicode version has them.
    """
    return unicodedata.category(char) in _CATEGORIES or has_hidden(char)


def without_hidden(text: str, mark: str = "_") -> str:
    """The text with `mark` in place of each character that does not show."""
    return _HIDDEN.sub(mark, text)
