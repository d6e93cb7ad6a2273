"""Runs scripts on the simulated hosts: every command in them is one of COMMANDS, and every file one of the host's."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

from swarmtui.demo.hosts import files
from swarmtui.demo.hosts.script_parser import parse
from swarmtui.demo.hosts.script_signals import SIGNALS
from swarmtui.demo.hosts.script_streams import Sink, Source, Streams
from swarmtui.demo.hosts.script_tree import (
    Block,
    Case,
    Chain,
    Command,
    For,
    Function,
    Group,
    If,
    Pipe,
    Simple,
    Subshell,
    Substitution,
)
from swarmtui.demo.hosts.script_words import ExitError, Expanding, ReturnError, ScriptError
from swarmtui.demo.hosts.shell import Output, ShellSyntaxError
from swarmtui.demo.world.host import Host

_ENDLESS = 5_000
"""Rounds of one loop after which it is taken for endless."""
_DEEPEST = 64

External = Callable[[list[str], dict[str, str], bytes, "Shell"], Awaitable[Output]]
"""Runs one command: its words, its extra environment, its input, and the shell it runs in."""


class Shell(Expanding):
    """One shell with its variables.

    Args:
        external: runs what is neither a function nor built in.
        parent: the shell that started this one.
    """

    def __init__(self, host: Host, now: Callable[[], float], external: External, parent: Shell | None = None) -> None:
        super().__init__(host, now, parent)
        self.external = external
        self.ignored: set[str] = set() if parent is None else set(parent.ignored)
        self.traps: dict[str, str] = {}
        self.pending = ""
        self.functions: dict[str, Group] = {}
        self.ends_on_failure = False
        self.emit: Callable[[int, str], None] = lambda descriptor, text: None
        self._asking = 0
        self._depth = 0

    async def script(self, path: str, arguments: Sequence[str], stdin: bytes = b"") -> Output:
        """Run the script in a file, as `sh FILE` does."""
        full = self.path(path)
        text = files.read(self.host, full)
        if text is None:
            return Output(err=f"sh: 0: cannot open {path}: No such file\n", code=2)
        self.parameters = list(arguments)
        return await self.run(text, path, stdin)

    async def run(self, text: str, name: str, stdin: bytes = b"") -> Output:
        """Run a script."""
        streams = Streams(Source(stdin), Sink(), Sink())
        if len(self.family.shells) >= _DEEPEST:
            return Output(err=f"{name}: too many shells inside each other\n", code=2)
        self.family.shells.append(self)
        try:
            code = await self._whole(parse(text), streams)
        except (ShellSyntaxError, ScriptError) as error:
            self._files.write(streams.err, f"{name}: {error}\n")
            code = 2
        finally:
            self.family.shells.pop()
        return Output(streams.out.text(), streams.err.text(), code)

    async def _whole(self, block: Block, streams: Streams) -> int:
        try:
            await self._block(block, streams)
            code = self.status
        except ExitError as end:
            code = end.code
        action = self.traps.pop("EXIT", "")
        if action:
            try:
                self.status = code
                await self._block(parse(action), streams)
            except ExitError as end:
                code = end.code
        return code

    # -- control flow

    async def _block(self, block: Block, streams: Streams) -> None:
        for chain in block.chains:
            if await self._chain(chain, streams) and self.status != 0 and self.ends_on_failure and not self._asking:
                raise ExitError(self.status)

    async def _chain(self, chain: Chain, streams: Streams) -> bool:
        """Run a chain; returns whether it was its last command that ended it, and not one it asked."""
        last = False
        for at, (joint, command, denied) in enumerate(chain.commands, 1):
            if (joint == "&&" and self.status != 0) or (joint == "||" and self.status == 0):
                continue
            last = at == len(chain.commands) and not denied
            with self._asked(not last):
                await self._command(command, streams)
            if denied:
                self.status = int(self.status == 0)
            await self._heed(streams)
        return last

    @contextmanager
    def _asked(self, really: bool = True) -> Iterator[None]:
        """What runs here may fail, also after `set -e`."""
        self._asking += really
        try:
            yield
        finally:
            self._asking -= really

    async def _heed(self, streams: Streams) -> None:
        """A signal came meanwhile: do what the trap says, or end."""
        name = self.pending
        if not name:
            return
        if self._inner:
            # A subshell has no traps: it ends, and the shell around it does what its own say.
            raise ExitError(128 + SIGNALS[name])
        self.pending = ""
        if name not in self.traps:
            raise ExitError(128 + SIGNALS[name])
        status = self.status
        await self._block(parse(self.traps[name]), streams)
        self.status = status

    async def _command(self, command: Command, streams: Streams) -> None:
        match command:
            case Simple():
                await self._simple(command, streams)
            case Group():
                inner = await self._redirected(command.redirects, streams)
                if inner is not None:
                    await self._block(command.body, inner)
            case Subshell():
                inner = await self._redirected(command.redirects, streams)
                if inner is not None:
                    with self._inside():
                        await self._block(command.body, inner)
            case Pipe():
                await self._pipe(command, streams)
            case Function():
                self.functions[command.name] = command.body
                self.status = 0
            case If():
                await self._if(command, streams)
            case For():
                self.status = 0
                for word in await self._expanded(command.words, streams):
                    self.variables[command.name] = word
                    await self._block(command.body, streams)
            case Case():
                await self._case(command, streams)
            case _:
                for _ in range(_ENDLESS):
                    with self._asked():
                        await self._block(command.condition, streams)
                    if (self.status == 0) == command.until:
                        self.status = 0
                        return
                    await self._block(command.body, streams)
                    await asyncio.sleep(0)
                raise ScriptError("this loop does not end")

    async def _pipe(self, pipe: Pipe, streams: Streams) -> None:
        """Each in a shell of its own, one after the other: nothing here writes without an end."""
        given = streams.stdin
        for at, part in enumerate(pipe.parts, 1):
            last = at == len(pipe.parts)
            inner = Streams(given, streams.out if last else Sink(), streams.err)
            with self._inside(), self._asked(not last):
                await self._command(part, inner)
            given = Source(bytes(inner.out.data))

    async def _if(self, command: If, streams: Streams) -> None:
        for condition, body in command.branches:
            with self._asked():
                await self._block(condition, streams)
            if self.status == 0:
                await self._block(body, streams)
                return
        self.status = 0
        if command.otherwise is not None:
            await self._block(command.otherwise, streams)

    async def _case(self, command: Case, streams: Streams) -> None:
        value = await self._joined(command.word, streams)
        self.status = 0
        for patterns, body in command.branches:
            for pattern in patterns:
                if re.fullmatch(await self._pattern(pattern, streams), value, re.DOTALL):
                    await self._block(body, streams)
                    return

    # -- one command

    async def _simple(self, command: Simple, streams: Streams) -> None:
        words = await self._expanded(command.words, streams)
        given = {name: await self._joined(word, streams) for name, word in command.assignments}
        if not words:
            self.variables |= given
            if not any(isinstance(part, Substitution) for _, word in command.assignments for part in word):
                self.status = 0
        inner = await self._redirected(command.redirects, streams)
        if inner is None or not words:
            return
        name, arguments = words[0], words[1:]
        if name in self.functions:
            await self._function(self.functions[name], arguments, inner)
        elif not await self._built_in(name, arguments, inner):
            await self._other(words, given, inner)
        if inner.out.failed:
            inner.out.failed = False
            self.status = 1
            self._files.write(streams.err, f"sh: 1: {name}: I/O error\n")

    async def _function(self, body: Group, arguments: list[str], streams: Streams) -> None:
        outer, self.parameters = self.parameters, arguments
        self._depth += 1
        try:
            if self._depth > _DEEPEST:
                raise ScriptError("functions call each other without an end")
            await self._command(body, streams)
        except ReturnError as end:
            self.status = end.code
        finally:
            self.parameters = outer
            self._depth -= 1

    async def _other(self, words: list[str], given: dict[str, str], streams: Streams) -> None:
        family = self.family
        sinks = {1: streams.out, 2: streams.err}
        self.emit = lambda descriptor, text: self._files.write(sinks[descriptor], text)
        env = {**self.environment(), **given}
        task = asyncio.ensure_future(self.external(words, env, streams.stdin.data, self))
        outer, family.running = family.running, task
        try:
            result = await task
        except asyncio.CancelledError:
            if not family.struck or not task.cancelled():
                task.cancel()
                raise
            result, family.struck = Output(code=family.struck), 0
        finally:
            family.running = outer
        self._files.write(streams.out, result.out)
        self._files.write(streams.err, result.err)
        self.status = result.code

    async def _built_in(self, name: str, arguments: list[str], streams: Streams) -> bool:
        self_status = 0
        if name == "exit":
            raise ExitError(_number(arguments, self.status))
        if name == "return":
            raise ReturnError(_number(arguments, self.status))
        if name == "set":
            if not arguments or any(word[:1] not in "-+" or set(word[1:]) - set("eu") for word in arguments):
                raise ScriptError("only `set -e' and `set -u' are known on a simulated host")
            for word in arguments:
                self.strict = word[0] == "-" if "u" in word else self.strict
                self.ends_on_failure = word[0] == "-" if "e" in word else self.ends_on_failure
        elif name == "umask":
            if len(arguments) != 1 or set(arguments[0]) - set("01234567"):
                raise ScriptError("umask: only `umask OCTAL' is known on a simulated host")
            self.umask = int(arguments[0], 8)
        elif name == "cd":
            target = self.path(arguments[0] if arguments else "/root")
            if files.kind(self.host, target) == "folder":
                self.cwd = target
            else:
                self._files.write(streams.err, f"sh: 1: cd: can't cd to {arguments[0]}\n")
                self_status = 2
        elif name == "trap":
            self._trap(arguments)
        elif name == "read":
            self_status = self._read(arguments, streams)
        elif name == "export":
            for word in arguments:
                key, equals, value = word.partition("=")
                if not key.isidentifier():
                    raise ScriptError(f"export: {word}: bad variable name")
                self.exported.add(key)
                if equals:
                    self.variables[key] = value
        elif name == "shift":
            self.parameters = self.parameters[1:]
        else:
            return False
        self.status = self_status
        return True

    def _trap(self, arguments: list[str]) -> None:
        if len(arguments) < 2 or set(arguments[1:]) - {*SIGNALS, "EXIT"} or "KILL" in arguments:
            raise ScriptError("trap: only `trap ACTION EXIT|HUP|INT|TERM…' is known on a simulated host")
        action, *names = arguments
        for name in names:
            self.ignored.discard(name)
            self.traps.pop(name, None)
            if action == "" and name != "EXIT":
                self.ignored.add(name)
            elif action not in ("", "-"):
                parse(action)
                self.traps[name] = action

    def _read(self, arguments: list[str], streams: Streams) -> int:
        names = [word for word in arguments if word != "-r"]
        line, ended = streams.stdin.line()
        values = line.split(None, max(0, len(names) - 1))
        for at, name in enumerate(names):
            self.variables[name] = values[at].strip() if at < len(values) else ""
        return 0 if ended else 1


def _number(arguments: list[str], default: int) -> int:
    return int(arguments[0]) & 255 if arguments and arguments[0].isdigit() else default
