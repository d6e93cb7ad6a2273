"""Which hosts are to be a Swarm, as what, and with which addresses: a TOML file, or a few words on the command line.

autolock = true                     # managers are locked after each restart
drain-managers = true               # managers run no tasks of services
[[hosts]]
ssh = "ssh://root@10.0.0.1"         # how we reach it
role = "manager"                    # or "worker", the default
zone = "a"                          # becomes the label that names the zone
labels = { disk = "ssd" }
advertise = "10.0.0.1"              # the address the other nodes use; default: the one we reach it at
listen = "0.0.0.0:2377"             # the default
"""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from swarmtui.errors import UsageError
from swarmtui.link.target import SshTarget, parse_target
from swarmtui.model.preflight import MANAGEMENT_PORT
from swarmtui.model.swarm import host_of
from swarmtui.model.text import one_line
from swarmtui.runbooks.files import read_file

FILE_MAX = 1 << 20
LISTEN = f"0.0.0.0:{MANAGEMENT_PORT}"


class HostSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One host as it is to be.

    Attributes:
        ssh: how we reach it.
        advertise: address the other nodes use, "" for the one that is found on it.
        listen: address and port on which a manager listens.
    """

    ssh: str
    role: Literal["manager", "worker"] = "worker"
    zone: str = ""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    advertise: str = ""
    listen: str = LISTEN

    @property
    def target(self) -> SshTarget:
        target = parse_target(self.ssh)
        if not isinstance(target, SshTarget):
            raise UsageError(f'"{one_line(self.ssh)}" is no SSH address.', "Write ssh://USER@HOST.")
        return target

    @property
    def port(self) -> int:
        """The port at which the other nodes find a manager: the advertised one, else the one it listens on."""
        return port_of(self.advertise) or port_of(self.listen) or MANAGEMENT_PORT


class SwarmSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """A Swarm as it is to be."""

    hosts: tuple[HostSpec, ...]
    autolock: bool = False
    drain_managers: bool = False


def port_of(address: str) -> int:
    """The port of IP:PORT; 0 where there is none."""
    host, colon, port = address.rpartition(":")
    return int(port) if colon and port.isdigit() and (":" not in host or host.endswith("]")) else 0


def from_file(path: str) -> SwarmSpec:
    """Reads a specification.

    Raises:
        UsageError: it cannot be read, or says what cannot be; names the file.
    """
    where = Path(path).expanduser()
    content = read_file(where, FILE_MAX, "The specification")
    try:
        spec = msgspec.convert(tomllib.loads(content.decode()), SwarmSpec)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise UsageError(
            f"{where} is no specification of a Swarm: {one_line(str(error))}.",
            "It has [[hosts]] with ssh, role, zone, labels, advertise, listen; and autolock, drain-managers.",
        ) from None
    return checked(spec, str(where))


def from_words(given: Mapping[str, Any]) -> SwarmSpec:
    """The specification that the parameters `managers`, `workers`, `autolock`, `drain-managers` make."""
    hosts = [HostSpec(address, "manager") for address in given.get("managers", ())]
    hosts += [HostSpec(address) for address in given.get("workers", ())]
    spec = SwarmSpec(tuple(hosts), given.get("autolock", False), given.get("drain-managers", False))
    return checked(spec, "The command line")


def checked(spec: SwarmSpec, where: str) -> SwarmSpec:
    """The same, if it makes sense.

    Raises:
        UsageError: it does not; says what is wrong with which host.
    """
    if not any(host.role == "manager" for host in spec.hosts):
        raise UsageError(f"{where} names no manager.", 'At least one host needs role = "manager".')
    seen: set[SshTarget] = set()
    for host in spec.hosts:
        if host.target in seen:
            raise UsageError(f"{where} names {one_line(host.ssh)} twice.", "Name each host once.")
        seen.add(host.target)
        check_address(host.advertise, "advertise")
        check_address(host.listen, "listen")
        for text in (host.zone, *host.labels, *host.labels.values()):
            if not text.isprintable():
                raise UsageError(f"{where}: a zone or label of {one_line(host.ssh)} has control characters.", "")
        if any(not key.strip() or any(c.isspace() or c == "=" for c in key) for key in host.labels):
            raise UsageError(f"{where}: {one_line(host.ssh)} has a label without a proper name.", "Write KEY = VALUE.")
    return spec


def check_address(text: str, what: str) -> None:
    """Raises UsageError where a text is no IP address, with a port or without."""
    if not text:
        return
    try:
        ipaddress.ip_address(host_of(text))
        if port_of(text) > 65535 or (port_of(text) == 0 and host_of(text) != text):
            raise ValueError
    except ValueError:
        raise UsageError(
            f'{what} "{one_line(text)}" is no address.',
            "Write it as IP or IP:PORT, [IPv6]:PORT with a port; a name it cannot be.",
        ) from None
