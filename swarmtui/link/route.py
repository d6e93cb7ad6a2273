"""What the ssh configuration makes of a target: address, user, jump hosts, known hosts and keys."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from pathlib import Path

# Only the whole of a connection's options could be asked for otherwise, and those do not tell the jump hosts apart.
from asyncssh.config import SSHClientConfig

from swarmtui.link.hostkeys import SSH_PORT, default_files
from swarmtui.link.ssh_settings import SshSettings
from swarmtui.link.target import SshTarget

DEFAULT_KEYS = ("id_ed25519_sk", "id_ecdsa_sk", "id_ed25519", "id_ecdsa", "id_rsa")


@dataclass(slots=True)
class Route:
    """What the ssh configuration makes of a target."""

    target: SshTarget
    host: str
    port: int
    user: str
    known_as: str
    known_port: int
    jumps: list[SshTarget]
    known_hosts: list[Path]
    key_files: list[Path]
    identities_only: bool
    config: list[str]

    @property
    def label(self) -> str:
        host = f"[{self.target.host}]" if ":" in self.target.host else self.target.host
        return f"{self.user}@{host}" + (f":{self.port}" if self.target.port and self.port != SSH_PORT else "")


def route_to(target: SshTarget, settings: SshSettings) -> Route:
    """Reads the ssh configuration for a target (blocking).

    Raises:
        ValueError: the configuration is broken; says in which line.
        OSError: it cannot be read.
    """
    config_file = settings.config_path()
    paths = [str(config_file)] if config_file is not None else []
    if not target.host:
        # An empty host would be this machine.
        raise ValueError("no host is named")
    try:
        local_user = getpass.getuser()
    except KeyError as error:
        raise ValueError("your user has no name here; set USER") from error
    config = SSHClientConfig.load(
        None, paths, False, False, False, local_user, target.user or (), target.host, target.port or ()
    )
    host = str(config.get("Hostname", target.host))
    port = int(str(config.get("Port", SSH_PORT)))
    if settings.known_hosts is not None:
        known_hosts = [settings.known_hosts.expanduser()]
    else:
        named = [*_strings(config.get("UserKnownHostsFile")), *_strings(config.get("GlobalKnownHostsFile"))]
        known_hosts = [Path(name).expanduser() for name in named] or default_files()
    files = [Path(name).expanduser() for name in _strings(config.get("IdentityFile"))]
    jump, alias = config.get("ProxyJump"), config.get("HostKeyAlias")
    return Route(
        target=target,
        host=host,
        port=port,
        user=str(config.get("User", local_user)),
        known_as=str(alias or host),
        # As OpenSSH has it, an alias stands for the host at any port.
        known_port=SSH_PORT if alias else port,
        jumps=[_jump(part) for part in str(jump).split(",")] if jump else [],
        known_hosts=known_hosts,
        key_files=files or [Path("~/.ssh", name).expanduser() for name in DEFAULT_KEYS],
        identities_only=bool(config.get("IdentitiesOnly")),
        config=paths,
    )


def _jump(text: str) -> SshTarget:
    user, _, host = text.strip().removeprefix("ssh://").rpartition("@")
    port = ""
    if host.startswith("["):
        host, _, port = host[1:].partition("]")
        port = port.removeprefix(":")
    elif ":" in host:
        host, _, port = host.rpartition(":")
    return SshTarget(host, user or None, int(port) if port else None)


def _strings(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list | tuple) else []
