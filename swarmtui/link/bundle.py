"""Client bundles of UCP and MKE, as a folder or as the .zip that was downloaded.

What UCP puts into them, by version: reference/ucp-dtr.md §6. env.sh is read, never run; its DOCKER_CERT_PATH is $PWD,
so the bundle's own folder is used. An archive is not trusted: only files with known names are taken out of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from swarmtui.errors import UsageError
from swarmtui.link.target import TcpTarget, TlsFiles, check_key, endpoint, tcp_address

ARCHIVE_MAX = 16 << 20
"""Bytes of a whole archive. Real ones are below 100 KB."""
MEMBER_MAX = 1 << 20
"""Bytes of one file in it, unpacked."""
MEMBERS_MAX = 1_000
_KEYS = ("ca.pem", "cert.pem", "key.pem")
_WANTED = frozenset((*_KEYS, "env.sh", "meta.json", *(f"tls/docker/{name}" for name in _KEYS)))
_NESTED = "ucp-docker-bundle.zip"
_DOCKER_HOST = re.compile(r"""^\s*(?:export\s+)?DOCKER_HOST=["']?([^\s"';]+)""", re.MULTILINE)


def open_bundle(path: Path, into: Path) -> TcpTarget:
    """Opens a bundle, unpacking a .zip under `into` (0700) first. Raises UsageError."""
    if path.is_dir():
        return _of_folder(path, path.name or str(path))
    try:
        size = path.stat().st_size
        if size > ARCHIVE_MAX:
            raise UsageError(f"{path} is too large for a client bundle ({size >> 20} MB).", "Download the bundle anew.")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        folder = into / f"{path.stem}-{digest}"
        if not folder.is_dir():
            _unpack(path, folder)
    except FileNotFoundError as error:
        raise UsageError(
            f"There is no client bundle {path}.", "Give the folder or the .zip downloaded from UCP."
        ) from error
    except (OSError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise UsageError(f"{path} cannot be opened: {error}.", "Download the bundle anew.") from error
    return _of_folder(folder, path.stem)


def _unpack(path: Path, folder: Path) -> None:
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=folder.parent))
    try:
        with path.open("rb") as stream:
            _take(stream, work, path, nested=True)
        # The rename is what makes it a bundle: an unpacking that was cut off is never taken for one.
        with contextlib.suppress(FileExistsError):
            work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _take(stream: IO[bytes], work: Path, path: Path, *, nested: bool) -> None:
    with zipfile.ZipFile(stream) as archive:
        members = archive.infolist()
        if len(members) > MEMBERS_MAX:
            raise _hostile(path, f"{len(members)} files")
        for member in members:
            _check(member, path)
        top = _top(members)
        for member in members:
            name = member.filename.removeprefix(top)
            if name in _WANTED:
                _write(work / name, _read(archive, member, path))
        if nested and not (work / "ca.pem").exists() and not (work / "tls").exists():
            for member in members:
                if member.filename.removeprefix(top) == _NESTED:
                    _take(io.BytesIO(_read(archive, member, path)), work, path, nested=False)


def _check(member: zipfile.ZipInfo, path: Path) -> None:
    name = PurePosixPath(member.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or re.match(r"[A-Za-z]:", member.filename):
        raise _hostile(path, "a file that would land outside of its folder")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise _hostile(path, "a symbolic link")


def _top(members: list[zipfile.ZipInfo]) -> str:
    """The one folder that everything is in, with its slash; "" where there is none."""
    tops = {member.filename.partition("/")[0] for member in members}
    if len(tops) == 1 and all("/" in member.filename for member in members):
        return f"{tops.pop()}/"
    return ""


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> bytes:
    with archive.open(member) as stream:
        # The size in the directory of an archive is a claim: what counts is what comes out.
        content = stream.read(MEMBER_MAX + 1)
    if len(content) > MEMBER_MAX:
        raise _hostile(path, "a file far larger than any of a bundle")
    return content


def _write(file: Path, content: bytes) -> None:
    for parent in reversed(file.parents):
        # One by one: mkdir(parents=True) makes those in between for everybody to read.
        parent.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)


def _hostile(path: Path, what: str) -> UsageError:
    return UsageError(
        f"{path} is no honest client bundle: it has {what} in it.", "Nothing was unpacked; ask where it is from."
    )


def _of_folder(folder: Path, name: str) -> TcpTarget:
    files = {key: _inside(folder, key) or _inside(folder, f"tls/docker/{key}") for key in _KEYS}
    missing = [key for key, file in files.items() if file is None]
    if missing:
        raise UsageError(
            f"{folder} is no client bundle: it has no {' and no '.join(missing)}.", "Download the bundle anew."
        )
    host, port = tcp_address(_address(folder), f"the client bundle {name}")
    check_key(files["key.pem"])
    return TcpTarget(host, port, TlsFiles(files["ca.pem"], files["cert.pem"], files["key.pem"]), name)


def _inside(folder: Path, name: str) -> Path | None:
    file = folder / name
    try:
        real = file.resolve(strict=True)
    except (OSError, RuntimeError):
        return None
    if not real.is_relative_to(folder.resolve()):
        raise UsageError(f"{file} leads out of its bundle.", "Unpack the bundle anew, from where you trust it.")
    return file if real.is_file() else None


def _address(folder: Path) -> str:
    if (file := _inside(folder, "env.sh")) is not None:
        found = _DOCKER_HOST.findall(file.read_text("utf-8", errors="replace")[:MEMBER_MAX])
        if found:
            return str(found[-1])
    if (file := _inside(folder, "meta.json")) is not None:
        try:
            address, _ = endpoint(json.loads(file.read_bytes()[:MEMBER_MAX]))
        except ValueError:
            address = ""
        if address:
            return address
    raise UsageError(f"{folder} is no client bundle: no DOCKER_HOST in env.sh.", "Download the bundle anew.")
