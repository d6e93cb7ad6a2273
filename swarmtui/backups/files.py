"""The files of a Swarm's directory, wherever they lie: in a folder, in an archive."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol


class SwarmFiles(Protocol):
    """Reads files by their names relative to the Swarm's directory, such as "certificates/swarm-node.key".

    A name is in here only for a regular file: whoever implements this leaves out links, devices and hostile names.
    """

    def names(self) -> Iterable[str]:
        """The names of all regular files, in any order."""
        ...

    def read(self, name: str) -> bytes:
        """The whole of one file.

        Raises:
            KeyError: there is no such file.
            OSError: it cannot be read.
        """
        ...

    def size(self, name: str) -> int:
        """Bytes of one file.

        Raises:
            KeyError: there is no such file.
            OSError: it cannot be read.
        """
        ...


class FolderFiles:
    """A Swarm's directory as a folder of this machine, such as /var/lib/docker/swarm of a stopped Docker.

    Symbolic links are left out: a restored directory has none, and one may point anywhere.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> Iterable[str]:
        found: list[str] = []
        waiting = [self._folder]
        while waiting:
            for entry in waiting.pop().iterdir():
                if entry.is_symlink():
                    continue
                if entry.is_dir():
                    waiting.append(entry)
                elif entry.is_file():
                    found.append(entry.relative_to(self._folder).as_posix())
        return sorted(found)

    def read(self, name: str) -> bytes:
        return self._path(name).read_bytes()

    def size(self, name: str) -> int:
        return self._path(name).stat().st_size

    def _path(self, name: str) -> Path:
        path = self._folder / name
        # Whatever resolves to another place goes over a link or over "..".
        if Path(name).is_absolute() or path.resolve() != self._folder.resolve() / name or not path.is_file():
            raise KeyError(name)
        return path
