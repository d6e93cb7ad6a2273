"""What the simulated hosts understand: the commands that operators and runbooks use on real ones."""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from swarmtui.demo.api.endpoints import Router
from swarmtui.demo.hosts import shell
from swarmtui.demo.hosts.shell import Output
from swarmtui.demo.world.host import Host
from swarmtui.demo.world.world import World

if TYPE_CHECKING:
    from swarmtui.demo.hosts.script import External, Shell


@dataclass(slots=True)
class Context:
    """Where a command runs, and with what.

    Attributes:
        cwd: the folder that relative paths begin in.
        umask: the permissions that new files do not get.
        external: runs commands of scripts on this host.
        run: runs another command in the same place; what `timeout` does.
        name: what the command was called by.
        emit: writes at once where its output goes, given the descriptor and the text; None where all of it is shown at
            the end.
        struck: was it ended by a signal that its own children get as well?
    """

    world: World
    host: Host
    router: Router
    args: list[str]
    env: dict[str, str]
    stdin: bytes
    cwd: str
    umask: int
    external: External
    run: Callable[[list[str]], Awaitable[Output]]
    name: str = ""
    emit: Callable[[int, str], None] | None = None
    struck: Callable[[], bool] = lambda: False


_READS = re.compile(r"\bcat\s*(?:[>;&|)'\"]|$)|/dev/stdin\b|\bdd of=|\bread -r \w+\s*(?:[;&'\"]|$)")
"""What of a line of shell takes what comes in."""

Command = Callable[[Context], Awaitable[Output]]

COMMANDS: dict[str, Command] = {}
WORDS = {
    "if",
    "while",
    "until",
    "for",
    "case",
    "{",
    "!",
    "set",
    "exit",
    "umask",
    "cd",
    "trap",
    "read",
    "shift",
    "export",
}
"""Words that only a whole shell knows at the beginning of a command."""


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
        return await self._line(line, stdin)

    async def _line(self, line: str, stdin: bytes, within: Shell | None = None, *given: str) -> Output:
        """Run a line: simple ones at once, what has more of a shell in it as a script.

        Args:
            given: the name of the shell and its parameters, as they follow `sh -c LINE`.
        """
        try:
            plain = not given and within is None and not any(one.words[0] in WORDS for one in shell.parse(line))
        except shell.ShellSyntaxError:
            plain = False
        if plain:
            return await shell.execute(line, self._one, stdin)
        from swarmtui.demo.hosts.script import Shell

        inner = Shell(self.host, self.world.kernel.now, self._command, within)
        inner.parameters = list(given[1:])
        return await inner.run(line, f"{given[0] if given else 'sh'}: 1", stdin)

    async def _one(self, words: list[str], env: dict[str, str], stdin: bytes) -> Output:
        return await self._command(words, env, stdin, None)

    async def _command(self, words: list[str], env: dict[str, str], stdin: bytes, within: Shell | None) -> Output:
        """Run one command, of the login shell or of a script."""
        name, args = words[0], words[1:]
        if name == "sudo":
            while args[:1] in (["-n"], ["--"]):
                args = args[1:]
            if not args or args[0].startswith("-"):
                return Output(err="sudo: on a simulated host only `sudo [-n] COMMAND' is known\n", code=1)
            name, args = args[0], args[1:]
        if name in ("sh", "bash", "/bin/sh") and len(args) >= 2 and re.fullmatch(r"-[elu]*c", args[0]):
            flags = "".join(letter for letter in args[0] if letter in "eu")
            line = f"set -{flags}; {args[1]}" if flags else args[1]
            return await self._line(line, stdin, within, *args[2:])
        if name in ("sh", "/bin/sh") and args and not args[0].startswith("-"):
            from swarmtui.demo.hosts.script import Shell

            inner = Shell(self.host, self.world.kernel.now, self._command, within)
            return await inner.script(args[0], args[1:], stdin)
        name = name.rpartition("/")[2] if name.startswith(("/bin/", "/usr/bin/", "/usr/sbin/")) else name
        found = COMMANDS.get(name)
        if found is None:
            return Output(err=f"sh: 1: {name}: not found\n", code=127)
        cwd, umask = ("/root", 0o022) if within is None else (within.cwd, within.umask)
        again = lambda more: self._command(more, env, stdin, within)  # noqa: E731
        context = Context(
            self.world,
            self.host,
            self._router,
            args,
            env,
            stdin,
            cwd,
            umask,
            external=self._command,
            run=again,
            name=name,
            emit=None if within is None else within.emit,
            struck=lambda: within is not None and bool(within.family.struck),
        )
        return await found(context)

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
        if "tee" in words or _READS.search(line):
            return True
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
    for name in (
        "basics",
        "machine",
        "addresses",
        "probing",
        "jobs",
        "units",
        "storage",
        "reading",
        "archives",
        "docker",
    ):
        importlib.import_module(f"swarmtui.demo.hosts.{name}")


_load()
