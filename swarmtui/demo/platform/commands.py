"""What the commands of UCP and DTR share: their options, and their log on standard error."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from swarmtui.demo.hosts.shell import Output
from swarmtui.demo.world.host import Host

if TYPE_CHECKING:
    from swarmtui.demo.world.world import World


class Failed(Exception):
    """The command ends with a fatal line."""


@dataclass(slots=True)
class Log:
    """The log of one command, in the form it has without a terminal; with `json`, one object a line."""

    world: World
    lines: list[str] = field(default_factory=list)
    json: bool = False

    def _line(self, level: str, text: str) -> None:
        when = datetime.fromtimestamp(self.world.kernel.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if self.json:
            self.lines.append(msgspec.json.encode({"level": level, "msg": text, "time": when}).decode())
            return
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        self.lines.append(f'time="{when}" level={level} msg="{escaped}"')

    def info(self, text: str) -> None:
        """Something happened."""
        self._line("info", text)

    def warn(self, text: str) -> None:
        """Something is not as it should be."""
        self._line("warning", text)

    def fatal(self, text: str) -> None:
        """It failed."""
        self._line("fatal", text)

    def output(self, out: bytes, code: int) -> Output:
        """Everything, as a command's output."""
        text = "".join(f"{line}\n" for line in self.lines)
        return Output(out.decode("utf-8", "surrogateescape"), text, code)


@dataclass(slots=True)
class Call:
    """One call of `docker run docker/ucp` or `docker/dtr`."""

    world: World
    host: Host
    args: list[str]
    env: dict[str, str]
    stdin: bytes
    log: Log


def options(args: list[str], valued: dict[str, str], bare: set[str], env: dict[str, str]) -> dict[str, str]:
    """Read the options of a command.

    Args:
        valued: options with a value, and the variable that may hold it instead (or an empty text).
        bare: options without one.

    Raises:
        Failed: an option is not one of this version's, or has no value.
    """
    found: dict[str, str] = {}
    rest = list(args)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.lstrip("-").partition("=")
        if word in ("-D", "-i"):
            name = {"D": "debug", "i": "interactive"}[name]
        if not word.startswith("-"):
            raise Failed(f"unexpected argument: {word}")
        if name in bare:
            found[name] = value if equals else "true"
        elif name in valued:
            if not equals:
                if not rest:
                    raise Failed(f"flag needs an argument: -{name}")
                value = rest.pop(0)
            found[name] = f"{found[name]}\n{value}" if name in found else value
        else:
            raise Failed(f"flag provided but not defined: -{name}")
    for name, variable in valued.items():
        if name not in found and variable and env.get(variable):
            found[name] = env[variable]
    return found
