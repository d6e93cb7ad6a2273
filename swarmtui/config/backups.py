"""The tables [backups] and [clusters.NAME.backups]: where backups are kept, copied to, and for how long."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

import msgspec

from swarmtui.config.tables import first_wrong

Count = Annotated[int, msgspec.Meta(ge=0, le=10_000)]


class BackupsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How backups are kept. A cluster's own table wins, key by key.

    Attributes:
        folder: the catalogue; "" for the program's own data folder.
        recipients: who can open them: age or SSH public keys, or files with such keys. Empty: nobody is named.
        copies: where copies go: "/mnt/x", "sftp://[user@]host[:port]/path", "s3://bucket[/prefix]".
        fresh_hours: a backup older than this is old.
        last: how many of the newest are kept, and of the days, weeks and months with a backup, one for each of so many.
        daily: see last.
        weekly: see last.
        monthly: see last.
        metrics: a file for node_exporter's textfile collector; "" for none.
    """

    folder: str = ""
    recipients: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()
    fresh_hours: Annotated[int, msgspec.Meta(ge=1, le=24 * 3660)] = 26
    last: Count = 7
    daily: Count = 7
    weekly: Count = 5
    monthly: Count = 12
    metrics: str = ""

    def with_own(self, own: Mapping[str, Any]) -> BackupsConfig:
        """These settings with those of a cluster's table in their place."""
        return msgspec.convert({**msgspec.to_builtins(self), **own}, BackupsConfig)


@dataclass(frozen=True, slots=True)
class CopyTarget:
    """Where copies of backups go.

    Attributes:
        kind: a mounted path, a host over SFTP, or a bucket.
        path: the folder there: absolute for path and sftp; the prefix in the bucket, without slashes at the ends.
        host: the SFTP host, or the bucket.
        user: None: from the ssh configuration.
        port: None: from the ssh configuration.
    """

    kind: Literal["path", "sftp", "s3"]
    path: str
    host: str = ""
    user: str | None = None
    port: int | None = None

    def __str__(self) -> str:
        if self.kind == "path":
            return self.path
        if self.kind == "s3":
            return f"s3://{self.host}" + (f"/{self.path}" if self.path else "")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"sftp://{f'{self.user}@' if self.user else ''}{host}{f':{self.port}' if self.port else ''}{self.path}"


SHAPES = "Write /FOLDER, sftp://[USER@]HOST[:PORT]/FOLDER or s3://BUCKET[/PREFIX]."
_HOST = re.compile(r"[\w.:%][\w.:%-]*")
_USER = re.compile(r"[\w.][\w.@\\+~$-]*")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_RECIPIENT = re.compile(r"age1[a-z0-9]{50,}|ssh-(?:ed25519|rsa) [A-Za-z0-9+/]+={0,3}(?: .*)?", re.DOTALL)


def copy_target(text: str) -> CopyTarget:
    """What a place for copies means.

    Raises:
        ValueError: it is none; the sentence never tells a password that was written there.
    """
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        raise ValueError("a place for copies has no control characters in it")
    scheme, separator, _ = text.partition("://")
    if not separator:
        path = text if text.startswith("/") else str(Path(text).expanduser()) if text.startswith("~") else ""
        if not path.startswith("/") or ".." in path.split("/"):
            raise ValueError("a folder for copies is named from the root, without ..")
        return CopyTarget("path", path.rstrip("/") or "/")
    if scheme not in ("sftp", "s3"):
        raise ValueError("a place for copies is a folder, sftp://… or s3://…")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("that is no address") from None
    if parts.password is not None or (scheme == "s3" and parts.username is not None):
        raise ValueError("a place for copies holds no password or access key: they come from where they are kept")
    if parts.query or parts.fragment:
        raise ValueError("a place for copies has no ? or # in it")
    path, name = unquote(parts.path), parts.hostname or ""
    if ".." in path.split("/"):
        raise ValueError("a place for copies has no .. in it")
    if scheme == "s3":
        bucket = parts.netloc
        if not _BUCKET.fullmatch(bucket):
            raise ValueError("that is no name for a bucket")
        return CopyTarget("s3", "/".join(part for part in path.split("/") if part), bucket)
    user = unquote(parts.username) if parts.username is not None else None
    if not _HOST.fullmatch(name) or (user is not None and not _USER.fullmatch(user)):
        raise ValueError("that is no SFTP address")
    if not path.strip("/"):
        raise ValueError("an SFTP address names a folder")
    return CopyTarget("sftp", path.rstrip("/"), name, user, port)


def wrong_in_backups(table: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """The first thing in a table that cannot be meant: its key, what is wrong, and what to do; None for a good one."""
    return first_wrong(table, BackupsConfig, _wrong_value)


def _wrong_value(key: str, said: Any) -> tuple[str, str] | None:
    if key == "copies":
        for place in said:
            try:
                copy_target(place)
            except ValueError as error:
                return f'"copies": {error}', SHAPES
        if len({str(copy_target(place)) for place in said}) < len(said):
            return '"copies": a place is named twice', "Keep it once."
    elif key == "recipients":
        for recipient in said:
            # What is none is not told: somebody may have written the secret half there.
            if not _RECIPIENT.fullmatch(recipient) and not recipient.startswith(("/", "~/")):
                return (
                    '"recipients": what stands there is no public key and no file',
                    'Write "age1…", "ssh-ed25519 …", "ssh-rsa …" or a file with such lines, named from the root or ~.',
                )
    elif key in ("folder", "metrics") and said and not said.startswith(("/", "~/")):
        return f'"{key}": a path is named from the root or ~', "Write the whole path."
    elif key == "metrics" and said and not said.endswith(".prom"):
        return '"metrics": node_exporter reads only files that end in .prom', "Give it such a name."
    return None
