"""Signals to the scripts of the simulated hosts."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from swarmtui.demo.hosts.shell import Output

if TYPE_CHECKING:
    from swarmtui.demo.hosts.script import Shell

SIGNALS = {"HUP": 1, "INT": 2, "TERM": 15, "KILL": 9}


@dataclass
class Family:
    """The shells that run inside each other as one process tree; a signal reaches all of them, and what they run.

    Attributes:
        running: the command that is being run now.
        struck: it was ended by a signal.
    """

    shells: list[Shell] = field(default_factory=list)
    running: asyncio.Task[Output] | None = None
    struck: int = 0

    def signal(self, name: str) -> None:
        """TERM, INT or HUP to all of them."""
        if not self.shells or name in self.shells[-1].ignored:
            return
        for shell in self.shells:
            if name not in shell.ignored:
                shell.pending = name
        if self.running is not None:
            self.struck = 128 + SIGNALS[name]
            self.running.cancel()
