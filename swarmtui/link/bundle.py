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
from swarmtui.model.text import one_line

ARCHIVE_MAX = 16 << 20
"""Bytes of a whole archive. Real ones are below 100 KB."""
MEMBER_MAX = 1 << 20
"""Bytes of one file in it, unpacked."""
MEMBERS_MAX = 1_000
_KEYS = ("ca.pem", "cert.pem", "key.pem")
_WANTED = frozenset((*_KEYS, "env.sh", "meta.json", *(f"tls/docker/{name}" for name in _KEYS)))
_FOR_OTHERS = frozenset(("cert.pub", "env.ps1", "env.cmd", "kube.yml", *(f"tls/kubernetes/{name}" for name in _KEYS)))
"""What is of no use to us, but to whoever gets the whole bundle."""
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


def new_bundle(content: bytes, folder: Path, source: str) -> TcpTarget:
    """Unpacks a bundle that was just downloaded, all of it, into a folder that is new or empty (0700, files 0600).

    The docker CLI can use the folder as well, whatever version of UCP it is from: keys and env.sh lie at its top.

    Args:
        source: where it is from, for an error: "The client bundle of bob".

    Raises:
        UsageError: it is no bundle, or a hostile one; or the folder cannot be made, or is not empty.
    """
    work: Path | None = None
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        prefix = f".unpacking-{folder.name}-"
        for old in folder.parent.iterdir():
            if old.name.startswith(prefix):
                # A run that was killed here: there is a private key in it.
                shutil.rmtree(old, ignore_errors=True)
        work = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
        _take(io.BytesIO(content), work, source, nested=True, wanted=_WANTED | _FOR_OTHERS)
        made = _of_folder(work, folder.name)
        for key in _KEYS:
            if not (work / key).exists():
                _write(work / key, (work / "tls" / "docker" / key).read_bytes())
        if not (work / "env.sh").exists():
            lines = ("DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH=$PWD", f"DOCKER_HOST={made}")
            _write(work / "env.sh", "".join(f"export {line}\n" for line in lines).encode())
        # Onto an empty folder this is one step as well; onto anything else it fails.
        work.rename(folder)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise UsageError(f"{source} cannot be opened: {one_line(str(error))}.", "Download it anew.") from error
    except OSError as error:
        raise UsageError(
            f"{source} cannot be unpacked into {folder}: {error.strerror or error}.", "Name a folder that is new."
        ) from error
    finally:
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)
    return _of_folder(folder, folder.name)


def _unpack(path: Path, folder: Path) -> None:
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=folder.parent))
    try:
        with path.open("rb") as stream:
            _take(stream, work, str(path), nested=True, wanted=_WANTED)
        # The rename is what makes it a bundle: an unpacking that was cut off is never taken for one.
        with contextlib.suppress(FileExistsError):
            work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _take(stream: IO[bytes], work: Path, source: str, *, nested: bool, wanted: frozenset[str]) -> None:
    with zipfile.ZipFile(stream) as archive:
        members = archive.infolist()
        if len(members) > MEMBERS_MAX:
            raise _hostile(source, f"{len(members)} files")
        for member in members:
            _check(member, source)
        top = _top(members)
        for member in members:
            name = member.filename.removeprefix(top)
            if name in wanted and (nested or not (work / name).exists()):
                _write(work / name, _read(archive, member, source))
        keys = (work / "ca.pem").exists() or (work / "tls").exists()
        address = (work / "env.sh").exists() or (work / "meta.json").exists()
        if nested and not (keys and address):
            for member in members:
                if member.filename.removeprefix(top) == _NESTED:
                    inner = io.BytesIO(_read(archive, member, source))
                    _take(inner, work, source, nested=False, wanted=wanted)


def _check(member: zipfile.ZipInfo, source: str) -> None:
    name = PurePosixPath(member.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or re.match(r"[A-Za-z]:", member.filename):
        raise _hostile(source, "a file that would land outside of its folder")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise _hostile(source, "a symbolic link")


def _top(members: list[zipfile.ZipInfo]) -> str:
    """The one folder that everything is in, with its slash; "" where there is none."""
    tops = {member.filename.partition("/")[0] for member in members}
    if len(tops) == 1 and all("/" in member.filename for member in members):
        return f"{tops.pop()}/"
    return ""


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, source: str) -> bytes:
    with archive.open(member) as stream:
        # The size in the directory of an archive is a claim: what counts is what comes out.
        content = stream.read(MEMBER_MAX + 1)
    if len(content) > MEMBER_MAX:
        raise _hostile(source, "a file far larger than any of a bundle")
    return content


def _write(file: Path, content: bytes) -> None:
    for parent in reversed(file.parents):
        # One by one: mkdir(parents=True) makes those in between for everybody to read.
        parent.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)


def _hostile(source: str, what: str) -> UsageError:
    return UsageError(
        f"{source} is no honest client bundle: it has {what} in it.", "Nothing was unpacked; ask where it is from."
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
