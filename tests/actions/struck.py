"""A run on the lab that is struck again and again: killed, cut off, its host rebooted; gone on with until it ends."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from tests.actions.cli import Cli, Process, Result, process
from tests.lab import Host

Strike = Callable[[Process], bool]
"""Does it; returns whether our program is no more."""
SECONDS = 240.0


def kill(running: Process) -> bool:
    """kill -9 of our program."""
    running.kill()
    return True


def cut(host: Host) -> Strike:
    """Every SSH connection to the host dies in mid-air."""

    def strike(running: Process) -> bool:
        host.drop_ssh()
        return False

    return strike


def reboot(host: Host) -> Strike:
    """The host is booted anew, while our program goes on as it can."""

    def strike(running: Process) -> bool:
        host.reboot()
        return False

    return strike


def struck(cli: Cli, line: Sequence[str], strikes: Sequence[tuple[str, Strike]]) -> Result:
    """`swarmtui run …`, struck when its output has these words, each in its turn; resumed whenever it has ended.

    Returns:
        How the last of its processes ended, with what all of them said.
    """
    left, said, words = list(strikes), "", ["run", *line]
    for _ in range(2 * len(strikes) + 2):
        with process(cli, *words, "--yes", "--target", cli.target) as running:
            while left and _reached(running, left[0][0]):
                _, strike = left.pop(0)
                if strike(running):
                    break
            ended = running.end(SECONDS)
        print(running.text, flush=True)
        said += f"{running.text}\n(exit {ended.code}; {len(left)} strikes are left)\n"
        if ended.code == 0:
            assert not left, f"it never came to {left[0][0]!r}:\n{said}"
            return Result(0, said, "")
        words = ["run", "--resume", Result(0, said, "").run_id]
    raise AssertionError(f"it does not come to its end:\n{said}")


def _reached(running: Process, words: str) -> bool:
    """Whether its output comes to have these words, before it ends."""
    with contextlib.suppress(AssertionError):
        running.until(words, SECONDS)
        return True
    return False
