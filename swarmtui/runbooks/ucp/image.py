"""One command of the image docker/ucp: how it is written, for people and for jobs, by the table of facts alone.

A secret is never part of a line. It is in a variable of the host's shell, filled from standard input; the line has its
name. Where a version documents an environment variable for it, docker passes that on by name; where only a flag exists,
the shell puts the value in, and while the command runs it is in the arguments of docker and of the image's process, and
in what `docker inspect` shows: `Command.exposed` names it for the plan.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from swarmtui.errors import UsageError
from swarmtui.model.text import one_line
from swarmtui.model.ucp import facts
from swarmtui.model.ucp.facts import Version
from swarmtui.runbooks.runbook import Shown
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where

_VARIABLE: Final = re.compile(r"[A-Z][A-Z0-9_]*")
_PROMPTS: Final = {
    "UCP_ADMIN_PASSWORD": "Password of the administrator of UCP",
    "UCP_PASSPHRASE": "Passphrase of the UCP backup",
    "UNLOCK_KEY": "Unlock key of the Swarm",
    "REGISTRY_PASSWORD": "Password at the registry",
}


@dataclass(frozen=True, slots=True)
class Hidden:
    """A value that is a secret: the shell variable that has it when the command runs."""

    variable: str

    def __post_init__(self) -> None:
        if not _VARIABLE.fullmatch(self.variable):
            raise ValueError(f"{self.variable!r} is no name of a variable")


PASSPHRASE: Final = Hidden("UCP_PASSPHRASE")
ADMIN_PASSWORD: Final = Hidden("UCP_ADMIN_PASSWORD")
UNLOCK_KEY: Final = Hidden("UNLOCK_KEY")


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command of the image, with its options.

    Attributes:
        version: the image's tag; never "latest".
        name: install, backup, …
        options: flag without hyphens → value; "" for a switch that is on, "false" for one that is off. A flag that may
            be given several times stands there several times.
        mounts: bind mounts and volumes besides the socket, as `docker run -v` takes them.
        selinux: whether the engine is confined by SELinux: then the image may reach the socket only unlabelled.
        stdin: path of a file on the host that it reads; "" for nothing.
        into: path of a file on the host that gets what it writes on standard output; "" for none.

    Raises:
        UsageError: this version has no such command, or the command no such flag.
    """

    version: Version
    name: str
    options: tuple[tuple[str, str | Hidden], ...] = ()
    mounts: tuple[str, ...] = ()
    selinux: bool = False
    stdin: str = ""
    into: str = ""

    def __post_init__(self) -> None:
        if not facts.has(self.version, self.name):
            raise UsageError(
                f"{self.version.product} has no command `{one_line(self.name)}`.",
                f"It has: {', '.join(sorted(facts.commands(self.version)))}.",
            )
        seen: set[str] = set()
        for flag, value in self.options:
            if not facts.has(self.version, self.name, flag):
                raise UsageError(
                    f"`{self.name}` of {self.version.product} has no flag --{one_line(flag)}.",
                    "Leave it out, or use a version that has it.",
                )
            if flag in seen and flag not in facts.REPEATED:
                raise UsageError(f"--{flag} can be given to `{self.name}` only once.", "Leave one out.")
            if flag in facts.SECRET_FLAGS and not isinstance(value, Hidden):
                raise ValueError(f"--{flag} is a secret, and must be hidden")
            seen.add(flag)

    # -- as a line -----------------------------------------------------------------------------------------------------

    @property
    def variables(self) -> tuple[str, ...]:
        """The shell variables with secrets that the line needs, in the order in which they are read."""
        return tuple(dict.fromkeys(value.variable for _, value in self.options if isinstance(value, Hidden)))

    @property
    def exported(self) -> tuple[str, ...]:
        """Those of them that docker is told by name, from the environment."""
        return tuple(
            value.variable for flag, value in self.options if isinstance(value, Hidden) and self._variable(flag)
        )

    @property
    def exposed(self) -> tuple[str, ...]:
        """Flags whose secret is in the arguments of processes on the host while the command runs."""
        return tuple(flag for flag, value in self.options if isinstance(value, Hidden) and not self._variable(flag))

    @property
    def exposure(self) -> str:
        """What the plan says about secrets that others on the host may see meanwhile; "" where there are none."""
        if not self.variables:
            return ""
        who = "root and members of the docker group on that host"
        if not self.exposed:
            return f"While `{self.name}` runs, {who} can read {' and '.join(self.variables)} with docker inspect."
        told = " and ".join(f"--{flag}" for flag in self.exposed)
        return (
            f"{self.version.product} takes {told} of `{self.name}` as an argument only: while it runs, {who} can read "
            "it (ps, docker inspect). It is in no log, journal or file."
        )

    def _variable(self, flag: str) -> str:
        return facts.variable(self.version, self.name, flag)

    @property
    def line(self) -> str:
        """The whole command, as root's shell on the host runs it when the variables are set."""
        into = f" > {shlex.quote(self.into)}" if self.into else ""
        return f"{self.plain}{into}" + (f" < {shlex.quote(self.stdin)}" if self.stdin else "")

    @property
    def plain(self) -> str:
        """The same without what it reads from and writes to."""
        words = ["docker container run --log-driver none --rm -i --name", facts.CONTAINER]
        if self.selinux:
            words.append("--security-opt label=disable")
        for mount in (f"{facts.SOCKET}:{facts.SOCKET}", *self.mounts):
            words += ["-v", shlex.quote(mount)]
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
            elif flag in facts.SWITCHES:
                words.append(f"--{flag}={value}" if value else f"--{flag}")
            else:
                words += [f"--{flag}", shlex.quote(value)]
        return words

    @property
    def reading(self) -> str:
        """What sets the variables from the lines of standard input, to stand before `line`; "" where there are none."""
        reads = [f"IFS= read -r {name}" for name in self.variables]
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
        return Shown(line, at.host, at.port, feed=asked(self.variables))


def asked(variables: Sequence[str]) -> Shown | None:
    """What asks a person for secrets, and writes one a line into a pipe; None where there is nothing to ask for."""
    if not variables:
        return None
    one = (
        "{ printf '%s: ' {what} >/dev/tty; stty -echo </dev/tty; IFS= read -r V </dev/tty; stty echo </dev/tty; "
        "echo >/dev/tty; printf '%s\\n' \"$V\"; }"
    )
    lines = [one.replace("{what}", shlex.quote(_PROMPTS.get(name, name))) for name in variables]
    return Shown("; ".join(lines) if len(lines) == 1 else f"{{ {'; '.join(lines)}; }}", here=True)
