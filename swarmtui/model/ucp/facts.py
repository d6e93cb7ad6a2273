"""The one table of what differs between the versions of UCP: images, commands, flags, ports, sizes, names. Pure.

Everything here stands in shared/reference/ucp-dtr.md with its source; what is marked [UNVERIFIED] there is left out.
Every command line of the image is built from it (`runbooks/ucp/image.py`), so a flag that a version does not document
cannot be written. The series are those that the documentation has: 2.2, 3.0, 3.1, 3.2, and MKE (3.3 and later).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, Final, Literal

from msgspec import Struct

from swarmtui.model import release
from swarmtui.model.release import Release
from swarmtui.model.text import one_line

Series = Literal["2.2", "3.0", "3.1", "3.2", "mke"]
Role = Literal["manager", "worker"]
SERIES: Final[tuple[Series, ...]] = ("2.2", "3.0", "3.1", "3.2", "mke")
GIB: Final = 1 << 30
CONTAINER: Final = "ucp"
"""The container must have this name; so two commands cannot run on a host at a time (ucp-dtr.md §1.1)."""
SOCKET: Final = "/var/run/docker.sock"
CERTS_VOLUME: Final = "ucp-controller-server-certs"
CERT_FILES: Final = ("ca.pem", "cert.pem", "key.pem")
"""What `--external-server-cert` expects in that volume (§1.4)."""
LICENCE: Final = "/config/docker_subscription.lic"
"""Where `install` looks for a licence file that is mounted (§1.4)."""
RESTORE_FILE: Final = "/config/backup.tar"
INSTANCE_LABEL: Final = "com.docker.ucp.InstanceID"
SANS_LABEL: Final = "com.docker.ucp.SANs"
PASSPHRASE_CHARACTERS: Final = 12
"""The least that our own passphrases have; the documentation's example has as many."""


class Version(Release, frozen=True, order=True):
    """A version of UCP: its tag."""

    SUCH_AS: ClassVar[str] = "UCP such as 2.2.5"

    @property
    def series(self) -> Series:
        """Whose documentation holds for it. Raises ValueError for one that no documentation of ours is about."""
        if (self.major, self.minor) == (2, 2):
            return "2.2"
        if self.major == 3:
            return "mke" if self.minor >= 3 else ("3.0", "3.1", "3.2")[self.minor]
        raise ValueError("is neither UCP 2.2 nor 3.x: its command line is not known here")

    @property
    def supported(self) -> bool:
        """Whether its command line is known."""
        return self.major == 3 or (self.major, self.minor) == (2, 2)

    @property
    def repository(self) -> str:
        """ "docker" or "mirantis": older tags stay under docker/ (§0)."""
        return "mirantis" if self.supported and self.series == "mke" else "docker"

    @property
    def image(self) -> str:
        """The image that is the command."""
        return f"{self.repository}/ucp:{self}"

    def component(self, name: str) -> str:
        """The image of a component: "agent" → "docker/ucp-agent:2.2.5"."""
        return f"{self.repository}/ucp-{name}:{self}"

    @property
    def product(self) -> str:
        """What people call it."""
        return f"MKE {self}" if self.repository == "mirantis" else f"UCP {self}"


def version(value: str) -> str:
    """A version whose command line is known, as its tag; the kind of a parameter. Raises ValueError."""
    parsed = Version.parse(value)
    _ = parsed.series
    return str(parsed)


# -- commands and flags (§1.2 to §1.8) ---------------------------------------------------------------------------------

_FROM_30: Final[tuple[Series, ...]] = SERIES[1:]
_FROM_32: Final[tuple[Series, ...]] = SERIES[3:]
_COMMON = "debug jsonlog"
_PULL = "pull registry-username registry-password"

_FLAGS: Final[tuple[tuple[str, tuple[Series, ...], str], ...]] = (
    (
        "install",
        SERIES,
        f"{_COMMON} interactive admin-username admin-password san host-address data-path-addr swarm-port "
        f"controller-port swarm-grpc-port dns dns-opt dns-search unlock-key existing-config {_PULL} kv-timeout "
        "kv-snapshot-count swarm-experimental binpack random disable-tracking disable-usage external-server-cert "
        "preserve-certs external-service-lb enable-profiling license force-insecure-tcp",
    ),
    ("install", _FROM_30, "kube-apiserver-port cni-installer-url pod-cidr cloud-provider force-minimums"),
    (
        "install",
        _FROM_32,
        "azure-ip-count iscsiadm-path iscsidb-path nodeport-range service-cluster-ip-range skip-cloud-provider-check "
        "storage-expt-enabled storage-iscsi unmanaged-cni",
    ),
    ("backup", SERIES, f"{_COMMON} interactive passphrase"),
    # The tables of 3.2 and later have no --id any more (§1.5); whether it is still taken nobody says.
    ("backup", SERIES[:3], "id"),
    ("backup", _FROM_32, "no-passphrase file include-logs"),
    ("restore", SERIES, f"{_COMMON} interactive passphrase san host-address unlock-key"),
    ("restore", _FROM_30, "data-path-addr"),
    ("restore", _FROM_32, "force-minimums swarm-grpc-port"),
    ("uninstall-ucp", SERIES, f"{_COMMON} interactive {_PULL} id purge-config"),
    ("id", SERIES, ""),
    ("id", ("mke",), _COMMON),
    ("dump-certs", SERIES, f"{_COMMON} ca cluster"),
    ("images", SERIES, f"{_COMMON} {_PULL} list"),
    ("support", SERIES, _COMMON),
    ("support", _FROM_32, "loglines nodes servicedriller"),
    ("example-config", SERIES, ""),
    ("restart", SERIES, _COMMON),
    ("stop", SERIES, _COMMON),
    ("port-check-server", _FROM_32, ""),
)
"""Command → since which series → its flags, without the hyphens. `upgrade` is not here: no runbook does it."""

SWITCHES: Final = frozenset((
    "debug", "jsonlog", "interactive", "existing-config", "swarm-experimental", "binpack", "random",
    "disable-tracking", "disable-usage", "external-server-cert", "preserve-certs", "enable-profiling",
    "force-insecure-tcp", "force-minimums", "purge-config", "ca", "cluster", "list", "no-passphrase", "include-logs",
    "skip-cloud-provider-check", "storage-expt-enabled", "storage-iscsi", "unmanaged-cni",
))  # fmt: skip
"""Flags without a value; one that is true by default is written --include-logs=false."""
REPEATED: Final = frozenset(("san", "dns", "dns-opt", "dns-search"))
SECRET_FLAGS: Final = frozenset(("admin-password", "passphrase", "unlock-key", "registry-password", "license"))

_ENVIRONMENT: Final[Mapping[str, str]] = {
    "admin-username": "UCP_ADMIN_USER",
    "admin-password": "UCP_ADMIN_PASSWORD",
    "host-address": "UCP_HOST_ADDRESS",
    "data-path-addr": "UCP_DATA_PATH_ADDR",
    "san": "UCP_HOSTNAMES",
    "license": "UCP_LICENSE",
    "unlock-key": "UNLOCK_KEY",
    "registry-username": "REGISTRY_USERNAME",
    "registry-password": "REGISTRY_PASSWORD",
    "dns": "DNS",
    "dns-opt": "DNS_OPT",
    "dns-search": "DNS_SEARCH",
    "kv-timeout": "KV_TIMEOUT",
    "kv-snapshot-count": "KV_SNAPSHOT_COUNT",
}
"""What `install` reads from the environment, documented since 3.2 (§1.4). 2.2 does not print them."""


def commands(version: Version) -> frozenset[str]:
    """The commands that this version has."""
    return release.commands(_FLAGS, version.series)


def flags(version: Version, command: str) -> frozenset[str]:
    """The flags that a command has in this version, without hyphens; none of a command that it does not have."""
    return release.flags(_FLAGS, version.series, command)


def has(version: Version, command: str, flag: str = "") -> bool:
    """Whether this version has the command, and the flag of it."""
    return command in commands(version) and (not flag or flag in flags(version, command))


def variable(version: Version, command: str, flag: str) -> str:
    """The environment variable that is documented to hold a flag's value; "" where none is."""
    return _ENVIRONMENT.get(flag, "") if command == "install" and version.series in _FROM_32 else ""


# -- what runs where (§4.1, §4.2) --------------------------------------------------------------------------------------

_ON_ALL = ("ucp-proxy", "ucp-dsinfo", "ucp-reconcile")
_ON_MANAGERS = (
    "ucp-controller", "ucp-swarm-manager", "ucp-kv", "ucp-cluster-root-ca", "ucp-client-root-ca", "ucp-auth-store",
    "ucp-metrics",
)  # fmt: skip
_KUBERNETES = ("ucp-kubelet", "ucp-kube-proxy")
_KUBERNETES_MANAGERS = ("ucp-kube-apiserver", "ucp-kube-controller-manager", "ucp-kube-scheduler")
ONCE: Final = "ucp-reconcile"
"""Runs once and exits 0; while it runs the node is being reconfigured."""
NO_HEALTH: Final = frozenset(("ucp-agent", "ucp-reconcile"))
AGENT_SERVICES: Final = (
    "ucp-agent", "ucp-agent-win", "ucp-agent-s390x", "ucp-manager-agent", "ucp-worker-agent", "ucp-worker-agent-win",
    "ucp-worker-agent-s390x", "ucp-cluster-agent",
)  # fmt: skip
UNINSTALL_SERVICES: Final = ("ucp-uninstall-agent", "ucp-uninstall-agent-win")
"""What MKE removes itself with; they stay where that took too long (§1.7)."""
VOLUMES: Final = (
    "ucp-auth-api-certs", "ucp-auth-store-certs", "ucp-auth-store-data", "ucp-auth-worker-certs",
    "ucp-auth-worker-data", "ucp-client-root-ca", "ucp-cluster-root-ca", "ucp-controller-client-certs",
    CERTS_VOLUME, "ucp-kv", "ucp-kv-certs", "ucp-metrics-data", "ucp-metrics-inventory", "ucp-node-certs",
)  # fmt: skip
FALSE_ALARMS: Final[Mapping[str, tuple[int, int, int]]] = {"ucp-auth-store": (2, 2, 6)}
"""Container → the release that mended a false "unhealthy" of it (§4.1)."""


def containers(version: Version, role: Role) -> tuple[str, ...]:
    """The component containers that a node of this role has, by name."""
    kubernetes = version.series != "2.2"
    if role == "worker":
        return (*_ON_ALL, *(_KUBERNETES if kubernetes else ()))
    # Since 3.0 these two are tasks of services, with names of their own.
    auth = () if kubernetes else ("ucp-auth-api", "ucp-auth-worker")
    return (*_ON_ALL, *_ON_MANAGERS, *auth, *((*_KUBERNETES, *_KUBERNETES_MANAGERS) if kubernetes else ()))


def is_ours(name: str) -> bool:
    """Whether a container or a service is UCP's, by its name."""
    bare = name.removeprefix("/")
    return bare.startswith("ucp-")


# -- requirements (§5.1, §5.2) -----------------------------------------------------------------------------------------


class Size(Struct, frozen=True):
    """What a host must have: CPUs, bytes of memory, bytes free on disk; 0 where the documentation asks for nothing."""

    cpus: int
    memory: int
    disk: int


def least(version: Version, role: Role) -> Size:
    """The minimum that is documented."""
    if version.series in _FROM_32:
        return Size(2, 8 * GIB, 10 * GIB) if role == "manager" else Size(0, 4 * GIB, GIB // 2)
    return Size(0, 8 * GIB if role == "manager" else 4 * GIB, 3 * GIB)


RECOMMENDED: Final = Size(4, 16 * GIB, 25 * GIB)
"""What is recommended for managers in production."""
KERNEL: Final = (3, 10)
ENGINE: Final = (17, 6)
"""The oldest engine of all versions."""
EE_PATCH: Final = 8
"""3.0 and later want 17.06.2-ee-8, of those that are 17.06.2-ee."""
CONTROLLER_PORT: Final = 443


def ports(version: Version, role: Role, controller: int = CONTROLLER_PORT) -> tuple[int, ...]:
    """TCP ports that a node's UCP listens on, those of the Swarm itself left out.

    Args:
        controller: the port of the UI and the API, which can be chosen.
    """
    series = version.series
    found = {12376}
    if series != "2.2":
        found |= {179, 6444, 10250, 12378} | ({9099} if series != "3.0" else set())
    if role == "manager":
        found |= {controller, 2376, *range(12379, 12387)}
        found |= {12387} if series in ("2.2", "3.0") else {12388}
        found |= {6443} if series != "2.2" else set()
    return tuple(sorted(found))


# -- what it says of itself (§3.1, §4.1) -------------------------------------------------------------------------------

HEALTHY: Final = re.compile(r"Healthy UCP (?:manager|worker)")
PENDING: Final = "[Pending]"
MESSAGES: Final[Mapping[str, str]] = {
    "Completing node registration": "takes 5 to 30 s",
    "The ucp-agent task is": "takes 1 to 10 s",
    "Unable to determine node state": "takes 1 to 10 s",
    "Node is being reconfigured": "takes 1 to 60 s",
    "Reconfiguration pending": "takes 1 to 10 s",
    "Unhealthy UCP Controller: node is unreachable": "look whether the host and its Docker run",
    "Unhealthy UCP Controller: unable to reach controller": "look at the ports between the managers",
    "has status Pending": "two engines may have the same id: look for a cloned /etc/docker/key.json",
}
"""How a node's message begins, or what it has in it → what that means, or how long it lasts."""


def meaning(message: str) -> str:
    """What a node's message means, to follow it; "" where nothing is documented."""
    return next((told for sign, told in MESSAGES.items() if sign in one_line(message)), "")
