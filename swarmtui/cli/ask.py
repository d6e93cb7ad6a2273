"""Questions of a connection, asked on the terminal; without one, everything is refused."""

from __future__ import annotations

import asyncio
import getpass
import sys

from swarmtui.link.hostkeys import HostKeyQuestion
from swarmtui.link.person import Nobody, Person


def person() -> Person:
    """Whoever can answer: a person if there is a terminal, else nobody."""
    return Terminal() if sys.stdin.isatty() and sys.stderr.isatty() else Nobody()


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

    async def passphrase(self, key_file: str) -> str | None:
        async with self._one:
            answer = await asyncio.to_thread(getpass.getpass, f"Passphrase of {key_file}: ")
        return answer or None


def _ask(text: str) -> str:
    print(text, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline()
