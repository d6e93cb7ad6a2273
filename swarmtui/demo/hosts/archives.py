"""`tar` on the simulated hosts: real archives of simulated files, made and read in memory."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from datetime import UTC, datetime

from swarmtui.demo.hosts import files, tarball
from swarmtui.demo.hosts.commands import Context, command
from swarmtui.demo.hosts.shell import Output
from swarmtui.demo.hosts.storage import permissions
from swarmtui.demo.hosts.tarball import Member, TarballError
from swarmtui.demo.world import faults
from swarmtui.demo.world.host import Host

VERSION = "tar (GNU tar) 1.34\nCopyright (C) 2021 Free Software Foundation, Inc.\n"
SECONDS = 0.8
"""How long an archive of a Swarm's folder takes."""
_BARE = {
    "--same-owner",
    "--no-same-owner",
    "--preserve-permissions",
    "--same-permissions",
    "--hole-detection=raw",
    "--hole-detection=seek",
    "--warning=no-file-changed",
}
_POSIX = {"--xattrs", "--acls", "--selinux", "--format=posix"}
_LONG = {
    "--create": "-c",
    "--list": "-t",
    "--extract": "-x",
    "--get": "-x",
    "--gzip": "-z",
    "--verbose": "-v",
    "--sparse": "-S",
}
_LETTERS = set("ctxzvfCpSh")


class TarError(Exception):
    """In the words of tar, without its name."""


@dataclass(slots=True)
class _Asked:
    """What was asked of tar."""

    mode: str = ""
    gzip: bool = False
    verbose: bool = False
    sparse: bool = False
    posix: bool = False
    numeric: bool = False
    file: str = "-"
    folder: str = "/root"
    names: list[str] = field(default_factory=list)


def _parse(words: list[str], folder: str) -> _Asked:
    asked = _Asked(folder=folder)
    rest = list(words)
    if rest and not rest[0].startswith("-"):
        rest[0] = f"-{rest[0]}"
    while rest:
        word = _LONG.get(rest[0], rest[0])
        rest.pop(0)
        if word in _BARE:
            continue
        if word == "--numeric-owner":
            asked.numeric = True
            continue
        if word in ("--hole-detection=raw", "--hole-detection=seek"):
            asked.sparse = True
            continue
        if word in _POSIX:
            asked.posix = True
            continue
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
            asked.sparse |= letter == "S"
    if not asked.mode:
        raise TarError("You must specify one of the '-Acdtrux' options")
    return asked


def reads_stdin(words: list[str]) -> bool:
    """Does this call of tar read its standard input?"""
    try:
        asked = _parse(words, "/root")
    except TarError:
        return False
    return asked.mode in ("t", "x") and asked.file == "-"


@command("tar")
async def tar(context: Context) -> Output:
    if context.args == ["--version"]:
        return Output(out=VERSION)
    try:
        asked = _parse(context.args, context.cwd)
        if files.kind(context.host, asked.folder) != "folder":
            raise TarError(f"{asked.folder}: Cannot open: No such file or directory")
        return await _create(context, asked) if asked.mode == "c" else _read(context, asked)
    except (TarError, TarballError) as error:
        return Output(err=f"tar: {error}\ntar: Error is not recoverable: exiting now\n", code=2)


async def _create(context: Context, asked: _Asked) -> Output:
    host, now = context.host, context.world.kernel.now()
    if not asked.names:
        raise TarError("Cowardly refusing to create an empty archive")
    target = posixpath.normpath(posixpath.join(context.cwd, asked.file))
    to_file = asked.file != "-"
    parent = posixpath.dirname(target)
    if to_file and (files.kind(host, target) == "folder" or files.kind(host, parent) != "folder"):
        raise TarError(f"{asked.file}: Cannot open: No such file or directory")
    found: list[Member] = []
    missing = ""
    for name in asked.names:
        full = posixpath.normpath(posixpath.join(asked.folder, name))
        if files.kind(host, full) not in ("file", "folder"):
            missing += f"tar: {name}: Cannot stat: No such file or directory\n"
            continue
        found += members(host, full, name, target if to_file else "")
    form = tarball.Form(gzip=asked.gzip, sparse=asked.sparse, posix=asked.posix, numeric=asked.numeric)
    data = tarball.pack(found, form, now=now)
    if to_file:
        # Half of it is there before the whole is: what comes in between leaves a half one behind.
        _write(context, target, data[: len(data) // 2], asked.file)
    await context.world.kernel.sleep(SECONDS)
    if faults.TAR_KILLED in host.faults:
        return Output(err="Killed\n", code=137)
    shown = "".join(f"{member.name}\n" for member in found) if asked.verbose else ""
    ended = f"{missing}tar: Exiting with failure status due to previous errors\n" if missing else ""
    if not to_file:
        return Output(out=data.decode("utf-8", "surrogateescape"), err=shown + ended, code=2 if missing else 0)
    _write(context, target, data, asked.file)
    return Output(out=shown, err=ended, code=2 if missing else 0)


def _write(context: Context, target: str, data: bytes, shown: str) -> None:
    try:
        files.write(context.host, target, data, now=context.world.kernel.now(), mode=0o666 & ~context.umask)
    except files.NoSpaceError as error:
        record = 10240
        left = error.written % record
        said = f"Wrote only {left} of {record} bytes" if left else "Cannot write: No space left on device"
        raise TarError(f"{shown}: {said}") from None


def members(host: Host, full: str, name: str, but: str = "") -> list[Member]:
    """What tar writes of a path: folders before what is in them, their names with a slash at the end.

    Args:
        full: the path.
        name: what it is called in the archive.
        but: a path that is left out: of the archive itself.
    """
    if files.kind(host, full) == "file":
        found = files.content(host, full)
        return [] if found is None else [Member(name.lstrip("/"), found)]
    begin = full.rstrip("/") + "/"
    below = {path for path in (*files.listing(host), *files.folders(host)) if path.startswith(begin)}
    parents = {path[:at] for path in below for at in range(len(begin), len(path)) if path[at] == "/"}
    result = []
    for path in sorted({full, *below, *parents}):
        shown = (name.rstrip("/") + path[len(full) :]).lstrip("/")
        kind = files.kind(host, path)
        if kind == "folder":
            result.append(Member(shown, None, files.mode(host, path)))
        elif kind == "file" and path != but and (found := files.content(host, path)) is not None:
            result.append(Member(shown, found))
    return result


def _found(context: Context, asked: _Asked) -> dict[str, Member]:
    """What is in an archive, by name.

    Raises:
        TarError: there is none, or it leads out of its folder.
        TarballError: it is none.
    """
    data = context.stdin
    if asked.file != "-":
        file = files.content(context.host, posixpath.normpath(posixpath.join(context.cwd, asked.file)))
        if file is None:
            raise TarError(f"{asked.file}: Cannot open: No such file or directory")
        data = file.whole()
    found = {posixpath.normpath(member.name).lstrip("/"): member for member in tarball.unpack(data)}
    if any(name.startswith("../") or name in ("..", "") for name in found):
        raise TarError("Removing leading `../' from member names is not done on a simulated host")
    return found


def _read(context: Context, asked: _Asked) -> Output:
    there = _found(context, asked)
    wanted = [posixpath.normpath(name).lstrip("/") for name in asked.names]
    chosen = {
        name: member
        for name, member in there.items()
        if not wanted or any(name == one or name.startswith(f"{one}/") for one in wanted)
    }
    if wanted and not chosen:
        raise TarError(f"{asked.names[0]}: Not found in archive")
    shown = "".join(f"{_shown(name, member)}\n" for name, member in chosen.items())
    if asked.mode == "t":
        return Output(out="".join(f"{_long(*one)}\n" for one in chosen.items()) if asked.verbose else shown)
    _extract(context, asked.folder, chosen)
    return Output(out=shown if asked.verbose else "")


def _shown(name: str, member: Member) -> str:
    return name if member.file is not None else f"{name}/"


def _long(name: str, member: Member) -> str:
    """As `tar -tv` shows it."""
    file = member.file
    kind, mode, size = ("folder", member.mode, 0) if file is None else ("file", file.mode, file.length)
    when = datetime.fromtimestamp(0 if file is None else file.mtime, UTC).strftime("%Y-%m-%d %H:%M")
    return f"{permissions(kind, mode)} {member.owner} {size:>9} {when} {_shown(name, member)}"


def _extract(context: Context, folder: str, members: dict[str, Member]) -> None:
    host = context.host
    paths = {posixpath.normpath(posixpath.join(folder, name)): member for name, member in members.items()}
    for path in paths:
        if files.busy(host, path) and path.startswith(files.SWARM):
            raise TarError(f"{path}: Cannot open: Device or resource busy")
    for path, member in paths.items():
        if member.file is not None:
            files.put(host, path, member.file)
        elif path not in files.FOLDERS:
            host.folders[path] = member.mode
