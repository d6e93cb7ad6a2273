"""What is in the tar of a UCP backup, read front to back without unpacking it. Nothing in it is trusted.

The documentation says little of its layout, and not the same for every version (ucp-dtr.md §1.5): a folder for each
volume, what `docker inspect` said of each container as ./ucp-NAME.json, and which key file proves that it is whole.
"""

from __future__ import annotations

import tarfile
from collections import Counter
from dataclasses import dataclass
from typing import Any, BinaryIO

import msgspec

from swarmtui.backups.tarstream import clean, time_of, walk
from swarmtui.model.text import one_line
from swarmtui.model.ucp.facts import INSTANCE_LABEL, Version

LARGEST_DUMP = 1 << 20
"""Bytes of what `docker inspect` says of one container."""
MOST_DUMPS = 200
_VERSION_LABEL = "com.docker.ucp.version"
_REPOSITORIES = ("docker/ucp", "mirantis/ucp")

NODE_KEY = "ucp-node-certs/key.pem"
SERVER_KEY = "ucp-controller-server-certs/key.pem"


@dataclass(frozen=True, slots=True)
class Contents:
    """What was found.

    Attributes:
        entries: how many members the tar has, folders included.
        folders: names at its top, such as "ucp-node-certs".
        keys: those of `NODE_KEY` and `SERVER_KEY` that are there and not empty.
        version: that the containers had whose dumps are in it; "" where there are none, or they disagree.
        versions: all that were found, the most frequent first.
        instance_id: of UCP, by their labels; "" where they do not tell.
        newest: when the newest file was written to, unix seconds; 0.0 where none tells.
    """

    entries: int = 0
    folders: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    version: str = ""
    versions: tuple[str, ...] = ()
    instance_id: str = ""
    newest: float = 0.0

    @property
    def is_ucp(self) -> bool:
        """Whether it is a backup of UCP at all."""
        return bool(self.keys) or any(name.startswith("ucp-") for name in self.folders)


@dataclass(frozen=True, slots=True)
class Needed:
    """What the documentation of a version says that a good backup has: a key file, and at least so many entries."""

    key: str
    entries: int
    source: str


def needed(version: str) -> Needed:
    """For a version of UCP, such as "2.2.5". Raises ValueError where no documentation is about it."""
    if Version.parse(version).series == "mke":
        return Needed(SERVER_KEY, 27, "the documentation of MKE 3.4 to 3.7")
    return Needed(NODE_KEY, 101, "the documentation of UCP 2.1 and 3.2")


def read(tar: BinaryIO) -> Contents:
    """Reads all of a tar, once.

    Raises:
        ArchiveError: it is no tar, cut off, or what is in it cannot be.
    """
    found = _Reading()
    return found.contents(walk(tar, found.take, "UCP"))


class _Reading:
    def __init__(self) -> None:
        self._folders: set[str] = set()
        self._keys: set[str] = set()
        self._versions: Counter[str] = Counter()
        self._instances: Counter[str] = Counter()
        self._newest = 0.0
        self._dumps = 0

    def take(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        name = clean(member.name)
        top = name.partition("/")[0]
        if len(self._folders) < 500 and len(top) <= 200:
            self._folders.add(top)
        if not member.isreg():
            return
        self._newest = max(self._newest, time_of(member))
        if name in (NODE_KEY, SERVER_KEY) and member.size > 0:
            self._keys.add(name)
        if name == top and top.startswith("ucp-") and top.endswith(".json") and member.size <= LARGEST_DUMP:
            self._dumps += 1
            file = archive.extractfile(member) if self._dumps <= MOST_DUMPS else None
            if file is not None:
                self._dump(file.read(LARGEST_DUMP))

    def _dump(self, content: bytes) -> None:
        """What `docker inspect` said of a container: its image and labels tell the version and the instance."""
        try:
            told: Any = msgspec.json.decode(content)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return
        for each in told if isinstance(told, list) else [told]:
            config = each.get("Config") if isinstance(each, dict) else None
            if not isinstance(config, dict):
                continue
            image, labels = config.get("Image"), config.get("Labels")
            labels = labels if isinstance(labels, dict) else {}
            self._say(image if isinstance(image, str) and image.startswith(_REPOSITORIES) else None)
            self._say(labels.get(_VERSION_LABEL))
            instance = labels.get(INSTANCE_LABEL)
            if isinstance(instance, str) and instance.isalnum() and len(instance) <= 64:
                self._instances[instance] += 1

    def _say(self, text: object) -> None:
        if isinstance(text, str):
            try:
                self._versions[str(Version.parse(text))] += 1
            except ValueError:
                return

    def contents(self, entries: int) -> Contents:
        versions = tuple(name for name, _ in self._versions.most_common(10))
        return Contents(
            entries=entries,
            folders=frozenset(self._folders),
            keys=frozenset(self._keys),
            version=versions[0] if len(versions) == 1 else "",
            versions=versions,
            instance_id=next(iter(self._instances)) if len(self._instances) == 1 else "",
            newest=self._newest,
        )


def missing(contents: Contents, version: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a good backup of that version has and this one has not, and what is unlike the documentation; sentences.

    Only the key file decides: the documentation does not agree with itself about the rest.
    """
    try:
        wanted = needed(version)
    except ValueError:
        return (), (f"Nothing is documented of what a backup of UCP {one_line(version)[:20]} has.",)
    bad: list[str] = []
    told: list[str] = []
    if wanted.key not in contents.keys:
        sentence = f"It has no {wanted.key}, which {wanted.source} wants."
        # The pages of 3.2 name that volume both as kept and as not kept.
        (told if contents.keys and Version.parse(version).series == "3.2" else bad).append(sentence)
    if contents.entries < wanted.entries:
        told.append(
            f"It has {contents.entries} entries, and {wanted.source} wants at least {wanted.entries}: look what is "
            "missing."
        )
    return tuple(bad), tuple(told)
