"""`tar` on the simulated hosts: real archives of simulated files, made and read in memory.

An archive of /var/lib/docker/swarm holds the membership of its host, as on real ones: put back in its place with
Docker stopped, the host is that node again.
"""

from __future__ import annotations

import hashlib
import io
import posixpath
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from swarmtui.demo.hosts import files
from swarmtui.demo.hosts.commands import Context, command
from swarmtui.demo.hosts.shell import Output
from swarmtui.demo.world.host import Host, LocalSwarm

_KEY = "certificates/swarm-node.key"
_BARE = {"--sparse", "--numeric-owner", "--xattrs", "--acls", "--selinux", "--same-owner", "--no-same-owner"}
_LETTERS = set("ctxzvfCpSh")
_MOST_BYTES = 64 << 20
"""An archive that unpacks to more is not read: it is no archive of ours."""


class TarError(Exception):
    """In the words of tar, without its name."""


@dataclass(slots=True)
class _Asked:
    """What was asked of tar."""

    mode: str = ""
    gzip: bool = False
    verbose: bool = False
    file: str = "-"
    folder: str = "/root"
    names: list[str] = field(default_factory=list)


def _parse(words: list[str]) -> _Asked:
    asked = _Asked()
    rest = list(words)
    if rest and not rest[0].startswith("-"):
        rest[0] = f"-{rest[0]}"
    while rest:
        word = rest.pop(0)
        if word in _BARE:
            continue
        if word in ("--create", "--list", "--extract", "--gzip", "--verbose"):
            word = "-" + {"--extract": "x", "--gzip": "z"}.get(word, word[2])
        name, equals, value = word.partition("=")
        if name in ("--file", "--directory") and equals:
            rest.insert(0, value)
            word = "-f" if name == "--file" else "-C"
        if not word.startswith("-") or word == "-":
            asked.names.append(word)
            continue
        if word.startswith("--") or set(word[1:]) - _LETTERS:
            raise TarError(f"{word}: this option is not known on a simulated host")
        for letter in word[1:]:
            if letter in "ctx":
                if asked.mode not in ("", letter):
                    raise TarError("You may not specify more than one '-Acdtrux' option")
                asked.mode = letter
            elif letter in "fC":
                if not rest:
                    raise TarError(f"option requires an argument -- '{letter}'")
                value = rest.pop(0)
                if letter == "f":
                    asked.file = value
                else:
                    asked.folder = posixpath.normpath(posixpath.join(asked.folder, value))
            asked.gzip |= letter == "z"
            asked.verbose |= letter == "v"
    if not asked.mode:
        raise TarError("You must specify one of the '-Acdtrux' options")
    return asked


def reads_stdin(words: list[str]) -> bool:
    """Does this call of tar read its standard input?"""
    try:
        asked = _parse(words)
    except TarError:
        return False
    return asked.mode in ("t", "x") and asked.file == "-"


@command("tar")
async def tar(context: Context) -> Output:
    try:
        asked = _parse(context.args)
        if files.kind(context.host, asked.folder) != "folder":
            raise TarError(f"{asked.folder}: Cannot open: No such file or directory")
        return _create(context, asked) if asked.mode == "c" else _read(context, asked)
    except TarError as error:
        return Output(err=f"tar: {error}\ntar: Error is not recoverable: exiting now\n", code=2)


def _create(context: Context, asked: _Asked) -> Output:
    host, world = context.host, context.world
    if not asked.names:
        raise TarError("Cowardly refusing to create an empty archive")
    buffer = io.BytesIO()
    listed = []
    mode = "w:gz" if asked.gzip else "w:"
    with tarfile.open(fileobj=buffer, mode=mode, format=tarfile.GNU_FORMAT) as archive:  # type: ignore[call-overload]
        for name in asked.names:
            full = posixpath.normpath(posixpath.join(asked.folder, name))
            kind = files.kind(host, full)
            if kind not in ("file", "folder"):
                raise TarError(f"{name}: Cannot stat: No such file or directory")
            for path in sorted(files.listing(host)):
                if path != full and not path.startswith(full.rstrip("/") + "/"):
                    continue
                member = tarfile.TarInfo((name.rstrip("/") + path[len(full) :]).lstrip("/"))
                data = _bytes(host, path)
                member.size, member.mtime, member.mode = len(data), int(world.kernel.now()), 0o600
                archive.addfile(member, io.BytesIO(data))
                listed.append(member.name)
            for swarm in _memberships(host, full):
                world.archived[_digest(files.certificate(swarm).key)] = replace(swarm)
    text = buffer.getvalue().decode("utf-8", "surrogateescape")
    shown = "".join(f"{name}\n" for name in listed) if asked.verbose else ""
    if asked.file == "-":
        return Output(out=text, err=shown)
    target = posixpath.normpath(posixpath.join("/root", asked.file))
    if files.kind(host, target) == "folder" or files.kind(host, posixpath.dirname(target)) != "folder":
        raise TarError(f"{asked.file}: Cannot open: No such file or directory")
    host.files[target] = text
    return Output(out=shown)


def _memberships(host: Host, folder: str) -> Iterable[LocalSwarm]:
    """The Swarm folders below a folder."""
    present = {**host.aside, **({files.SWARM: host.swarm} if host.swarm is not None else {})}
    for path, swarm in present.items():
        if path == folder or path.startswith(folder.rstrip("/") + "/"):
            yield swarm


def _bytes(host: Host, path: str) -> bytes:
    text = files.read(host, path)
    return f"simulated {path}\n".encode() if text is None else text.encode("utf-8", "surrogateescape")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _members(context: Context, asked: _Asked) -> dict[str, bytes]:
    """The files in an archive, by name.

    Raises:
        TarError: it is none, or too big, or leads out of its folder.
    """
    if asked.file == "-":
        data = context.stdin
    else:
        text = files.read(context.host, posixpath.normpath(posixpath.join("/root", asked.file)))
        if text is None:
            raise TarError(f"{asked.file}: Cannot open: No such file or directory")
        data = text.encode("utf-8", "surrogateescape")
    found: dict[str, bytes] = {}
    left = _MOST_BYTES
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:*") as archive:
            for member in archive:
                left -= member.size
                if left < 0:
                    raise TarError("This archive is too big for a simulated host")
                if member.isfile() and (stream := archive.extractfile(member)) is not None:
                    found[posixpath.normpath(member.name).lstrip("/")] = stream.read()
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise TarError("This does not look like a tar archive") from error
    if any(name.startswith("../") or name in ("..", ".", "") for name in found):
        raise TarError("Removing leading `../' from member names is not done on a simulated host")
    return found


def _read(context: Context, asked: _Asked) -> Output:
    members = _members(context, asked)
    wanted = [posixpath.normpath(name).lstrip("/") for name in asked.names]
    chosen = {
        name: data
        for name, data in members.items()
        if not wanted or any(name == one or name.startswith(f"{one}/") for one in wanted)
    }
    if wanted and not chosen:
        raise TarError(f"{asked.names[0]}: Not found in archive")
    shown = "".join(f"{name}\n" for name in chosen)
    if asked.mode == "t":
        return Output(out=shown)
    _extract(context, asked.folder, chosen)
    return Output(out=shown if asked.verbose else "")


def _extract(context: Context, folder: str, members: dict[str, bytes]) -> None:
    host = context.host
    paths = {posixpath.join(folder, name): data for name, data in members.items()}
    for path in [path for path in paths if path.endswith(f"/{_KEY}")]:
        place = path[: -len(_KEY) - 1]
        known = context.world.archived.get(_digest(paths[path].decode("utf-8", "surrogateescape")))
        if known is None:
            raise TarError(f"{place}: the keys of this Swarm are of no host of this simulation")
        if place == files.SWARM:
            if host.docker:
                raise TarError(f"{place}: Cannot open: Device or resource busy")
            host.swarm = replace(known)
        else:
            host.aside[place] = replace(known)
        paths = {name: data for name, data in paths.items() if not name.startswith(f"{place}/")}
    for path, data in paths.items():
        if path == files.SWARM or path.startswith(f"{files.SWARM}/"):
            raise TarError(f"{path}: without its keys nothing of a Swarm is put back on a simulated host")
        host.files[path] = data.decode("utf-8", "surrogateescape")
