"""What the shell of scripts puts in for words and redirections, before it runs a command."""

from __future__ import annotations

import ast
import operator
import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from swarmtui.demo.hosts import files
from swarmtui.demo.hosts.script_signals import Family
from swarmtui.demo.hosts.script_streams import Files, Sink, Source, Streams
from swarmtui.demo.hosts.script_tree import Arithmetic, Block, Part, Redirect, Substitution, Text, Word
from swarmtui.demo.world.host import Host


class ExitError(Exception):
    """`exit`, or the end of a shell that a signal ends."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class ReturnError(Exception):
    """`return`."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class ScriptError(Exception):
    """What the shell itself complains of; it ends."""


class Expanding:
    """A shell's variables, folder and files; the shell itself runs what is in them."""

    def __init__(self, host: Host, now: Callable[[], float], parent: Expanding | None) -> None:
        self.host = host
        self.now = now
        self.family: Family = Family() if parent is None else parent.family
        self.cwd: str = "/root" if parent is None else parent.cwd
        self.umask: int = 0o022 if parent is None else parent.umask
        self._files = Files(host, now)
        self.exported: set[str] = set() if parent is None else set(parent.exported)
        self.variables: dict[str, str] = {} if parent is None else parent.environment()
        self.parameters: list[str] = []
        self.status = 0
        self.strict = False
        self._inner = 0

    async def _block(self, block: Block, streams: Streams) -> None:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """What commands get to know of its variables."""
        return {name: self.variables[name] for name in self.exported if name in self.variables}

    def path(self, word: str) -> str:
        """A path as an absolute one."""
        return posixpath.normpath(posixpath.join(self.cwd, word))

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
                if redirect.sign == "<":
                    result.stdin = Source()
                    continue
            elif redirect.sign == "<":
                found = files.content(self.host, self.path(target), self.now())
                if found is None:
                    self._files.write(streams.err, f"sh: 1: cannot open {target}: No such file\n")
                    self.status = 2
                    return None
                result.stdin = Source(found.whole())
                continue
            else:
                sink = Sink(self.path(target), 0o666 & ~self.umask)
                said = self._files.open(sink.path, self.umask, append=redirect.sign == ">>")
                if said:
                    self._files.write(streams.err, f"sh: 1: cannot create {target}: {said}\n")
                    self.status = 2
                    return None
            if redirect.descriptor == 1:
                result.out = sink
            else:
                result.err = sink
        return result

    # -- expansions

    async def _expanded(self, words: Sequence[Word], streams: Streams) -> list[str]:
        """Words with everything put in, split where nothing was quoted."""
        result: list[str] = []
        for word in words:
            if any(isinstance(part, Text) and not part.quoted and part.text in "*?" for part in word):
                result += await self._matching(word, streams)
                continue
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

    async def _matching(self, word: Word, streams: Streams) -> list[str]:
        """The paths that a word with stars stands for; itself where there are none."""
        wanted = re.compile((await self._pattern(word, streams)).replace(".*", "[^/]*"))
        known = {*files.listing(self.host), *files.folders(self.host)}
        found = sorted(
            path for path in known if wanted.fullmatch(path) and not posixpath.basename(path).startswith(".")
        )
        return found or [await self._joined(word, streams)]

    async def _joined(self, word: Word, streams: Streams) -> str:
        """A word with everything put in, as one."""
        return "".join([await self._value(part, streams) for part in word])

    async def _pattern(self, word: Word, streams: Streams) -> str:
        """A pattern of `case`, as a regular expression."""
        signs = {"*": ".*", "?": "."}
        return "".join(
            [
                signs[part.text]
                if isinstance(part, Text) and not part.quoted and part.text in signs
                else re.escape(await self._value(part, streams))
                for part in word
            ]
        )

    async def _value(self, part: Part, streams: Streams) -> str:
        if isinstance(part, Text):
            return part.text
        if isinstance(part, Arithmetic):
            return str(self._number(part.text))
        if isinstance(part, Substitution):
            # It reads what its shell reads: a line that is read in it is gone outside.
            inner = Streams(streams.stdin, Sink(), streams.err)
            with self._inside():
                await self._block(part.body, inner)
            return inner.out.text().rstrip("\n")
        return self._variable(part.name, part.default)

    def _number(self, text: str) -> int:
        """The value of a sum: whole numbers and variables, with + - * / % and brackets."""
        filled = re.sub(r"\$?([A-Za-z_]\w*)", lambda found: f"({self._variable(found[1]) or 0})", text.strip())
        try:
            return _worth(ast.parse(filled, mode="eval").body)
        except (SyntaxError, ValueError, ZeroDivisionError):
            raise ScriptError(f"arithmetic expression: expecting primary: {text!r}") from None

    @contextmanager
    def _inside(self) -> Iterator[None]:
        """A subshell: what it sets is forgotten."""
        kept = dict(self.variables), self.cwd, self.umask
        self._inner += 1
        try:
            yield
        except ExitError as end:
            self.status = end.code
        finally:
            self.variables, self.cwd, self.umask = kept
            self._inner -= 1

    def _variable(self, name: str, default: str = "") -> str:
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
        if found is None and self.strict and not default:
            raise ScriptError(f"{name}: parameter not set")
        return found or default


_SUMS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.floordiv,
    ast.Mod: operator.mod,
}


def _worth(node: ast.expr) -> int:
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_worth(inner)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _SUMS:
            return _SUMS[type(sign)](_worth(left), _worth(right))
    raise ValueError("no sum of whole numbers")
