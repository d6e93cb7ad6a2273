"""Commands of the images of UCP and DTR as lines of sh, read by this file alone; and a docker that only writes down.

Nothing of the product, the simulator or the stand-ins is imported here, and none of them imports it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Run:
    """One `docker container run` of an image."""

    version: str
    command: str
    flags: list[tuple[str, str]]
    docker: list[str]
    """The words before the image."""

    def __getitem__(self, flag: str) -> str:
        return next(value for name, value in self.flags if name == flag)

    @property
    def named(self) -> list[str]:
        """The variables that docker passes on by name."""
        pairs = zip(self.docker, self.docker[1:], strict=False)
        return [word for before, word in pairs if before in ("-e", "--env")]


@dataclass
class Reader:
    """Reads the runs of one product's image.

    Attributes:
        product: "ucp". repository: version → whose image it is. without_value: flags that take none.
    """

    product: str
    repository: Mapping[str, str]
    without_value: Collection[str]

    def runs_in(self, text: str) -> list[Run]:
        """Every run of the image in a text of commands."""
        # Lines that ssh carries are quoted once more; a quote in them is written '"'"'.
        plain = text.replace("'\"'\"'", "'")
        found = re.finditer(
            rf"docker (?:container )?run [^|;]*?\b(?:docker|mirantis)/{self.product}[:@ ][^|;&\n]*", plain
        )
        return [self.read(one[0].split(" >")[0].split(" <")[0].rstrip("'")) for one in found]

    def read(self, line: str) -> Run:
        """The run that one line of sh is."""
        words = shlex.split(line)
        at = next(i for i, word in enumerate(words) if re.match(rf"(docker|mirantis)/{self.product}:", word))
        repository, _, version = words[at].partition(f"/{self.product}:")
        assert self.repository.get(version) == repository, f"{words[at]} is no image that is documented"
        command, *rest = words[at + 1 :]
        flags: list[tuple[str, str]] = []
        while rest:
            flag, equals, value = rest.pop(0).partition("=")
            assert flag.startswith("-"), f"{flag} is no flag: {line}"
            if not equals and flag not in self.without_value:
                value = rest.pop(0)
            flags.append((flag, value))
        return Run(version, command, flags, words[:at])


def check_flags(run: Run, documented: Mapping[str, Mapping[str, Collection[str]]]) -> None:
    """Fails where a run's version has no such command, or the command no such flag."""
    commands = documented[run.version]
    assert run.command in commands, f"{run.version} has no command {run.command}"
    for flag, _ in run.flags:
        assert flag in commands[run.command], f"{run.command} of {run.version} has no {flag}"


def written_in(source: Path, product: str, allowed: Collection[Path]) -> list[str]:
    """Files of the program, beside those allowed, that write a run of a product's image themselves."""
    return [
        str(file.relative_to(source))
        for file in source.rglob("*.py")
        if file not in allowed
        and "demo" not in file.parts
        and re.search(r'["\' ]docker (container )?run\b', file.read_text("utf-8"))
        and re.search(rf"/{product}[:\"']|\.image\b.*--|{product}:", file.read_text("utf-8"))
    ]


def writing_docker(folder: Path, script: str) -> Path:
    """Folders for a job and what is seen of it, with a `docker` in bin/ that runs this script."""
    for name in ("bin", "memory", "job", "record"):
        (folder / name).mkdir()
    docker = folder / "bin" / "docker"
    docker.write_text(script)
    docker.chmod(0o755)
    return folder
