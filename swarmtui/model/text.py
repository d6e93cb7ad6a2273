"""Strings from a cluster are data: made harmless here, once, before anything keeps or shows them.

A node name, a label or an error text may carry terminal control sequences or bidirectional overrides. Raw ones
reach the terminal through every widget (measured: reference/textual-docker-asyncssh.md).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_HOSTILE = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 (but tab and newline) and C1 controls, DEL
    "\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff"  # marks and overrides that reorder or hide text
    "\ud800-\udfff"  # lone surrogates: no terminal can be sent one
)
_HOSTILE_TEXT = re.compile(f"[{_HOSTILE}]")
_LINE_BREAKS = re.compile(r"[\t\n]+")
# The same characters as JSON escapes. An escaped backslash is taken whole, so that what follows it is not misread.
_HOSTILE_ESCAPE = re.compile(
    rb"\\(?:\\|[bfr]|u00(?:[01][0-8b-fB-F]|19|1[aA]|7[fF]|[89][0-9a-fA-F])|u061[cC]|u200[b-fB-F]|u202[89a-eA-E]"
    rb"|u206[0-9]|u[fF][eE][fF][fF]"
    rb"|u[dD][89abAB]..(?:\\u[dD][c-fC-F]..)?|u[dD][c-fC-F]..)"
)
# ... and as UTF-8: DEL, C1 controls, U+061C, U+200B-F, U+2028-E, U+2060-9, U+FEFF.
_HOSTILE_UTF8 = re.compile(
    rb"\x7f|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8b-\x8f\xa8-\xae]|\xe2\x81[\xa0-\xa9]|\xef\xbb\xbf"
)
PAIR = len(rb"\ud83d\ude00")
"""A character beyond U+FFFF is two escapes; half of such a pair is no character."""
REPLACEMENT = "\ufffd"


def harmless(text: str) -> str:
    """Returns text with every control character and bidirectional override replaced; newlines and tabs stay."""
    return _HOSTILE_TEXT.sub(REPLACEMENT, text)


def one_line(text: str) -> str:
    """Returns harmless text on one line, for a cell, a header or a sentence."""
    return _LINE_BREAKS.sub(" ", harmless(text)).strip()


def harmless_json(body: bytes) -> bytes:
    """Returns a JSON body whose strings, once decoded, hold nothing hostile.

    Works on the bytes so that the typed decoder can read straight into the model. Carriage returns go too; newlines
    and tabs stay (labels and configs have them) and are folded where they are shown.
    """
    if b"\\" in body:
        body = _HOSTILE_ESCAPE.sub(_disarm, body)
    if not body.isascii() or b"\x7f" in body:
        body = _HOSTILE_UTF8.sub(b"\xef\xbf\xbd", body)
    return body


def _disarm(escape: re.Match[bytes]) -> bytes:
    if escape[0] == b"\\\\" or len(escape[0]) == PAIR:
        return escape[0]
    # Text written on Windows ends its lines with \r\n: the \r alone goes, everything else leaves a visible trace.
    return b"" if escape[0] == b"\\r" else rb"\ufffd"


def sentence(text: str) -> str:
    """The text with a full stop at its end."""
    return text if text.endswith(".") else f"{text}."


def listed(names: Sequence[str], most: int = 5) -> str:
    """Names in one line: "a, b, c and 4 more"."""
    shown = ", ".join(one_line(name) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def first_few(sentences: Sequence[str], most: int = 5, what: str = "") -> str:
    """Sentences, one after another: "It is down. So is the other. And 4 more hosts."; what: of what there are more."""
    shown = " ".join(sentences[:most])
    return f"{shown} And {len(sentences) - most} {f'more {what}'.strip()}." if len(sentences) > most else shown
