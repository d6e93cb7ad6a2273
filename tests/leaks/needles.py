"""In which forms a secret can turn up, and where it does in some bytes."""

from __future__ import annotations

import base64
import functools
import html
import json
import os
import re
import shlex
import subprocess
import tempfile
import urllib.parse
from dataclasses import dataclass

WINDOW = 12
"""Characters of a piece that counts as a find: chance does not make them."""
STEP = 4
LARGE = 1 << 20
"""Bytes beyond which grep looks first: an archive of 128 MB takes it a second, and Python minutes."""
_ESCAPES = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_].*?(?:\x1b\\|\x07)|\x1b.|[\x00-\x20\x7f]|\xe2[\x94\x95\x96][\x80-\xbf]",
    re.DOTALL,
)
"""What stands between the pieces of a word that a terminal has wrapped or framed: sequences, blanks, box drawing."""
_PREFIX = re.compile(r"^(?:SWMKEY-1-|SWMTKN-1-[0-9a-z]{50}-)")
"""What every unlock key or token of a Swarm begins with; the digest in a token is of the public root certificate."""


@dataclass(frozen=True)
class Secret:
    """Something that must be found nowhere. `text` is not in its repr: a failing test is a log too."""

    name: str
    text: str

    def __repr__(self) -> str:
        return f"Secret({self.name})"

    @property
    def essence(self) -> str:
        """The part that nobody may know."""
        return _PREFIX.sub("", self.text)


def pieces(essence: str) -> list[str]:
    """Pieces of which each run of `WINDOW + STEP - 1` characters has at least one; all of it where it is short."""
    if len(essence) <= WINDOW:
        return [essence]
    ends = range(0, len(essence) - WINDOW + 1, STEP)
    return sorted({essence[at : at + WINDOW] for at in (*ends, len(essence) - WINDOW)})


def _base64(raw: bytes) -> set[bytes]:
    """What of it stands in any base64 text that has it in it, wherever it begins: the middles of three alignments."""
    found = set()
    for shift in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(b"\0" * shift + raw).rstrip(b"=")
            # The first characters hold bits of what is before it, the last ones bits of what comes after.
            found.add(text[(shift * 8 + 5) // 6 : len(raw + b"\0" * shift) * 8 // 6])
    return found


@functools.cache
def forms(secret: Secret) -> dict[str, set[bytes]]:
    """Encoding → the byte strings to look for."""
    essence = secret.essence
    raw = essence.encode()
    inner = json.dumps(essence)[1:-1]
    return {
        "raw": {piece.encode() for piece in pieces(essence)},
        "base64": {piece.encode() for text in _base64(raw) for piece in pieces(text.decode())},
        "hex": {raw.hex().encode(), raw.hex().upper().encode(), raw.hex(" ").encode(), raw.hex(":").encode()},
        "url": {
            urllib.parse.quote(essence, safe="").encode(),
            urllib.parse.quote_plus(essence).encode(),
            "".join(f"%{byte:02X}" for byte in raw).encode(),
            "".join(f"%{byte:02x}" for byte in raw).encode(),
        },
        "JSON": {
            inner.encode(),
            json.dumps(inner)[1:-1].encode(),
            "".join(f"\\u{ord(c):04x}" for c in essence).encode(),
            inner.replace("/", "\\/").encode(),
        },
        "HTML": {html.escape(essence).encode(), html.escape(essence).replace(" ", "&#160;").encode()},
        "sh": {shlex.quote(essence)[1:-1].encode() or raw, repr(essence)[1:-1].encode()},
        "UTF-16": {essence.encode("utf-16-le"), essence.encode("utf-16-be")},
        "reversed": {raw[::-1]},
    }


def found_in(data: bytes, secrets: list[Secret], *, wrapped: bool = True) -> list[tuple[str, str]]:
    """(secret's name, encoding) for every form in which one is in these bytes.

    Args:
        wrapped: they are of a screen or a terminal, where a word may be in pieces with sequences between them.
    """
    hits: list[tuple[str, str]] = []
    if len(data) > LARGE and not wrapped and not _any_in(data, secrets):
        return hits
    lower = data.lower()
    squeezed = _ESCAPES.sub(b"", data) if wrapped else b""
    for secret in secrets:
        before = len(hits)
        for encoding, needles in forms(secret).items():
            if any(needle in data for needle in needles) or (
                encoding == "hex" and secret.essence.encode().hex().encode() in lower
            ):
                hits.append((secret.name, encoding))
        if len(hits) == before and any(needle in squeezed for needle in _squeezed(secret)):
            hits.append((secret.name, "wrapped"))
    return hits


def _any_in(data: bytes, secrets: list[Secret]) -> bool:
    """Whether any form may be in these bytes, in whatever case: grep looks for all of them at once.

    The forms go through a private file, never through its arguments.
    """
    needles = {needle for secret in secrets for found in forms(secret).values() for needle in found}
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"\n".join(line for needle in needles for line in needle.split(b"\n") if line))
        file.flush()
        found = subprocess.run(
            ["grep", "-a", "-q", "-i", "-F", "-f", file.name], input=data, env={**os.environ, "LC_ALL": "C"}
        )
    assert found.returncode in (0, 1), found
    return found.returncode == 0


@functools.cache
def _squeezed(secret: Secret) -> set[bytes]:
    needles = {_ESCAPES.sub(b"", needle) for name in ("raw", "base64") for needle in forms(secret)[name]}
    return {needle for needle in needles if len(needle) >= WINDOW}
