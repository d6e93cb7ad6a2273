"""Where copies are kept in these tests: an SSH server whose SFTP shows one folder, and any place with what is there."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh

from swarmtui.backups.entries import Entry
from swarmtui.backups.offsite import Place, copy, opened
from swarmtui.backups.records import Copy
from swarmtui.config.backups import copy_target
from swarmtui.link.person import Nobody
from swarmtui.link.ssh_settings import SshSettings

NAMES = ["archive.tar", "manifest.json", "objects.json", "verifications.jsonl"]


@dataclass
class SshKeeper:
    """A real SSH server of asyncssh on loopback, whose SFTP shows one folder as its root.

    Attributes:
        sums: how it answers commands: "right", "jail" (an account for SFTP only), "lies" (of another file).
        spoil: called with a file's path in the folder once a client has closed what it wrote.
        plain: it offers none of OpenSSH's extensions.
    """

    root: Path
    key: Any
    user_key: Any
    sums: str = "right"
    plain: bool = False
    port: int = 0
    ran: int = 0
    spoil: Callable[[Path], None] = lambda path: None
    cut_after: int = 0

    async def serve(self) -> asyncssh.SSHAcceptor:
        keeper = self

        class Server(asyncssh.SSHServer):
            def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
                self.conn = conn

            def public_key_auth_supported(self) -> bool:
                return True

            def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
                return bool(key.public_data == keeper.user_key.public_data)

        class Sftp(asyncssh.SFTPServer):
            def __init__(self, chan: Any) -> None:
                super().__init__(chan, chroot=os.fsencode(keeper.root))
                self.written: dict[int, Path] = {}
                self.bytes = 0

            async def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
                made: Any = super().open(path, pflags, attrs)
                if pflags & asyncssh.FXF_WRITE:
                    self.written[id(made)] = Path(os.fsdecode(self.map_path(path)))
                return made

            async def write(self, file_obj: Any, offset: int, data: bytes) -> int:
                self.bytes += len(data)
                if keeper.cut_after and self.bytes > keeper.cut_after:
                    self.channel.get_connection().abort()
                    raise asyncssh.SFTPConnectionLost("cut")
                written: Any = super().write(file_obj, offset, data)
                return int(written)

            async def close(self, file_obj: Any) -> None:
                super().close(file_obj)
                path = self.written.pop(id(file_obj), None)
                if path is not None:
                    keeper.spoil(path)

            async def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
                if keeper.plain:
                    raise asyncssh.SFTPOpUnsupported("no such extension")
                super().posix_rename(oldpath, newpath)

            async def fsync(self, file_obj: Any) -> None:
                if keeper.plain:
                    raise asyncssh.SFTPOpUnsupported("no such extension")

        async def run(process: asyncssh.SSHServerProcess[bytes]) -> None:
            keeper.ran += 1
            command = process.command or ""
            if keeper.sums == "jail" or not command.startswith("sha256sum < "):
                process.stdout.write(b"This service allows sftp connections only.\n")
                process.exit(1)
                return
            name = command.removeprefix("sha256sum < ").strip("'")
            content = b"another file" if keeper.sums == "lies" else (keeper.root / name.lstrip("/")).read_bytes()
            process.stdout.write(f"{hashlib.sha256(content).hexdigest()}  -\n".encode())
            process.exit(0)

        made = await asyncssh.create_server(
            Server,
            "127.0.0.1",
            0,
            server_host_keys=[self.key],
            sftp_factory=Sftp,
            process_factory=run,
            encoding=None,
            allow_scp=False,
        )
        self.port = made.get_port()
        return made


def ssh_of(keeper: SshKeeper, tmp_path: Path) -> SshSettings:
    """With a key that it lets in, and its own host key known."""
    folder = tmp_path / "ssh"
    folder.mkdir(exist_ok=True)
    (folder / "id").write_bytes(keeper.user_key.export_private_key())
    (folder / "id").chmod(0o600)
    (folder / "known").write_text(f"[127.0.0.1]:{keeper.port} {keeper.key.export_public_key().decode()}")
    (folder / "config").write_text(f"Host *\n  IdentityFile {folder / 'id'}\n")
    return SshSettings(config_file=folder / "config", known_hosts=folder / "known", connect_timeout=5.0)


@dataclass
class Far:
    """A place, and what truly lies there."""

    open: Callable[[], contextlib.AbstractAsyncContextManager[Place]]
    where: str
    files: Callable[[], dict[str, bytes]]
    write: Callable[[str, bytes], None]
    delete: Callable[[str], None]


def inside(root: Path) -> tuple[Any, Any, Any]:
    """What `Far` has of a folder on this machine: its files, how to write one, how to delete one."""

    def files() -> dict[str, bytes]:
        return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}

    return files, lambda name, content: (root / name).write_bytes(content), lambda name: (root / name).unlink()


async def put_into(root: Path, entry: Entry) -> Copy:
    """Copies a backup into a folder that is mounted."""
    async with opened(copy_target(str(root)), SshSettings(), Nobody()) as place:
        return (await copy(entry, place))[0]
