"""Questions of a connection, asked on the terminal; without one, everything is refused."""

from __future__ import annotations

import asyncio
import getpass
import os
import select
import sys

from swarmtui.link.hostkeys import HostKeyQuestion
from swarmtui.link.person import Nobody, Person

PIPE_SECONDS = 30.0
"""How long the program at the other end of a pipe may take to hand over a key: it may ask somebody itself."""


def person() -> Person:
    """Whoever can answer: a person if there is a terminal, else nobody but for a key on standard input."""
    return Terminal() if sys.stdin.isatty() and sys.stderr.isatty() else Piped()


class Piped(Nobody):
    """Nobody, but a secret may come on standard input: a line of it for each time one is asked for."""

    async def unlock_key(self, about: str) -> str | None:
        return await asyncio.to_thread(_line) or None

    async def secret(self, what: str) -> str | None:
        return await asyncio.to_thread(_line) or None


class Terminal:
    """Asks on the controlling terminal, one question at a time."""

    def __init__(self) -> None:
        self._one = asyncio.Lock()

    async def trust_host_key(self, q: HostKeyQuestion) -> bool:
        text = (
            f"The host key of {q.host}:{q.port} is not known.\n"
            f"{q.algorithm} {q.sha256}\n"
            f"Trust it, and write it to {q.file}? [yes/NO] "
        )
        async with self._one:
            answer = await asyncio.to_thread(_ask, text)
        return answer.strip().lower() == "yes"

    async def unlock_key(self, about: str) -> str | None:
        async with self._one:
            answer = await asyncio.to_thread(getpass.getpass, f"Unlock key for {about} (not shown; empty: none): ")
        return answer or None

    async def secret(self, what: str) -> str | None:
        async with self._one:
            answer = await asyncio.to_thread(getpass.getpass, f"{what} (not shown; empty: none): ")
        return answer or None

    async def passphrase(self, key_file: str) -> str | None:
        async with self._one:
            answer = await asyncio.to_thread(getpass.getpass, f"Passphrase of {key_file}: ")
        return answer or None

    async def keep(self, what: str, where: str) -> bool:
        async with self._one:
            answer = await asyncio.to_thread(_ask, f"Keep {what} in {where}? [yes/NO] ")
        return answer.strip().lower() == "yes"


def _line() -> str:
    """One line of standard input without its end; "" where none comes within `PIPE_SECONDS`, or it is closed."""
    line = b""
    try:
        descriptor = sys.stdin.fileno()
        # Byte by byte: what follows the line is for whoever asks next.
        while select.select([descriptor], [], [], PIPE_SECONDS)[0] and (byte := os.read(descriptor, 1)) not in (
            b"",
            b"\n",
        ):
            line += byte
    except (OSError, ValueError):  # closed, or no file at all
        return ""
    return line.decode(errors="replace").strip()


def _ask(text: str) -> str:
    print(text, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline()
