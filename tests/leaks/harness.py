"""Everything that is looked at while things run, and everything that is searched after them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tests.leaks.needles import Secret, found_in

if TYPE_CHECKING:
    from tests.driver import Driver
    from tests.lab import Host

WATCHER = Path(__file__).with_name("watch.py")
LOG = "/var/log/leaks-exec"
WRAPPED = ("docker", "sudo", "systemctl", "tar", "curl", "ssh", "sh", "bash", "env")
"""Programs of a lab host that note what they are started with. A kernel's event can come too late to read what a very
short program got; these write it down themselves, before anything else."""
SCREENS = ("screen", "the terminal", "std", "standard")
"""Where words may be wrapped, as the names of those places begin."""
UNREAD_MAX = 0.02
"""Share of the programs whose start was told, but which had ended before their command line could be read."""


@dataclass(frozen=True)
class Exempt:
    """A place in which a secret may be.

    Attributes:
        where: how the place begins, as a find names it.
        why: one sentence, with the source of the rule.
    """

    where: str
    why: str


EXEMPT: tuple[Exempt, ...] = (
    Exempt(
        "file of HOST:/var/lib/docker/swarm/",
        "The engine's own state: tokens and keys are in its raft log by design (swarm-dr.md §1).",
    ),
)
"""All exceptions there are. A vendor's interface that has no other way is named here and in the README only."""


@dataclass(frozen=True)
class Find:
    """A secret where none may be: which, where, and how it is written there. Never the secret itself."""

    secret: str
    where: str
    encoding: str

    def __str__(self) -> str:
        return f"{self.secret} in {self.where} ({self.encoding})"


@dataclass
class Leaks:
    """Collects what a run left anywhere. `secret` may be called at any time: all is searched at the end.

    Attributes:
        counts: what the watcher saw: execs, unread, samples, overruns.
        complete: the kernel told of every program that was started.
        why: why it did not.
    """

    folder: Path
    complete: bool = False
    why: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    _secrets: list[Secret] = field(default_factory=list)
    _texts: list[tuple[str, bytes]] = field(default_factory=list)
    _folders: list[Path] = field(default_factory=list)
    _hosts: list[Host] = field(default_factory=list)
    _watcher: subprocess.Popen[str] | None = None

    # -- what to look for, and where ---------------------------------------------------------------------------------

    def secret(self, name: str, text: str) -> str:
        """Something that must be found nowhere; returns it."""
        assert len(text) >= 8, "too short to be told from chance"
        self._secrets.append(Secret(name, text))
        return text

    def seen(self, where: str, text: str | bytes) -> None:
        """What somebody could read: an output, an error, the bytes of a terminal."""
        self._texts.append((where, text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")))

    def error(self, error: BaseException) -> None:
        """An exception, with all that caused it, as a traceback and a debugger would show it."""
        told: BaseException | None = error
        while told is not None:
            self.seen("exception", f"{told!s}\n{told!r}\n{told.args!r}\n{vars(told)!r}")
            told = told.__cause__ or told.__context__

    def console(self, driver: Driver) -> None:
        """The screen as it is: its text, and the picture that ctrl-p exports."""
        self.seen("screen", driver.text)
        self.seen("screenshot (SVG)", driver.app.export_screenshot())

    def below(self, folder: Path) -> None:
        """All files of a folder, as they are at the end."""
        self._folders.append(folder)

    def host(self, host: Host) -> None:
        """A host of the lab: its programs from now on, and its disk and its journal at the end."""
        self._hosts.append(host)
        for name in WRAPPED:
            real = f"/usr/bin/{name}"
            script = (
                "#!/usr/bin/bash\n"
                f"{{ printf '%s\\0' {name} \"$@\"; /usr/bin/cat /proc/$$/environ; echo; }} >>{LOG} 2>/dev/null\n"
                f'exec {real} "$@"\n'
            )
            host.sh(f"[ ! -x {real} ] || {{ cat >/usr/local/bin/{name} && chmod 755 /usr/local/bin/{name}; }}",
                    data=script.encode())  # fmt: skip
        host.sh(f"touch {LOG} && chmod 622 {LOG}")

    def _unwrap(self) -> None:
        for host in self._hosts:
            # By their full names: the wrappers are about to go.
            host.sh(f"/usr/bin/rm -f {LOG} {' '.join(f'/usr/local/bin/{name}' for name in WRAPPED)}", check=False)

    # -- watching ----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def watching(self) -> Iterator[Leaks]:
        """Watches every process of this machine, the hosts of the lab among them, for the length of a block."""
        notes = self.folder / "processes.jsonl"
        watcher = subprocess.Popen(
            [sys.executable, "-S", "-E", str(WATCHER), str(notes), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            told = _line(watcher.stdout)
            self.complete, self.why = told["complete"], told["why"]
            self._watcher = watcher
            yield self
            self.stop()
        finally:
            self._unwrap()
            if watcher.poll() is None:
                watcher.kill()
            watcher.wait()
            for stream in (watcher.stdin, watcher.stdout):
                if stream is not None:
                    stream.close()

    def stop(self) -> None:
        """Ends the watching: after this everything can be searched."""
        watcher, self._watcher = self._watcher, None
        if watcher is None:
            return
        assert watcher.stdin is not None
        watcher.stdin.close()
        self.counts = _line(watcher.stdout)
        watcher.wait()

    # -- searching ---------------------------------------------------------------------------------------------------

    def finds(self) -> list[Find]:
        """Every secret in every place, but for the exceptions in `EXEMPT`."""
        self.stop()
        found: dict[Find, None] = {}
        for where, data in self._places():
            if any(_normal(where, self._hosts).startswith(exempt.where) for exempt in EXEMPT):
                continue
            screen = where.startswith(SCREENS)
            for name, encoding in found_in(data, self._secrets, wrapped=screen):
                found[Find(name, where, encoding)] = None
        return list(found)

    def _places(self) -> Iterator[tuple[str, bytes]]:
        yield from self._processes()
        yield from self._texts
        for folder in self._folders:
            yield from _files(folder, f"file {folder}/")
        for host in self._hosts:
            yield f"programs of {host.name}", host.sh(f"/usr/bin/cat {LOG}").stdout.encode()
            journal = host.sh("/usr/bin/journalctl -b -a -o export --no-pager", check=False, timeout=60)
            yield f"journal of {host.name}", journal.stdout.encode()
            for where, data in _files(host.folder / "upper", f"file of {host.name}:/"):
                if not where.startswith((f"file of {host.name}:{LOG}", f"file of {host.name}:/var/log/journal/")):
                    yield where, data
            for name in ("containers", "swarm"):  # the rest is images
                yield from _files(host.docker_folder / name, f"file of {host.name}:/var/lib/docker/{name}/")

    def _processes(self) -> Iterator[tuple[str, bytes]]:
        with (self.folder / "processes.jsonl").open() as lines:
            notes: list[Any] = [json.loads(line) for line in lines]
        values = [note["value"].encode("latin-1") for note in notes]
        # All at once first: as a rule there is nothing to be found.
        if found_in(b"\n".join(values), self._secrets, wrapped=False):
            for note, value in zip(notes, values, strict=True):
                yield (
                    f"{note['what']} of a process ({_program(value) if note['what'] == 'cmdline' else note['pid']})",
                    value,
                )

    def check(self) -> None:
        """Fails where a secret was found, or where not enough was looked at to say so."""
        finds = self.finds()
        assert not finds, "secrets leaked:\n" + "\n".join(f"  {find}" for find in finds)
        assert self._secrets, "nothing was looked for"
        assert self.counts["samples"] > 0, "no process was ever looked at"
        if self.complete:
            assert self.counts["execs"] > 0, "the kernel told of no program that was started"
            assert not self.counts["overruns"], "the kernel told of more programs than could be noted"
            assert self.counts["unread"] <= max(2, self.counts["execs"] * UNREAD_MAX), self.counts


def _line(stream: IO[str] | None) -> dict[str, Any]:
    assert stream is not None
    told = json.loads(stream.readline())
    assert isinstance(told, dict)
    return told


def _program(line: bytes) -> str:
    """The name of a program, for a find: none of its arguments, where the secret may be."""
    return Path(line.split(b"\0")[0].decode("utf-8", "replace")).name[:40]


def _normal(where: str, hosts: list[Host]) -> str:
    for host in hosts:
        where = where.replace(f" {host.name}:", " HOST:")
    return where


def _files(folder: Path, prefix: str) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with contextlib.suppress(OSError):
                yield prefix + str(path.relative_to(folder)), path.read_bytes()


@contextlib.contextmanager
def watched() -> Iterator[Leaks]:
    """A harness with a private folder of its own, and its watcher running."""
    with tempfile.TemporaryDirectory(prefix="swarmtui-leaks-") as name, Leaks(Path(name)).watching() as leaks:
        yield leaks
