"""One command of an image, how it is written: for people and for jobs, by the product's table of facts alone.

A secret is never part of a line. It is in a variable of the host's shell, filled from standard input; the line has its
name. Where a version documents an environment variable for it, docker passes that on by name; where only a flag exists,
the shell puts the value in, and while the command runs it is in the arguments of docker and of the image's process, and
in what `docker inspect` shows: `ImageCommand.exposed` names it for the plan. What has several lines, such as a
certificate, goes the same way.
"""

from __future__ import annotations

import re
import shlex
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol

from swarmtui.errors import UsageError
from swarmtui.model.text import one_line
from swarmtui.runbooks.runbook import Shown
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where

END: Final = "."
"""The line after a value of several lines."""
_VARIABLE: Final = re.compile(r"[A-Z][A-Z0-9_]*")


class Tagged(Protocol):
    """A version of a product, by the tag of its image."""

    @property
    def image(self) -> str: ...

    @property
    def product(self) -> str: ...


class Table(Protocol):
    """A product's table of facts: its module."""

    @property
    def SWITCHES(self) -> frozenset[str]:
        """Flags without a value; one that is true by default is written --flag=false."""

    @property
    def SECRET_FLAGS(self) -> frozenset[str]: ...

    def commands(self, version: Any) -> frozenset[str]: ...

    def has(self, version: Any, command: str, flag: str = "") -> bool: ...

    def variable(self, version: Any, command: str, flag: str) -> str: ...


@dataclass(frozen=True, slots=True)
class Hidden:
    """A value that stands in no line: the shell variable that has it when the command runs.

    Attributes:
        prompt: what a person is asked for.
        file: of a value of several lines: the file here that a person takes it from; else "".
        secret: whether nobody may see it.
    """

    variable: str
    prompt: str = ""
    file: str = ""
    secret: bool = True

    def __post_init__(self) -> None:
        if not _VARIABLE.fullmatch(self.variable):
            raise ValueError(f"{self.variable!r} is no name of a variable")

    @property
    def reading(self) -> str:
        """What sets the variable from standard input, in sh."""
        if not self.file:
            return f"IFS= read -r {self.variable}"
        line = f"""while IFS= read -r LINE && [ "$LINE" != {END} ]; do printf '%s\\n' "$LINE"; done"""
        return f"{self.variable}=$({line})"

    @property
    def asking(self) -> str:
        """What asks a person for it, or takes it from the file here, and writes it as `reading` reads it."""
        if self.file:
            return f"cat {shlex.quote(self.file)} && printf '\\n%s\\n' {END}"
        return (
            f"{{ printf '%s: ' {shlex.quote(self.prompt or self.variable)} >/dev/tty; stty -echo </dev/tty; "
            "IFS= read -r V </dev/tty; stty echo </dev/tty; echo >/dev/tty; printf '%s\\n' \"$V\"; }"
        )

    def lines(self, value: str) -> str:
        """The value, as `reading` reads it.

        Raises:
            ValueError: no shell can hand it on.
        """
        if not self.file:
            if not value.isprintable():
                raise ValueError("has line breaks or control characters")
            return f"{value}\n"
        found = value.splitlines()
        if any(line == END or not line.isprintable() for line in found):
            raise ValueError("has control characters")
        return "".join(f"{line}\n" for line in (*found, END))


REGISTRY_PASSWORD: Final = Hidden("REGISTRY_PASSWORD", "Password at the registry")
Options = tuple[tuple[str, str | Hidden], ...]


@dataclass(frozen=True, kw_only=True)
class ImageCommand(ABC):
    """A command of an image, with its options. A product's own class knows its table of facts.

    Attributes:
        version: the image's tag; never "latest".
        name: install, backup, …
        options: flag without hyphens → value; "" for a switch that is on, "false" for one that is off. A flag that may
            be given several times stands there several times.
        stdin: path of a file on the host that it reads; "" for nothing.
        into: path of a file on the host that gets what it writes on standard output; "" for none.

    Raises:
        UsageError: this version has no such command, or the command no such flag.
    """

    OF: ClassVar[str]
    """What the product is called, whatever its version."""
    FACTS: ClassVar[Table]
    REPEATED: ClassVar[frozenset[str]] = frozenset()

    version: Tagged
    name: str
    options: Options = ()
    stdin: str = ""
    into: str = ""

    def __post_init__(self) -> None:
        if not self.FACTS.has(self.version, self.name):
            raise UsageError(
                f"{self.version.product} has no command `{one_line(self.name)}`.",
                f"It has: {', '.join(sorted(self.FACTS.commands(self.version)))}.",
            )
        seen: set[str] = set()
        for flag, value in self.options:
            if not self.FACTS.has(self.version, self.name, flag):
                raise UsageError(
                    f"`{self.name}` of {self.version.product} has no flag --{one_line(flag)}.",
                    "Leave it out, or use a version that has it.",
                )
            if flag in seen and flag not in self.REPEATED:
                raise UsageError(f"--{flag} can be given to `{self.name}` only once.", "Leave one out.")
            if flag in self.FACTS.SECRET_FLAGS and not isinstance(value, Hidden):
                raise ValueError(f"--{flag} is a secret, and must be hidden")
            seen.add(flag)

    # -- what the product knows ----------------------------------------------------------------------------------------

    def _variable(self, flag: str) -> str:
        return self.FACTS.variable(self.version, self.name, flag)

    @property
    @abstractmethod
    def container(self) -> str:
        """The name of its container: while that is taken, the command cannot run on the host."""

    @property
    def _docker(self) -> Sequence[str]:
        """What docker is told besides."""
        return ()

    # -- as a line -----------------------------------------------------------------------------------------------------

    @property
    def hidden(self) -> tuple[Hidden, ...]:
        """The values that the line takes from variables, in the order in which they are read."""
        return tuple(dict.fromkeys(value for _, value in self.options if isinstance(value, Hidden)))

    @property
    def variables(self) -> tuple[str, ...]:
        """The names of those variables."""
        return tuple(value.variable for value in self.hidden)

    @property
    def exported(self) -> tuple[str, ...]:
        """Those of them that docker is told by name, from the environment."""
        return tuple(
            value.variable for flag, value in self.options if isinstance(value, Hidden) and self._variable(flag)
        )

    @property
    def exposed(self) -> tuple[str, ...]:
        """Flags whose secret is in the arguments of processes on the host while the command runs."""
        return tuple(
            flag
            for flag, value in self.options
            if isinstance(value, Hidden) and value.secret and not self._variable(flag)
        )

    @property
    def exposure(self) -> str:
        """What the plan says about secrets that others on the host may see meanwhile; "" where there are none."""
        named = [value.variable for value in self.hidden if value.secret and value.variable in self.exported]
        who = "root and members of the docker group on that host"
        if not self.exposed:
            told = " and ".join(named)
            return f"While `{self.name}` runs, {who} can read {told} with docker inspect." if named else ""
        told = " and ".join(f"--{flag}" for flag in self.exposed)
        more = f", and {' and '.join(named)} with docker inspect" if named else ""
        return (
            f"{self.version.product} is sure to take {told} of `{self.name}` only as an argument: while it runs, {who} "
            f"can read it (ps, docker inspect){more}. It is in no log, journal or file."
        )

    @property
    def line(self) -> str:
        """The whole command, as root's shell on the host runs it when the variables are set."""
        into = f" > {shlex.quote(self.into)}" if self.into else ""
        return f"{self.plain}{into}" + (f" < {shlex.quote(self.stdin)}" if self.stdin else "")

    @property
    def plain(self) -> str:
        """The same without what it reads from and writes to."""
        words = ["docker container run --log-driver none --rm -i --name", self.container, *self._docker]
        for flag, value in self.options:
            if isinstance(value, Hidden) and (name := self._variable(flag)):
                words += ["-e", name]
        return " ".join([*words, self.version.image, self.name, *self._flags()])

    def _flags(self) -> Sequence[str]:
        words: list[str] = []
        for flag, value in self.options:
            if isinstance(value, Hidden):
                if not self._variable(flag):
                    words += [f"--{flag}", f'"${value.variable}"']
            elif flag in self.FACTS.SWITCHES:
                words.append(f"--{flag}={value}" if value else f"--{flag}")
            else:
                words += [f"--{flag}", shlex.quote(value)]
        return words

    @property
    def reading(self) -> str:
        """What sets the variables from the lines of standard input, to stand before `line`; "" where there are none."""
        reads = [value.reading for value in self.hidden]
        exports = [f"export {' '.join(self.exported)}"] if self.exported else []
        return "".join(f"{part} && " for part in (*reads, *exports))

    def shown(self, at: Where) -> Shown:
        """The command as a person would type it, on this host; its secrets are asked for here, and not shown."""
        line = f"{self.reading}{self.line}"
        if self.into:
            line = f"umask 077 && {line}"
        if at.sudo:
            simple = not (self.variables or self.into or self.stdin)
            line = f"sudo -n {line}" if simple else f"sudo -n sh -c {shlex.quote(line)}"
        return Shown(line, at.host, at.port, feed=asked(self.hidden))


def asked(values: Sequence[Hidden]) -> Shown | None:
    """What asks a person for values, and writes them into a pipe; None where there is nothing to ask for."""
    if not values:
        return None
    lines = [value.asking for value in values]
    return Shown("; ".join(lines) if len(lines) == 1 else f"{{ {'; '.join(lines)}; }}", here=True)
