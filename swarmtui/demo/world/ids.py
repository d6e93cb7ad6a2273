"""Identifiers of every kind an engine makes, from one seeded source."""

from __future__ import annotations

import base64
import random
from datetime import UTC, datetime

_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"


class Ids:
    """Makes identifiers; the same seed makes the same ones in the same order."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def _base36(self, length: int) -> str:
        return "".join(self.random.choices(_BASE36, k=length))

    def object(self) -> str:
        """A Swarm object's id: 25 characters in base 36."""
        return self._base36(25)

    def container(self) -> str:
        """A container's, image's or local network's id: 64 hexadecimal digits."""
        return f"{self.random.getrandbits(256):064x}"

    def engine(self) -> str:
        """An engine's id: twelve groups of four letters and digits."""
        return ":".join("".join(self.random.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", k=4)) for _ in range(12))

    def token(self, ca_digest: str) -> str:
        """A join token of the CA with this digest."""
        return f"SWMTKN-1-{ca_digest}-{self._base36(25)}"

    def ca_digest(self) -> str:
        """The middle part of join tokens: 50 characters in base 36."""
        return self._base36(50)

    def unlock_key(self) -> str:
        """An unlock key: `SWMKEY-1-` and 32 bytes in standard base64 without padding."""
        raw = self.random.getrandbits(256).to_bytes(32, "big")
        return "SWMKEY-1-" + base64.b64encode(raw).decode().rstrip("=")


def stamp(seconds: float) -> str:
    """A time as the engine writes it: RFC 3339 in UTC with nanoseconds and no trailing zeros."""
    whole = int(seconds)
    nanos = int((seconds - whole) * 1e6) * 1000
    text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{nanos:09d}".rstrip("0").rstrip(".") + "Z"
