"""What a person may name as a target, and what it means. Pure parsing: nothing here connects anywhere."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from swarmtui.errors import UsageError
from swarmtui.model.text import one_line

SOCKET_PATH_MAX = 107
"""Bytes that fit into the address of a Unix socket on Linux."""
_HOST = re.compile(r"[\w.:%][\w.:%-]*")
_USER = re.compile(r"[\w.][\w.@\\+~$-]*")


@dataclass(frozen=True, slots=True)
class SshTarget:
    """A host reached over SSH; user and port None: from the ssh configuration."""

    host: str
    user: str | None = None
    port: int | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return "ssh://" + (f"{self.user}@" if self.user else "") + host + (f":{self.port}" if self.port else "")

    @property
    def destination(self) -> str:
        """As the ssh command takes it, the port apart: [USER@]HOST."""
        return f"{self.user}@{self.host}" if self.user else self.host


@dataclass(frozen=True, slots=True)
class SocketTarget:
    """A Docker socket on this machine."""

    path: str

    def __str__(self) -> str:
        return f"unix://{self.path}"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """TLS material on disk. ca None: the system's authorities. verify False: any server is believed."""

    ca: Path | None
    cert: Path | None
    key: Path | None
    verify: bool = True


@dataclass(frozen=True, slots=True)
class TcpTarget:
    """An engine (or UCP) behind TLS, from a docker context or a client bundle."""

    host: str
    port: int
    tls: TlsFiles
    label: str

    def __str__(self) -> str:
        return f"tcp://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


Target = SshTarget | SocketTarget | TcpTarget


def parse_target(text: str) -> Target:
    """Parses ssh://[user@]host[:port] or unix:///path.

    Raises:
        UsageError: it is neither, or cannot be meant so.
    """
    shown = one_line(text)
    if any(not character.isprintable() or character.isspace() for character in text):
        raise UsageError(f'"{shown}" has spaces or control characters in it.', "Give ssh://USER@HOST or unix:///PATH.")
    scheme, separator, rest = text.partition("://")
    if not separator:
        raise UsageError(f'"{shown}" is no address.', "Give ssh://USER@HOST or unix:///PATH.")
    if scheme == "unix":
        return _socket(rest, shown)
    if scheme == "ssh":
        return _ssh(_split(text, shown), shown)
    if scheme in ("tcp", "http", "https"):
        raise UsageError(
            f'"{shown}" is refused: a Docker port without TLS is open to anybody.',
            "Use ssh://USER@HOST, a docker context with TLS, or a client bundle.",
        )
    raise UsageError(f'"{shown}" has an unknown scheme "{one_line(scheme)}".', "Give ssh://USER@HOST or unix:///PATH.")


def _split(text: str, shown: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        # Both are computed on access, and raise there.
        if parts.port == 0:
            raise ValueError
        _ = parts.hostname
    except ValueError:
        raise UsageError(
            f'"{shown}" has no valid port or address.', "Ports go from 1 to 65535; IPv6: [::1]:22."
        ) from None
    if parts.netloc.endswith(":"):
        raise UsageError(f'"{shown}" has a colon but no port.', "Ports go from 1 to 65535.")
    return parts


def _ssh(parts: SplitResult, shown: str) -> SshTarget:
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise UsageError(f'"{shown}" has something after the host.', "Give ssh://[USER@]HOST[:PORT] and nothing else.")
    if parts.password is not None:
        raise UsageError(
            "A password does not belong into an address.",
            "Leave it out; you are asked for it where the host wants one.",
        )
    if not parts.hostname:
        raise UsageError(f'"{shown}" names no host.', "Give ssh://[USER@]HOST[:PORT].")
    # urlsplit makes hosts lower case; a Host pattern of an ssh configuration may not be.
    host = _host_as_written(parts)
    user = unquote(parts.username) if parts.username is not None else None
    if not _HOST.fullmatch(host):
        raise UsageError(f'"{shown}" names no possible host.', "Give ssh://[USER@]HOST[:PORT].")
    if user is not None and not _USER.fullmatch(user):
        raise UsageError(f'"{shown}" names no possible user.', "Give ssh://[USER@]HOST[:PORT].")
    return SshTarget(host, user, parts.port)


def _host_as_written(parts: SplitResult) -> str:
    host = parts.netloc.rpartition("@")[2]
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _socket(path: str, shown: str) -> SocketTarget:
    if not path.startswith("/"):
        raise UsageError(f'"{shown}" has no absolute path.', "Give unix:///var/run/docker.sock.")
    if len(path.encode()) > SOCKET_PATH_MAX:
        raise UsageError(f'"{shown}" is too long for a socket.', f"At most {SOCKET_PATH_MAX} bytes fit.")
    return SocketTarget(path)


# -- docker contexts ---------------------------------------------------------------------------------------------


def _contexts_folder() -> Path:
    return Path(os.environ.get("DOCKER_CONFIG") or Path("~/.docker").expanduser()) / "contexts"


def context_names() -> list[str]:
    """Names of the docker contexts of this user, without the built-in "default"."""
    names = []
    for file in sorted(_contexts_folder().glob("meta/*/meta.json")):
        try:
            meta = json.loads(file.read_bytes())
        except (OSError, ValueError):
            continue
        name = meta.get("Name") if isinstance(meta, dict) else None
        if isinstance(name, str) and file.parent.name == _context_id(name):
            names.append(name)
    return sorted(names)


def _context_id(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()


def load_context(name: str) -> Target:
    """Reads a docker context: what its docker endpoint points to.

    Raises:
        UsageError: there is none of this name, or it points to something that cannot be used.
    """
    folder, shown = _contexts_folder(), one_line(name)
    file = folder / "meta" / _context_id(name) / "meta.json"
    try:
        meta = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise UsageError(
            f'There is no docker context "{shown}" in {folder}.', "docker context ls shows them all."
        ) from None
    except (OSError, ValueError) as error:
        raise UsageError(f'The docker context "{shown}" cannot be read: {error}.', f"Look at {file}.") from error
    address, skip_verify = endpoint(meta)
    if not address:
        raise UsageError(f'The docker context "{shown}" names no Docker host.', f"docker context inspect {shown}")
    if not address.startswith("tcp://"):
        return _of_context(address, shown)
    tls = folder / "tls" / _context_id(name) / "docker"
    files = {part: path if (path := tls / f"{part}.pem").is_file() else None for part in ("ca", "cert", "key")}
    if not any(files.values()):
        raise UsageError(
            f'The docker context "{shown}" speaks to {one_line(address)} without TLS: anybody could, and listen in.',
            "Use a context with TLS, or ssh://USER@HOST.",
        )
    host, port = tcp_address(address, f'the docker context "{shown}"')
    check_key(files["key"])
    return TcpTarget(host, port, TlsFiles(files["ca"], files["cert"], files["key"], verify=not skip_verify), shown)


def _of_context(address: str, shown: str) -> Target:
    try:
        return parse_target(address)
    except UsageError as error:
        raise UsageError(f'The docker context "{shown}" cannot be used. {error.what}', error.next_step) from None


def endpoint(meta: Any) -> tuple[str, bool]:
    """Takes the docker endpoint out of a meta.json: its host, and whether the server's certificate goes unverified."""
    endpoints = meta.get("Endpoints") if isinstance(meta, dict) else None
    docker = endpoints.get("docker") if isinstance(endpoints, dict) else None
    if not isinstance(docker, dict):
        return "", False
    host = docker.get("Host")
    return (host if isinstance(host, str) else ""), docker.get("SkipTLSVerify") is True


def tcp_address(address: str, of: str) -> tuple[str, int]:
    """Takes host and port out of tcp://host:port.

    Raises:
        UsageError: there is no such thing in it.
    """
    shown = one_line(address)
    problem = UsageError(f'{of[0].upper()}{of[1:]} has no valid address: "{shown}".', "It should read tcp://HOST:PORT.")
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise problem from None
    if parts.scheme != "tcp" or not host or not _HOST.fullmatch(host) or parts.username is not None:
        raise problem
    return host, 2376 if port is None else port


def check_key(key: Path | None) -> None:
    """Refuses a TLS key that needs a passphrase: OpenSSL would ask for it on the terminal, in the middle of the screen.

    Raises:
        UsageError: it is encrypted, or cannot be read.
    """
    if key is None:
        return
    try:
        text = key.read_bytes()
    except OSError as error:
        raise UsageError(
            f"The TLS key {key} cannot be read: {error.strerror}.", "Look at its owner and mode."
        ) from error
    if b"ENCRYPTED" in text:
        raise UsageError(
            f"The TLS key {key} is encrypted.", "Download a bundle anew, or decrypt the key: openssl pkey."
        )


def load_bundle(path: Path, into: Path) -> TcpTarget:
    """Opens a UCP / MKE client bundle, a folder or a .zip.

    Args:
        into: folder under which a zip is unpacked (0700).

    Raises:
        UsageError: it is no client bundle, or a hostile one.
    """
    from swarmtui.link.bundle import open_bundle

    return open_bundle(path, into)
