"""What all docker subcommands share: asking the engine, reading options, drawing tables."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

import msgspec

from swarmtui.demo.api.http import Request
from swarmtui.demo.hosts.commands import Context
from swarmtui.demo.hosts.shell import Output

Json = Any


class CliError(Exception):
    """The command failed; the text goes to standard error, the exit status is 1."""


class Usage(Exception):
    """The command was not understood; the exit status is 125."""


@dataclass(slots=True)
class Options:
    """Options and arguments of one call. Repeated options keep all their values."""

    values: dict[str, list[str]] = field(default_factory=dict)
    args: list[str] = field(default_factory=list)

    def has(self, name: str) -> bool:
        """Was it given (and not as `=false`)?"""
        return name in self.values and self.values[name][-1] != "false"

    def one(self, name: str, default: str = "") -> str:
        """Its last value."""
        return self.values.get(name, [default])[-1]

    def all(self, name: str) -> list[str]:
        """All its values."""
        return self.values.get(name, [])


def options(words: Sequence[str], takes: Iterable[str], flags: Iterable[str], short: str = "") -> Options:
    """Read a command's words.

    Args:
        takes: long options with a value.
        flags: long options without one.
        short: pairs of a letter and the long name, as in "q=quiet f=filter".

    Raises:
        Usage: an option is unknown, or its value is missing.
    """
    aliases = dict(pair.split("=", 1) for pair in short.split())
    valued, bare = set(takes), set(flags)
    result = Options()
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            result.args += rest
            break
        if not word.startswith("-") or word == "-":
            result.args.append(word)
            continue
        name, equals, value = word.lstrip("-").partition("=")
        if not word.startswith("--"):
            letters = name
            if len(letters) > 1 and all(aliases.get(letter) in bare for letter in letters):
                for letter in letters:
                    result.values.setdefault(aliases[letter], []).append("true")
                continue
            name = aliases.get(letters[0], "?")
            if name == "?":
                raise Usage(f"unknown shorthand flag: '{letters[0]}' in {word}")
            if len(letters) > 1 and not equals:
                value, equals = letters[1:], "="
        if name in bare:
            result.values.setdefault(name, []).append(value if equals else "true")
        elif name in valued:
            if not equals:
                if not rest:
                    raise Usage(f"flag needs an argument: --{name}")
                value = rest.pop(0)
            result.values.setdefault(name, []).append(value)
        else:
            raise Usage(f"unknown flag: --{name}")
    return result


class Cli:
    """One call of docker on one host."""

    def __init__(self, context: Context) -> None:
        self.context = context

    @property
    def now(self) -> float:
        """Now, in seconds since the epoch."""
        return self.context.world.kernel.now()

    async def ask(self, method: str, path: str, body: Json = None, **query: str) -> Json:
        """Ask the host's engine.

        Raises:
            CliError: it is down, or it refused.
        """
        host, world = self.context.host, self.context.world
        if not host.docker:
            if not host.socket:
                raise CliError(
                    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
                )
            world.start_docker(host)
        data = b"" if body is None else msgspec.json.encode(body)
        response = await self.context.router(Request(method, f"/v1.41{path}", query, {}, data))
        answer: Json = None
        if response.body and response.content_type == "application/json":
            answer = msgspec.json.decode(response.body)
        if response.status >= 400:
            raise CliError(f"Error response from daemon: {answer['message'] if answer else 'unknown'}")
        return answer

    async def get(self, path: str, **query: str) -> Json:
        """GET something."""
        return await self.ask("GET", path, **query)

    async def object(self, kind: str, name: str) -> Json:
        """One node, service, … by name or id.

        Raises:
            CliError: there is none; in the words of the stock command.
        """
        try:
            return await self.get(f"/{kind}s/{quote(name, safe='')}")
        except CliError as error:
            if "not found" in str(error):
                raise CliError(f"Error: No such {kind}: {name}") from None
            raise

    async def self_or(self, name: str) -> str:
        """A node reference, with `self` for this host's own node."""
        if name != "self":
            return name
        node_id = (await self.get("/info"))["Swarm"]["NodeID"]
        if not node_id:
            await self.get("/nodes")
        return str(node_id)


Verb = Callable[[Cli, list[str]], Awaitable[Output]]

VERBS: dict[str, Verb] = {}


def verb(*names: str) -> Callable[[Verb], Verb]:
    """Register a subcommand under its names."""

    def register(function: Verb) -> Verb:
        for name in names:
            VERBS[name] = function
        return function

    return register


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns as docker draws them: as wide as their widest cell, three blanks apart."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "".join(
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + "\n" for line in lines
    )


def many(names: Sequence[str], done: Sequence[str], failures: Sequence[str]) -> Output:
    """The outcome of a command over several objects."""
    return Output(
        out="".join(f"{line}\n" for line in done),
        err="".join(f"{line}\n" for line in failures),
        code=1 if failures else 0,
    )


_ACTION = re.compile(r"\{\{\s*(json\s+)?(\.(?:[A-Za-z]\w*(?:\.[A-Za-z]\w*)*)?)(?:\s+\"([\w./-]+)\")?\s*\}\}")


def template(text: str, value: Json) -> str:
    """The simplest of Go's templates: fields, `json` of fields, and `.Label "key"` of rows that have labels.

    Raises:
        CliError: the template has more in it, or names a field that is not there.
    """
    if text in ("json", "{{json .}}"):
        shown = value
        if isinstance(value, dict):
            shown = {name: item for name, item in value.items() if not name.startswith("_")}
        return msgspec.json.encode(shown).decode()

    def fill(match: re.Match[str]) -> str:
        found = value
        if match[3] is not None:
            if match[1] or match[2] != ".Label" or not isinstance(value.get("_labels"), dict):
                raise CliError(f"template parsing error: {match[2]} takes no argument on a simulated host")
            return str(value["_labels"].get(match[3], ""))
        for name in match[2].strip(".").split("."):
            if not name:
                break
            if not isinstance(found, dict):
                found = None
                break
            found = found.get(name)
        if match[1]:
            return msgspec.json.encode(found).decode()
        if isinstance(found, bool):
            return "true" if found else "false"
        if isinstance(found, dict):
            return "map[" + " ".join(f"{k}:{v}" for k, v in sorted(found.items())) + "]"
        if isinstance(found, list):
            return "[" + " ".join(str(item) for item in found) + "]"
        return "" if found is None else str(found)

    if "{{" in _ACTION.sub("", text):
        raise CliError("template parsing error: only fields and `json' are supported on a simulated host")
    # Only what the template itself says is an escape: a JSON value keeps its own.
    return _ACTION.sub(fill, text.replace("\\t", "\t").replace("\\n", "\n"))


def indented(value: Json) -> str:
    """JSON as `docker … inspect` writes it."""
    return msgspec.json.format(msgspec.json.encode(value), indent=4).decode() + "\n"


def inspected(found: list[Json], format_text: str) -> str:
    """What an inspect command prints."""
    if format_text:
        return "".join(template(format_text, item) + "\n" for item in found)
    return indented(found)


def parse_time(text: str) -> float:
    """An engine's time in seconds since the epoch."""
    bare = text.rstrip("Z")
    whole, _, fraction = bare.partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")


def ago(seconds: float) -> str:
    """A duration in docker's words."""
    if seconds < 1:
        return "less than a second"
    for limit, size, name in ((60, 1, "second"), (3600, 60, "minute"), (172800, 3600, "hour")):
        if seconds < limit:
            number = int(seconds // size)
            if number == 1 and name != "second":
                return "about a minute" if name == "minute" else "about an hour"
            return f"{number} {name}{'s' if number > 1 else ''}"
    days = int(seconds // 86400)
    return f"{days} days" if days < 14 else f"{days // 7} weeks"
