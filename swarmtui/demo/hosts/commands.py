"""What the simulated hosts understand: the commands that operators and runbooks use on real ones."""

from __future__ import annotations

import importlib
import shlex
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from swarmtui.demo.api.endpoints import Router
from swarmtui.demo.hosts import shell
from swarmtui.demo.hosts.shell import Output
from swarmtui.demo.world.host import Host
from swarmtui.demo.world.world import World


@dataclass(slots=True)
class Context:
    """Where a command runs, and with what."""

    world: World
    host: Host
    router: Router
    args: list[str]
    env: dict[str, str]
    stdin: bytes


Command = Callable[[Context], Awaitable[Output]]

COMMANDS: dict[str, Command] = {}


def command(*names: str) -> Callable[[Command], Command]:
    """Register a command under its names."""

    def register(function: Command) -> Command:
        for name in names:
            assert COMMANDS.setdefault(name, function) is function, f"two commands are called {name}"
        return function

    return register


class HostShell:
    """The login shell of root on one host. `history` has the lines it was given."""

    def __init__(self, world: World, host: Host) -> None:
        self.world = world
        self.host = host
        self.history: list[str] = []
        self._router = Router(world, host)

    async def run(self, line: str, stdin: bytes = b"") -> Output:
        """Run a line as sshd would hand it to the login shell."""
        self.history.append(line)
        from swarmtui.demo.hosts import probing

        if (knocked := await probing.knock(self.world, self.host, line)) is not None:
            return knocked
        return await shell.execute(line, self._one, stdin)

    async def _one(self, words: list[str], env: dict[str, str], stdin: bytes) -> Output:
        name, args = words[0], words[1:]
        if name == "sudo":
            while args[:1] in (["-n"], ["--"]):
                args = args[1:]
            if not args or args[0].startswith("-"):
                return Output(err="sudo: on a simulated host only `sudo [-n] COMMAND' is known\n", code=1)
            name, args = args[0], args[1:]
        if name in ("sh", "bash", "/bin/sh") and len(args) >= 2 and args[0] in ("-c", "-ec", "-lc"):
            return await shell.execute(args[1], self._one, stdin)
        name = name.rpartition("/")[2] if name.startswith(("/bin/", "/usr/bin/", "/usr/sbin/")) else name
        found = COMMANDS.get(name)
        if found is None:
            return Output(err=f"sh: 1: {name}: not found\n", code=127)
        return await found(Context(self.world, self.host, self._router, args, env, stdin))

    @staticmethod
    def _words(line: str) -> list[str]:
        try:
            return shlex.split(line)
        except ValueError:
            return []

    def is_dial(self, line: str) -> bool:
        """Does this line ask for the engine's socket over the session?"""
        words = self._words(line)
        if words[:2] == ["sudo", "-n"]:
            words = words[2:]
        return words == ["docker", "system", "dial-stdio"]

    def wants_input(self, line: str) -> bool:
        """Does this line read its standard input?"""
        words = self._words(line)
        starts = range(len(words))
        if "tar" in words:
            from swarmtui.demo.hosts.archives import reads_stdin

            return reads_stdin(words[words.index("tar") + 1 :])
        if "stack" in words:
            from swarmtui.demo.hosts.docker import stack

            at = words.index("stack")
            if words[at + 1 : at + 2] in (["deploy"], ["up"]):
                return stack.reads_stdin(words[at + 2 :])
        return any(words[i : i + 3] == ["docker", "swarm", "unlock"] for i in starts) or (
            "run" in words and "restore" in words
        )


def _load() -> None:
    """Register all commands."""
    for name in ("basics", "probing", "units", "storage", "archives", "docker"):
        importlib.import_module(f"swarmtui.demo.hosts.{name}")


_load()
