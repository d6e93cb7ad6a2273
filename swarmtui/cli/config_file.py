"""Edits the configuration file without touching what a person wrote around it.

A whole table is appended or taken out as text, so comments, order and spelling of everything else stay. What comes out
is written beside the file, read by `config.load`, compared with what was meant, and only then put in its place.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import stat
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from swarmtui import config
from swarmtui.config import ClusterConfig, Config
from swarmtui.errors import SwarmtuiError, UsageError
from swarmtui.model.text import one_line

OLD_SUFFIX = ".old"
"""A file from which something was taken out stays beside the new one under this name."""


def add(known: Config, name: str, settings: Mapping[str, Any]) -> str:
    """Appends a cluster to the configuration file, which is made if there is none.

    Args:
        known: the configuration as it was just read.
        settings: keys of a `ClusterConfig`: texts, booleans, lists of texts, tables of texts.

    Returns:
        The lines that were added.

    Raises:
        UsageError: the file would say something that cannot be meant, or was changed meanwhile.
        SwarmtuiError: the file cannot be written.
    """
    before = _read(known.path)
    end = "\r\n" if b"\r\n" in before else "\n"
    lines = [f"[clusters.{_key(name)}]", *(f"{key} = {_value(value)}" for key, value in settings.items())]
    table = end.join((*lines, ""))
    text = before.decode("utf-8")
    gap = "" if not text.strip() else end if text.endswith("\n") else end * 2
    made = msgspec.convert(dict(settings), ClusterConfig)
    _write(known, before, f"{text}{gap}{table}", {**known.clusters, name: made}, f"Add [clusters.{name}]")
    return table.replace("\r\n", "\n")


def remove(known: Config, name: str) -> str:
    """Takes a cluster out of the configuration file; the file as it was stays beside it.

    Comments inside its tables, and directly above them, go with it; a comment at the top of the file stays.

    Returns:
        The lines that were taken out.

    Raises:
        UsageError: there is no such cluster, the file was changed meanwhile, or the cluster is written in a way that
            can only be taken out by hand.
        SwarmtuiError: the file cannot be written.
    """
    if name not in known.clusters:
        named = ", ".join(known.clusters) or "none"
        raise UsageError(f'There is no cluster "{one_line(name)}" in {known.path}.', f"Named clusters: {named}.")
    before = _read(known.path)
    lines = _lines(before.decode("utf-8"))
    gone = _belonging(lines, ("clusters", name))
    kept = "".join(line for at, line in enumerate(lines) if at not in gone)
    clusters = {other: cluster for other, cluster in known.clusters.items() if other != name}
    _write(known, before, kept, clusters, f"Take [clusters.{name}] out", keep_old=True)
    return "".join(lines[at] for at in sorted(gone)).replace("\r\n", "\n").strip("\n") + "\n"


# -- values --------------------------------------------------------------------------------------------------------


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _value(name)


def _value(value: Any) -> str:
    """TOML for a text, a boolean, a list of texts, or a table of texts: written as JSON does, but for the one character
    it forgets."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {_value(text)}" for key, text in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


# -- where a table is ----------------------------------------------------------------------------------------------


class _Statement(NamedTuple):
    """A header or an assignment: the full path it is about, and its first and last line."""

    path: tuple[str, ...]
    first: int
    last: int
    header: bool


def _lines(text: str) -> list[str]:
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _belonging(lines: list[str], path: tuple[str, ...]) -> set[int]:
    """The lines of all statements about a path or what is below it, and of the comments that belong to them."""
    gone: set[int] = set()
    for statement in _statements(lines):
        if statement.path[: len(path)] != path:
            continue
        begin = statement.first
        if statement.header:
            while begin > 0 and lines[begin - 1].lstrip().startswith("#"):
                begin -= 1
            if begin == 0:
                begin = statement.first  # what a file begins with is about the file
        gone.update(range(begin, statement.last + 1))
    for at in sorted(gone):
        _take_after(lines, at, gone)
    return gone


def _take_after(lines: list[str], at: int, gone: set[int]) -> None:
    """Takes what follows a line that goes: comments between two such lines or at the end of the table, and blanks."""
    end = at + 1
    while end < len(lines) and end not in gone and lines[end].lstrip().startswith("#"):
        end += 1
    # Comments that stand directly above something else belong to that.
    if end == len(lines) or end in gone or not lines[end].strip():
        gone.update(range(at + 1, end))
    else:
        end = at + 1
    blanks = end
    while blanks < len(lines) and not lines[blanks].strip():
        blanks += 1
    gone.update(range(end, blanks))


def _statements(lines: list[str]) -> Iterator[_Statement]:
    """Splits a file that is TOML into its statements."""
    table: tuple[str, ...] = ()
    at = 0
    while at < len(lines):
        line = lines[at].strip()
        if not line or line.startswith("#"):
            at += 1
            continue
        first = at
        if line.startswith("["):
            table = _path_of(tomllib.loads(line))
            yield _Statement(table, first, first, header=True)
        else:
            key, value = _split(lines[at])
            depth, quote = _scan(value, 0, "")
            while (depth or quote) and at + 1 < len(lines):
                at += 1
                depth, quote = _scan(lines[at], depth, quote)
            yield _Statement((*table, *_path_of(tomllib.loads(f"{key}= 0"))), first, at, header=False)
        at += 1


def _path_of(document: Any) -> tuple[str, ...]:
    """The one path in a document of one header, or of one assignment of a number."""
    path: list[str] = []
    while document:
        if isinstance(document, list):
            document = document[0]
            continue
        key, document = next(iter(document.items()))
        path.append(key)
    return tuple(path)


def _split(line: str) -> tuple[str, str]:
    """An assignment's key and the rest, at the first equals sign outside quotes."""
    found = re.match(r"""((?:"(?:\\.|[^"\\])*"|'[^']*'|[^"'=])*)=(.*)""", line, re.DOTALL)
    return (found[1], found[2]) if found else (line, "")


_PIECE = re.compile(r'"""|\'\'\'|"|\'|\\.|[\[\]{}]|#')


def _scan(text: str, depth: int, quote: str) -> tuple[int, str]:
    """Goes over a piece of a value; returns how many brackets are open after it, and the long quote it stands in."""
    at = 0
    while (found := _PIECE.search(text, at)) is not None:
        piece, at = found[0], found.end()
        if quote:
            if piece == quote:
                quote = ""
            elif piece.startswith("\\") and quote.startswith("'"):
                at = found.start() + 1  # a backslash means nothing there
            continue
        if piece == "#":
            break
        if piece in "[{":
            depth += 1
        elif piece in "]}":
            depth -= 1
        elif piece[0] in "\"'":
            quote = piece
    return depth, quote if len(quote) == 3 else ""


# -- the file ------------------------------------------------------------------------------------------------------


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.", "Look at its permissions.") from error


def _write(
    known: Config, before: bytes, text: str, clusters: Mapping[str, ClusterConfig], wish: str, *, keep_old: bool = False
) -> None:
    """Puts a new text in the place of the file, if it says just what is meant and the file is as it was read."""
    # A configuration is often a link into a folder of dotfiles: the file it leads to is the one to write.
    file = known.path.resolve()
    by_hand = f"{wish} by hand in {known.path}."
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)
        beside = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(text.encode("utf-8"))
                _like(stream.fileno(), file)
                stream.flush()
                os.fsync(stream.fileno())
            _check(known, beside, clusters, by_hand)
            if _read(file) != before:
                raise UsageError(f"{known.path} was changed by somebody else just now.", "Look at it and try again.")
            if keep_old:
                _keep_old(file)
            beside.replace(file)
        finally:
            beside.unlink(missing_ok=True)
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise SwarmtuiError(
            f"{known.path} cannot be written: {error.strerror or error}.", "Look at its permissions and its disk."
        ) from error
    except UnicodeEncodeError as error:
        raise UsageError("What was given is no text.", "Give letters and digits.") from error


def _like(descriptor: int, file: Path) -> None:
    """The new file is as private as the old one, and belongs to whom it belonged; without an old one, 0600 and ours."""
    try:
        old = file.stat()
    except FileNotFoundError:
        return
    # Owner first: changing it clears bits of the mode.
    with contextlib.suppress(PermissionError):
        os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


def _check(known: Config, beside: Path, clusters: Mapping[str, ClusterConfig], by_hand: str) -> None:
    try:
        made = config.load(beside)
    except UsageError as error:
        raise UsageError(error.what.replace(str(beside), str(known.path)), by_hand) from error
    meant = replace(known, path=beside, clusters=clusters)
    if made != meant or list(made.clusters) != list(clusters):
        raise UsageError(f"{known.path} is written in a way that can only be edited by hand.", by_hand)


def _keep_old(file: Path) -> None:
    old = file.with_name(file.name + OLD_SUFFIX)
    old.unlink(missing_ok=True)
    shutil.copy2(file, old)
