"""What the commands of UCP and DTR share: their options, their log on standard error, and the container they run in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from swarmtui.demo.hosts.shell import Output
from swarmtui.demo.world.host import Container, Host

if TYPE_CHECKING:
    from swarmtui.demo.world.world import World

_LEVELS = {"info": "INFO", "warning": "WARN", "error": "ERRO", "fatal": "FATA"}


class Failed(Exception):
    """The command ends with a fatal line."""


class Killed(Exception):
    """Its container was stopped, killed or removed, or its host went off."""


@dataclass(slots=True)
class Log:
    """The log of one command: as text on a terminal, else as `time=… level=… msg=…`; with `json`, one object a line.

    Attributes:
        write: takes each line as it is written.
        begin: when its counter began, in seconds since the epoch.
    """

    world: World
    write: Callable[[str], None]
    json: bool = False
    tty: bool = False
    begin: float = 0.0

    def _line(self, level: str, text: str) -> None:
        now = self.world.kernel.now()
        when = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if self.json:
            self.write(msgspec.json.encode({"level": level, "msg": text, "time": when}).decode() + "\n")
        elif self.tty:
            self._text(level, text)
        else:
            escaped = text.replace("\\", "\\\\").replace('"', '\\"')
            self.write(f'time="{when}" level={level} msg="{escaped}"\n')

    def _text(self, level: str, text: str) -> None:
        seconds = int((self.world.kernel.now() - self.begin) * self.world.kernel.speed)
        self.write(f"{_LEVELS[level]}[{seconds:04d}] {text}\n")

    def restart(self) -> None:
        """A second container goes on: its counter begins anew."""
        self.begin = self.world.kernel.now()

    def phase2(self, text: str) -> None:
        """A line of the second container, which writes text whatever the first one was told."""
        self._text("info", text)

    def info(self, text: str) -> None:
        """Something happened."""
        self._line("info", text)

    def warn(self, text: str) -> None:
        """Something is not as it should be."""
        self._line("warning", text)

    def error(self, text: str) -> None:
        """Something failed, and the command goes on."""
        self._line("error", text)

    def fatal(self, text: str) -> None:
        """It failed."""
        self._line("fatal", text)


@dataclass(slots=True)
class Call:
    """One call of `docker run docker/ucp` or `docker/dtr`.

    Attributes:
        emit: takes what it writes: the descriptor, and the text.
        container: what it runs in.
        mounts: what is mounted into that: path inside → path on the host, or name of a volume.
    """

    world: World
    host: Host
    args: list[str]
    env: dict[str, str]
    stdin: bytes
    log: Log
    emit: Callable[[int, str], None]
    container: Container
    mounts: dict[str, str] = field(default_factory=dict)

    def write(self, data: bytes) -> None:
        """Write to standard output."""
        if data:
            self.emit(1, data.decode("utf-8", "surrogateescape"))

    async def sleep(self, seconds: float) -> None:
        """Work for simulated seconds.

        Raises:
            Killed: its container does not run any more.
        """
        await self.world.kernel.sleep(seconds)
        if self.container.state != "running" or not self.host.running:
            raise Killed


def plain(code: int, text: str) -> Output:
    """What docker itself says where nothing was run."""
    return Output(err=f"docker: {text}\n", code=code)


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


def on(given: dict[str, str], name: str) -> bool:
    """Is a flag without a value set, and not to false?"""
    return given.get(name, "false").lower() not in ("false", "0", "f")
