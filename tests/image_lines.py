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


def writing_docker(folder: Path, script: str) -> Path:
    """Folders for a job and what is seen of it, with a `docker` in bin/ that runs this script."""
    for name in ("bin", "memory", "job", "record"):
        (folder / name).mkdir()
    docker = folder / "bin" / "docker"
    docker.write_text(script)
    docker.chmod(0o755)
    return folder
