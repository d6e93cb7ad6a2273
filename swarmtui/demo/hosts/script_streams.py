"""Where the commands of a script read from and write to: memory, or files of a simulated host."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass

from swarmtui.demo.hosts import files
from swarmtui.demo.world.host import Host


class Sink:
    """Where output goes: into `data`, or into the file at `path`.

    Attributes:
        failed: some of it could not be written.
    """

    def __init__(self, path: str = "", mode: int = 0o644) -> None:
        self.data = bytearray()
        self.path = path
        self.mode = mode
        self.failed = False

    def text(self) -> str:
        """What was written, from which the bytes can be had again with `surrogateescape`."""
        return bytes(self.data).decode("utf-8", "surrogateescape")


@dataclass(slots=True)
class Source:
    """What comes in; what was read of it is gone for whoever reads next."""

    data: bytes = b""

    def line(self) -> tuple[str, bool]:
        """The next line, and whether it was a whole one."""
        line, ended, self.data = self.data.partition(b"\n")
        return line.decode("utf-8", "surrogateescape"), bool(ended)


@dataclass(slots=True)
class Streams:
    """Standard input, output and error of a command."""

    stdin: Source
    out: Sink
    err: Sink


class Files:
    """Output into files of a host."""

    def __init__(self, host: Host, now: Callable[[], float]) -> None:
        self._host = host
        self._now = now

    def open(self, path: str, umask: int, *, append: bool) -> str:
        """Make an output file ready; returns why it cannot be."""
        host = self._host
        if files.kind(host, posixpath.dirname(path)) != "folder":
            return "Directory nonexistent"
        if files.kind(host, path) not in ("", "file"):
            return "Is a directory"
        if files.busy(host, path) and path.startswith(f"{files.SWARM}/"):
            return "Device or resource busy"
        if append and path in host.files:
            return ""
        return "" if self._put(path, b"", 0o666 & ~umask, append=append) else "No space left on device"

    def write(self, sink: Sink, text: str) -> None:
        """Write to a sink."""
        data = text.encode("utf-8", "surrogateescape")
        if not sink.path:
            sink.data += data
        elif data and not self._put(sink.path, data, sink.mode, append=True):
            sink.failed = True

    def _put(self, path: str, data: bytes, mode: int, *, append: bool) -> bool:
        try:
            files.write(self._host, path, data, now=self._now(), mode=mode, append=append)
        except files.NoSpaceError:
            return False
        return True
