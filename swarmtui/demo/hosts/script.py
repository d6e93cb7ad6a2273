"""Runs scripts on the simulated hosts: every command in them is one of COMMANDS, and every file one of the host's."""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

from swarmtui.demo.hosts import files
from swarmtui.demo.hosts.script_parser import parse
from swarmtui.demo.hosts.script_signals import SIGNALS, Family
from swarmtui.demo.hosts.script_streams import Files, Sink, Streams
from swarmtui.demo.hosts.script_tree import (
    Block,
    Case,
    Chain,
    Command,
    For,
    Function,
    Group,
    If,
    Redirect,
    Simple,
    Substitution,
    Text,
    Variable,
    Word,
)
from swarmtui.demo.hosts.shell import Output, ShellSyntaxError
from swarmtui.demo.world.host import Host

_ENDLESS = 5_000
"""Rounds of one loop after which it is taken for endless."""
_DEEPEST = 64

External = Callable[[list[str], dict[str, str], bytes, "Shell"], Awaitable[Output]]
"""Runs one command: its words, its extra environment, its input, and the shell it runs in."""


class _ExitError(Exception):
    """`exit`, or the end of a shell that a signal ends."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class _ReturnError(Exception):
    """`return`."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class ScriptError(Exception):
    """What the shell itself complains of; it ends."""


class Shell:
    """One shell with its variables.

    Args:
        external: runs what is neither a function nor built in.
        parent: the shell that started this one.
    """

    def __init__(self, host: Host, now: Callable[[], float], external: External, parent: Shell | None = None) -> None:
        self.host = host
        self.now = now
        self.external = external
        self.family: Family = Family() if parent is None else parent.family
        self.cwd: str = "/root" if parent is None else parent.cwd
        self.umask: int = 0o022 if parent is None else parent.umask
        self.ignored: set[str] = set() if parent is None else set(parent.ignored)
        self._files = Files(host, now)
        self.traps: dict[str, str] = {}
        self.pending = ""
        self.variables: dict[str, str] = {}
        self.functions: dict[str, Group] = {}
        self.parameters: list[str] = []
        self.status = 0
        self.strict = False
        self._depth = 0
        self._inner = 0

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
        streams = Streams(stdin, Sink(), Sink())
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
        except _ExitError as end:
            code = end.code
        action = self.traps.pop("EXIT", "")
        if action:
            try:
                self.status = code
                await self._block(parse(action), streams)
            except _ExitError as end:
                code = end.code
        return code

    def path(self, word: str) -> str:
        """A path as an absolute one."""
        return posixpath.normpath(posixpath.join(self.cwd, word))

    # -- control flow

    async def _block(self, block: Block, streams: Streams) -> None:
        for chain in block.chains:
            await self._chain(chain, streams)

    async def _chain(self, chain: Chain, streams: Streams) -> None:
        for joint, command, denied in chain.commands:
            if (joint == "&&" and self.status != 0) or (joint == "||" and self.status == 0):
                continue
            await self._command(command, streams)
            if denied:
                self.status = int(self.status == 0)
            await self._heed(streams)

    async def _heed(self, streams: Streams) -> None:
        """A signal came meanwhile: do what the trap says, or end."""
        name = self.pending
        if not name:
            return
        if self._inner:
            # A subshell has no traps: it ends, and the shell around it does what its own say.
            raise _ExitError(128 + SIGNALS[name])
        self.pending = ""
        if name not in self.traps:
            raise _ExitError(128 + SIGNALS[name])
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
                    await self._block(command.condition, streams)
                    if (self.status == 0) == command.until:
                        self.status = 0
                        return
                    await self._block(command.body, streams)
                    await asyncio.sleep(0)
                raise ScriptError("this loop does not end")

    async def _if(self, command: If, streams: Streams) -> None:
        for condition, body in command.branches:
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
                if pattern == (Text("*", False),) or await self._joined(pattern, streams) == value:
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
        except _ReturnError as end:
            self.status = end.code
        finally:
            self.parameters = outer
            self._depth -= 1

    async def _other(self, words: list[str], given: dict[str, str], streams: Streams) -> None:
        family = self.family
        task = asyncio.ensure_future(self.external(words, given, streams.stdin, self))
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
            raise _ExitError(_number(arguments, self.status))
        if name == "return":
            raise _ReturnError(_number(arguments, self.status))
        if name == "set":
            if arguments not in (["-u"], ["+u"]):
                raise ScriptError("only `set -u' is known on a simulated host")
            self.strict = arguments == ["-u"]
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
        line, ended, _ = streams.stdin.decode("utf-8", "surrogateescape").partition("\n")
        values = line.split(None, max(0, len(names) - 1))
        for at, name in enumerate(names):
            self.variables[name] = values[at].strip() if at < len(values) else ""
        return 0 if ended else 1

    # -- redirections

    async def _redirected(self, redirects: list[Redirect], streams: Streams) -> Streams | None:
        """The streams of a command; None where a file could not be opened."""
        result = Streams(streams.stdin, streams.out, streams.err)
        for redirect in redirects:
            target = await self._joined(redirect.target, streams)
            if redirect.sign == ">&":
                sink = result.out if target == "1" else result.err
            elif target == "/dev/null":
                sink = Sink()
            elif redirect.sign == "<":
                found = files.content(self.host, self.path(target), self.now())
                if found is None:
                    self._files.write(streams.err, f"sh: 1: cannot open {target}: No such file\n")
                    self.status = 2
                    return None
                result.stdin = found.whole()
                continue
            else:
                sink = Sink(self.path(target), 0o666 & ~self.umask)
                said = self._files.open(sink.path, self.umask, append=redirect.sign == ">>")
                if said:
                    self._files.write(streams.err, f"sh: 1: cannot create {target}: {said}\n")
                    self.status = 2
                    return None
            if redirect.sign == "<":
                result.stdin = b""
            elif redirect.descriptor == 1:
                result.out = sink
            else:
                result.err = sink
        return result

    # -- expansions

    async def _expanded(self, words: Sequence[Word], streams: Streams) -> list[str]:
        """Words with everything put in, split where nothing was quoted."""
        result: list[str] = []
        for word in words:
            fields: list[str] = []
            open_field = False
            for part in word:
                value = await self._value(part, streams)
                if isinstance(part, Text) or part.quoted:
                    fields[-1:] = [fields[-1] + value] if open_field else [*fields[-1:], value]
                    open_field = True
                    continue
                pieces = value.split()
                if not pieces:
                    open_field = open_field and not value
                    continue
                if open_field and not value[0].isspace():
                    fields[-1] += pieces.pop(0)
                fields += pieces
                open_field = not value[-1].isspace()
            result += fields
        return result

    async def _joined(self, word: Word, streams: Streams) -> str:
        """A word with everything put in, as one."""
        return "".join([await self._value(part, streams) for part in word])

    async def _value(self, part: object, streams: Streams) -> str:
        if isinstance(part, Text):
            return part.text
        if isinstance(part, Substitution):
            inner = Streams(b"", Sink(), streams.err)
            with self._inside():
                await self._block(part.body, inner)
            return inner.out.text().rstrip("\n")
        assert isinstance(part, Variable)
        return self._variable(part.name)

    @contextmanager
    def _inside(self) -> Iterator[None]:
        """A subshell: what it sets is forgotten."""
        kept = dict(self.variables), self.cwd, self.umask
        self._inner += 1
        try:
            yield
        except _ExitError as end:
            self.status = end.code
        finally:
            self.variables, self.cwd, self.umask = kept
            self._inner -= 1

    def _variable(self, name: str) -> str:
        if name == "?":
            return str(self.status)
        if name == "*":
            return " ".join(self.parameters)
        if name == "#":
            return str(len(self.parameters))
        if name == "$":
            return "4711"
        if name.isdigit():
            at = int(name) - 1
            found = self.parameters[at] if at < len(self.parameters) else None
        else:
            found = self.variables.get(name)
        if found is None and self.strict:
            raise ScriptError(f"{name}: parameter not set")
        return found or ""


def _number(arguments: list[str], default: int) -> int:
    return int(arguments[0]) & 255 if arguments and arguments[0].isdigit() else default
