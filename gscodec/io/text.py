"""Escaping of untrusted text for terminals, logs, JSON, spreadsheets and HTML.

Names, metadata, exceptions of libraries and URLs may contain terminal escapes, line feeds that forge log lines, and
characters that reverse the text direction or are invisible. All text that is displayed or reported passes through here.
"""

import re
from typing import Any, Final

from gscodec.model.hidden_characters import does_not_show, has_hidden

_NOT_PLAIN: Final = re.compile("[^\n -~]")
_FORMULA: Final = re.compile("'*[=+\\-@\t\r\n\uff0b\uff0d\uff1d\uff20]")
_INNER: Final = re.compile("(?<=[;\t])(?=['\" ]*[=+\\-@\uff0b\uff0d\uff1d\uff20])")
_INNER_MARK: Final = re.compile("(?<=[;\t])'(?=['\" ]*[=+\\-@\uff0b\uff0d\uff1d\uff20])")
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)", re.ASCII)


def shown(text: str) -> str:
    r"""The text on one line, with every character visible.

    Controls, line feeds among them, direction marks, invisible, private and unassigned characters become escapes as in
    Python (`\x1b`, `\u202e`); bytes of a file name that are not UTF-8 become `\xff`.
    """
    if text.isprintable() and not has_hidden(text):
        return text
    return "".join(_escape(char) if does_not_show(char) else char for char in text)


def _escape(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a surrogate escape of os.fsdecode
        code -= 0xDC00
    named = {9: r"\t", 10: r"\n", 13: r"\r"}.get(code)
    return named or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")


def json_text(value: Any, *, indent: int | None = None, encoding: str = "utf-8") -> str:
    r"""JSON text in which invisible characters, and those missing in an encoding, are escaped as `\u202e`.

    Raises:
        ValueError: NaN or infinity.
    """
    import json  # imported here: loading it takes longer than most commands

    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    # Outside strings JSON is plain ASCII, so all replacements are inside strings.
    return _NOT_PLAIN.sub(lambda match: _json_char(match[0], encoding), text)


def _json_char(char: str, encoding: str) -> str:
    return _json_escape(char) if does_not_show(char) or not _encodes(char, encoding) else char


def _encodes(char: str, encoding: str) -> bool:
    try:
        char.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return char.isascii()
    return True


def _json_escape(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def csv_cell(value: Any) -> Any:
    """A CSV cell that no spreadsheet reads as a formula: text that begins like one gets `'` in front.

    So does text after a semicolon or tab, where spreadsheets of many locales begin another cell, quoted or not.
    Numbers, as numbers or as text, are unchanged. `csv_text` is the inverse.
    """
    if not isinstance(value, str) or _NUMBER.fullmatch(value):
        return value
    safe = _INNER.sub("'", value)
    return f"'{safe}" if _FORMULA.match(value) else safe


def csv_text(cell: str) -> str:
    """The text that `csv_cell` was called with."""
    return _INNER_MARK.sub("", cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell)


def html_text(text: str) -> str:
    """`shown`, escaped for HTML content and attributes."""
    import html

    return html.escape(shown(text))
