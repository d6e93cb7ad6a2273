"""Copies on a host over SFTP, through the same SSH as everything else: known hosts, agent, jump hosts."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import re
import secrets
import shlex
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncssh
from asyncssh import SFTPError

from swarmtui.backups.offsite import BLOCK, MANIFEST, NAME, PART, CopyError, PlaceAway, Progress, differs
from swarmtui.config.backups import CopyTarget
from swarmtui.link.reasons import LinkError, Reason
from swarmtui.link.ssh import SshHost
from swarmtui.link.target import SshTarget
from swarmtui.model.text import one_line

if TYPE_CHECKING:
    from swarmtui.link.person import Person
    from swarmtui.link.ssh_settings import SshSettings

SUM_SECONDS = 30.0
"""How long the host may take to begin its answer about a digest, besides the reading itself."""
SUM_RATE = 10e6
"""Bytes a second that the slowest disk reads."""
_SUM = re.compile(r"([0-9a-f]{64}) [ *]-\s*")


class SftpPlace:
    """A folder on a host. Made by `opened`."""

    def __init__(self, target: CopyTarget, host: SshHost, sftp: asyncssh.SFTPClient) -> None:
        self._target = target
        self._host = host
        self._sftp = sftp
        self._sums = True

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, target: CopyTarget, ssh: SshSettings, person: Person) -> AsyncIterator[SftpPlace]:
        """Logs in for the length of a block.

        Raises:
            LinkError: there is no way in.
            CopyError: the host has no SFTP for us, or not that folder.
        """
        host = await SshHost.connect(SshTarget(target.host, target.user, target.port), ssh, person)
        try:
            try:
                sftp = await host.connection.start_sftp_client()
            except (asyncssh.Error, OSError) as error:
                what = f"{host.label} lets us in but offers no SFTP: {_plain(error)}."
                raise CopyError(what, "Look at its sshd_config (Subsystem sftp).") from error
            place = cls(target, host, sftp)
            with place._told(target.path):
                if not await sftp.isdir(target.path):
                    raise PlaceAway(
                        f"There is no folder {target.path} on {host.label} for copies.", "Make it, or mount it there."
                    )
            yield place
        finally:
            await host.close()

    @property
    def where(self) -> str:
        return str(self._target)

    async def digest(self, name: str, wanted: str) -> str | None:
        path = self._path(name)
        with self._told(path):
            try:
                size = (await self._sftp.stat(path)).size or 0
            except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
                return None
        return await self._sum(path, size, wanted)

    async def put(self, file: Path, name: str, digest: str, progress: Progress) -> None:
        path = self._path(name)
        folder, _, last = path.rpartition("/")
        part = f"{folder}/{PART}{last}-{secrets.token_hex(4)}"
        size = file.stat().st_size
        with self._told(folder):
            await self._room(size)
            for each in (folder.rpartition("/")[0], folder):
                if not await self._sftp.isdir(each):
                    await self._sftp.mkdir(each, asyncssh.SFTPAttrs(permissions=0o700))
        try:
            with self._told(path):
                await self._send(file, part, size, progress)
            if await self._sum(part, size, digest) != digest:
                raise differs(self.where, last)
            with self._told(path):
                await self._rename(part, path)
        except BaseException:
            with contextlib.suppress(asyncssh.Error, OSError, TimeoutError):
                async with asyncio.timeout(2.0):
                    await self._sftp.remove(part)
            raise

    async def read(self, name: str, largest: int) -> bytes:
        path = self._path(name)
        with self._told(path):
            async with self._sftp.open(path, "rb") as remote:
                content = await _read(remote, largest + 1)
        if len(content) > largest:
            raise CopyError(f"{path} on {self._host.label} is too large to be what it should be.", "")
        return content

    async def folders(self, name: str) -> tuple[str, ...]:
        path = self._path(name)
        with self._told(path):
            if not await self._sftp.isdir(path):
                return ()
            listed = [str(each.filename) for each in await self._sftp.readdir(path)]
            return tuple(sorted([n for n in listed if NAME.fullmatch(n) and await self._sftp.isdir(f"{path}/{n}")]))

    async def clear_parts(self, name: str) -> None:
        path = self._path(name)
        with self._told(path):
            if await self._sftp.isdir(path):
                for each in await self._sftp.readdir(path):
                    if str(each.filename).startswith(PART):
                        await self._sftp.remove(f"{path}/{each.filename!s}")

    async def remove(self, name: str) -> None:
        path = self._path(name)
        with self._told(path):
            if await self._sftp.isdir(path):
                if await self._sftp.exists(f"{path}/{MANIFEST}"):
                    await self._sftp.remove(f"{path}/{MANIFEST}")
                await self._sftp.rmtree(path)

    # -- one file ----------------------------------------------------------------------------------------------------

    async def _send(self, file: Path, part: str, size: int, progress: Progress) -> None:
        sent = 0
        with file.open("rb") as source:
            async with self._sftp.open(part, "xb", asyncssh.SFTPAttrs(permissions=0o600)) as remote:
                while block := await asyncio.to_thread(source.read, BLOCK):
                    await remote.write(block)
                    sent += len(block)
                    progress(sent, size)
                with contextlib.suppress(asyncssh.SFTPOpUnsupported):
                    await remote.fsync()

    async def _sum(self, path: str, size: int, wanted: str) -> str:
        # In a jail a command may see another file under that name than SFTP does: only what is wanted is believed.
        return wanted if await self._asked(path, size) == wanted else await self._read_back(path)

    async def _asked(self, path: str, size: int) -> str | None:
        """The digest as the host's own sha256sum tells it; None where it tells none."""
        if not self._sums:
            return None
        try:
            ran = await self._host.run(f"sha256sum < {shlex.quote(path)}", timeout=SUM_SECONDS + size / SUM_RATE)
        except LinkError:
            if self._host.closed:
                raise
            self._sums = False
            return None
        found = _SUM.fullmatch(ran.out) if ran.code == 0 else None
        # An account for SFTP alone answers no command; it is not asked again for every file.
        self._sums = found is not None
        return found[1] if found else None

    async def _read_back(self, path: str) -> str:
        digest = hashlib.sha256()
        with self._told(path):
            async with self._sftp.open(path, "rb") as remote:
                while block := await _read(remote, BLOCK):
                    await asyncio.to_thread(digest.update, block)
        return digest.hexdigest()

    async def _rename(self, part: str, path: str) -> None:
        try:
            await self._sftp.posix_rename(part, path)
        except asyncssh.SFTPOpUnsupported:
            # Without it, a name that is taken must be given up first. The manifest's never is: it is written once.
            if await self._sftp.exists(path):
                await self._sftp.remove(path)
            await self._sftp.rename(part, path)

    async def _room(self, size: int) -> None:
        try:
            there = await self._sftp.statvfs(self._target.path)
        except (asyncssh.SFTPOpUnsupported, asyncssh.SFTPFailure):
            return
        if there.bavail * there.frsize < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _path(self, name: str) -> str:
        return f"{self._target.path}/{name}"

    @contextlib.contextmanager
    def _told(self, path: str) -> Iterator[None]:
        """Errors of a block in words."""
        try:
            yield
        except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, asyncssh.ConnectionLost) as error:
            raise LinkError(Reason.CONNECTION_LOST, self._host.label, because=_plain(error)) from error
        except (asyncssh.SFTPNoSpaceOnFilesystem, asyncssh.SFTPQuotaExceeded) as error:
            raise self._full() from error
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath) as error:
            raise CopyError(f"There is no {path} on {self._host.label}.", "Copy again.") from error
        except SFTPError as error:
            if self._host.closed:
                raise LinkError(Reason.CONNECTION_LOST, self._host.label, because=_plain(error)) from error
            raise CopyError(
                f"{path} on {self._host.label} cannot be worked with: {_plain(error)}.",
                "Look at its permissions and its disk.",
            ) from error
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise self._full() from error
            raise CopyError(f"{error.filename or path}: {error.strerror or error}.", "Look at that disk.") from error

    def _full(self) -> CopyError:
        return CopyError(
            f"There is no room in {self._target.path} on {self._host.label}.", "Make room, or prune copies."
        )


async def _read(remote: Any, size: int) -> bytes:
    content: bytes = await remote.read(size)  # a text to mypy: files may be opened with an encoding
    return content


def _plain(error: Exception) -> str:
    return one_line(getattr(error, "reason", "") or str(error)).rstrip(".") or type(error).__name__
