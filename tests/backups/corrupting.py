"""What every corruption is made with: the archive it is done to, the register of kinds, flipping and cutting."""

from __future__ import annotations

import io
import random
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.backups import frames as wal
from tests.backups.frames import Frame
from tests.backups.generations import Files, Generation

BASES = ("plain", "locked", "snapshot")
THE_LOG = "raft/wal-v3-encrypted/0000000000000000-0000000000000000.wal"
SNAPSHOTS = ("locked", "snapshot")
BEFORE = {"plain": "plain-before", "locked": "locked-before", "snapshot": "snapshot-before"}


@dataclass
class Work:
    """What a corruption is done to, and with.

    Attributes:
        files: to be changed in place.
        key: the unlock key that the vault has.
        tar: the archive instead of one made of the files; None: it is made of them.
    """

    dice: random.Random
    base: Generation
    all: dict[str, Generation]
    files: Files
    key: str
    tar: bytes | None = None

    @property
    def before(self) -> Generation:
        """The same manager, earlier."""
        return self.all[BEFORE[self.base.name]]

    def name(self, suffix: str) -> str:
        """The one file with this suffix."""
        (found,) = [name for name in self.files if name.endswith(suffix)]
        return found

    @property
    def log(self) -> str:
        return self.name(".wal")

    @property
    def snap(self) -> str:
        return self.name(".snap")

    def frames(self) -> list[Frame]:
        return wal.taken_apart(self.files[self.log])

    def write(self, records: list[tuple[int, bytes | None]]) -> None:
        """The raft log anew, with its checksums right."""
        self.files[self.log] = wal.put_together(records, len(self.files[self.log]))


@dataclass(frozen=True)
class Case:
    """One corrupted archive.

    Attributes:
        key: the unlock key that the vault has, "" for none.
        whole: the archive's tar where the tar itself is what was corrupted.
    """

    number: int
    kind: str
    base: Generation = field(repr=False)
    what: str
    files: Files = field(repr=False)
    key: str = field(repr=False)
    whole: bytes | None = field(repr=False)

    @property
    def tar(self) -> bytes:
        """The archive."""
        return self.whole if self.whole is not None else tar_of(self.files)


Kind = Callable[[Work], str]
REGISTERED: dict[str, tuple[Kind, tuple[str, ...]]] = {}


def kind(*bases: str) -> Callable[[Kind], Kind]:
    """Registers a kind of corruption by its function's name, for these generations (all of `BASES` by default)."""

    def register(function: Kind) -> Kind:
        REGISTERED[function.__name__.replace("_", "-")] = (function, bases or BASES)
        return function

    return register


def tar_of(files: Files) -> bytes:
    """A tar as `tar -C /var/lib/docker -cf - swarm` makes it, folders left out."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, data in sorted(files.items()):
            info = tarfile.TarInfo(f"swarm/{name}")
            info.size, info.mode = len(data), 0o600
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


# --- bytes ------------------------------------------------------------------------------------------------------------


def flipped(dice: random.Random, data: bytes, begin: int, end: int, *, bit: bool) -> tuple[bytes, int]:
    """One bit or byte in a range is another; where."""
    at = dice.randrange(begin, end)
    mask = 1 << dice.randrange(8) if bit else dice.randrange(1, 256)
    return data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :], at


def flip(work: Work, name: str, begin: int = 0, end: int = -1, *, bit: bool = False) -> str:
    """Flips one of a file."""
    data = work.files[name]
    work.files[name], at = flipped(work.dice, data, begin, len(data) if end < 0 else end, bit=bit)
    return f"{name}: {'bit' if bit else 'byte'} at {at}"


def cut(work: Work, name: str) -> str:
    """Cuts a file short, anywhere."""
    at = work.dice.randrange(1, len(work.files[name]))
    work.files[name] = work.files[name][:at]
    return f"{name}: cut at {at}"


def used(work: Work) -> int:
    """Where the raft log ends and the reserved zeros begin."""
    return work.frames()[-1].end
