"""The one table of what differs between the versions of DTR (MSR): images, commands, flags, names. Pure.

Everything here stands in shared/reference/ucp-dtr.md with its source; what is marked [UNVERIFIED] there is left out.
Every command line of the image is built from it (`runbooks/dtr/image.py`), so a flag that a version does not document
cannot be written. The series are those that the documentation has: 2.4 to 2.7, and MSR (2.8 and 2.9).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, Final, Literal, NamedTuple

from swarmtui.model import release
from swarmtui.model.release import Release
from swarmtui.model.ucp.facts import GIB, Size

Series = Literal["2.4", "2.5", "2.6", "2.7", "msr"]
SERIES: Final[tuple[Series, ...]] = ("2.4", "2.5", "2.6", "2.7", "msr")
NETWORK: Final = "dtr-ol"
PHASE_2: Final = "dtr-phase2"
"""The container that the image starts through UCP, on the node that it is about (§4.3)."""
HTTP_PORT: Final = 80
HTTPS_PORT: Final = 443
REPLICA_ID: Final = re.compile(r"[0-9a-f]{12}")
"""Names one replica; suffix of each of its containers and volumes (§2.5)."""
COUNTS: Final = (1, 3, 5, 7)
"""How many replicas there should be (§5.1)."""


class Version(Release, frozen=True, order=True):
    """A version of DTR: its tag."""

    SUCH_AS: ClassVar[str] = "DTR such as 2.4.1"

    @property
    def series(self) -> Series:
        """Whose documentation holds for it. Raises ValueError for one that no documentation of ours is about."""
        if self.major == 2 and 4 <= self.minor <= 9:
            return "msr" if self.minor >= 8 else SERIES[self.minor - 4]
        raise ValueError("is neither DTR 2.4 to 2.7 nor MSR 2.8 or 2.9: its command line is not known here")

    @property
    def supported(self) -> bool:
        """Whether its command line is known."""
        return self.major == 2 and 4 <= self.minor <= 9

    @property
    def repository(self) -> str:
        """ "docker" or "mirantis" (§0)."""
        return "mirantis" if (self.major, self.minor) >= (2, 8) else "docker"

    @property
    def image(self) -> str:
        """The image that is the command."""
        return f"{self.repository}/dtr:{self}"

    @property
    def product(self) -> str:
        """What people call it."""
        return f"MSR {self}" if self.repository == "mirantis" else f"DTR {self}"

    @property
    def emergency_repair(self) -> bool:
        """Whether one replica's volumes can be made the whole again after the quorum was lost (§2.2)."""
        return has(self, "emergency-repair")

    @property
    def offline_backup(self) -> bool:
        """Whether a backup can stop the replica's database, and so be consistent (§2.4)."""
        return has(self, "backup", "offline-backup")

    @property
    def storage_named(self) -> bool:
        """Whether a restore must say by a flag where the images are (§2.4)."""
        return has(self, "restore", DEFAULT_STORAGE)

    @property
    def storage_switch(self) -> bool:
        """Whether the place of the images can be changed without wiping every tag (§2.4)."""
        return has(self, "reconfigure", "storage-migrated")

    @property
    def leaks(self) -> bool:
        """Whether its backup and join write credentials to the log driver (§2.7)."""
        return leaks(self)


def version(value: str) -> str:
    """A version whose command line is known, as its tag; the kind of a parameter. Raises ValueError."""
    parsed = Version.parse(value)
    _ = parsed.series
    return str(parsed)


def replica(value: str) -> str:
    """The id of a replica; the kind of a parameter. Raises ValueError."""
    if not REPLICA_ID.fullmatch(value):
        raise ValueError("is no id of a replica: 12 characters of 0-9 and a-f")
    return value


LEAKS_SINCE: Final = Version(2, 2, 0)
LEAKS_BEFORE: Final = Version(2, 4, 2)
"""What backup and join start writes credentials to the log driver in 2.2 to 2.4.1 (§2.7)."""


def leaks(version: Version) -> bool:
    """Whether its backup and join write credentials to the log driver."""
    return LEAKS_SINCE.numbers <= version.numbers < LEAKS_BEFORE.numbers


# -- commands and flags (§2.2 to §2.4) ---------------------------------------------------------------------------------

DEFAULT_STORAGE: Final = "dtr-use-default-storage"
_FROM_25: Final[tuple[Series, ...]] = SERIES[1:]
_FROM_26: Final[tuple[Series, ...]] = SERIES[2:]
_FROM_27: Final[tuple[Series, ...]] = SERIES[3:]
_UCP = "debug help-extended ucp-url ucp-username ucp-password ucp-ca ucp-insecure-tls"
_PORTS = "replica-http-port replica-https-port"
_SETTINGS = (
    "dtr-external-url dtr-ca dtr-cert dtr-key dtr-storage-volume nfs-storage-url http-proxy https-proxy no-proxy "
    "log-protocol log-host log-level enable-pprof"
)
_LATER = "async-nfs nfs-options client-cert-auth-ca enable-client-cert-auth"

_FLAGS: Final[tuple[tuple[str, tuple[Series, ...], str], ...]] = (
    ("install", SERIES, f"{_UCP} ucp-node replica-id {_PORTS} {_SETTINGS} overlay-subnet"),
    (
        "join",
        SERIES,
        f"{_UCP} ucp-node replica-id existing-replica-id {_PORTS} skip-network-test unsafe-join",
    ),
    ("reconfigure", SERIES, f"{_UCP} existing-replica-id {_PORTS} {_SETTINGS}"),
    ("restore", SERIES, f"{_UCP} ucp-node replica-id {_PORTS} {_SETTINGS}"),
    *((command, _FROM_25, "replica-rethinkdb-cache-mb") for command in ("install", "reconfigure", "restore")),
    *((command, _FROM_27, _LATER) for command in ("install", "reconfigure", "restore")),
    # --storage-migrated is younger than its series: `has` looks at the patch too.
    ("reconfigure", _FROM_26, "storage-migrated"),
    ("restore", _FROM_26, DEFAULT_STORAGE),
    ("backup", SERIES, f"{_UCP} existing-replica-id"),
    ("backup", _FROM_25, "offline-backup"),
    ("remove", SERIES, f"{_UCP} existing-replica-id replica-ids replica-id"),
    ("destroy", SERIES, f"{_UCP} replica-id"),
    ("upgrade", SERIES, f"{_UCP} existing-replica-id"),
    ("images", SERIES, ""),
    ("emergency-repair", _FROM_25, f"{_UCP} existing-replica-id overlay-subnet prune yes"),
)
"""Command → since which series → its flags, without the hyphens."""

_SINCE_PATCH: Final[Mapping[tuple[str, str], tuple[int, int, int]]] = {
    ("reconfigure", "storage-migrated"): (2, 6, 4),
}

SWITCHES: Final = frozenset((
    "debug", "help-extended", "ucp-insecure-tls", "enable-pprof", "skip-network-test", "unsafe-join", "async-nfs",
    "enable-client-cert-auth", "storage-migrated", DEFAULT_STORAGE, "offline-backup", "prune", "yes",
))  # fmt: skip
"""Flags without a value."""
SECRET_FLAGS: Final = frozenset(("ucp-password", "dtr-key"))
NEVER: Final[Mapping[str, str]] = {
    "unsafe-join": "it may split the cluster in two",
    "skip-network-test": "a replica that does not reach the others must not join",
}
"""Flags that are documented, and that nothing here ever writes: why (§2.7)."""

_ENVIRONMENT: Final[Mapping[str, str]] = {
    "debug": "DEBUG",
    "help-extended": "DTR_EXTENDED_HELP",
    "ucp-url": "UCP_URL",
    "ucp-username": "UCP_USERNAME",
    "ucp-password": "UCP_PASSWORD",
    "ucp-ca": "UCP_CA",
    "ucp-insecure-tls": "UCP_INSECURE_TLS",
    "ucp-node": "UCP_NODE",
    "existing-replica-id": "DTR_REPLICA_ID",
    "replica-http-port": "REPLICA_HTTP_PORT",
    "replica-https-port": "REPLICA_HTTPS_PORT",
    "replica-rethinkdb-cache-mb": "RETHINKDB_CACHE_MB",
    "dtr-external-url": "DTR_EXTERNAL_URL",
    "dtr-ca": "DTR_CA",
    "dtr-cert": "DTR_CERT",
    "dtr-key": "DTR_KEY",
    "dtr-storage-volume": "DTR_STORAGE_VOLUME",
    "nfs-storage-url": "NFS_STORAGE_URL",
    "http-proxy": "DTR_HTTP_PROXY",
    "https-proxy": "DTR_HTTPS_PROXY",
    "no-proxy": "DTR_NO_PROXY",
    "log-protocol": "LOG_PROTOCOL",
    "log-host": "LOG_HOST",
    "log-level": "LOG_LEVEL",
    "enable-pprof": "DTR_PPROF",
    "overlay-subnet": "DTR_OVERLAY_SUBNET",
    "skip-network-test": "DTR_SKIP_NETWORK_TEST",
    "unsafe-join": "DTR_UNSAFE_JOIN",
    "storage-migrated": "STORAGE_MIGRATED",
    "offline-backup": "DTR_OFFLINE_BACKUP",
    "replica-ids": "DTR_REMOVE_REPLICA_IDS",
    "prune": "PRUNE",
    "yes": "YES",
    DEFAULT_STORAGE: "DTR_DEFAULT_STORAGE",
}
"""Of 2.4 to 2.7, as the pages of install, join, reconfigure and restore print them (docker/docs
datacenter/dtr/2.4/reference/cli and reference/dtr/2.5 to 2.7/cli; both restore pages before 2.6 as of 2018-06-27)."""
_RENAMED: Final = "DTR_"
"""What such a variable begins with is not sure for MSR: msr/2.8 and msr/2.9 of docs.mirantis.com print $MSR_CA where
containers/v3.0, which is of MSR 2.8 too, prints $DTR_CA. One that is not read would be passed over without a word."""
_REPLICA_ID: Final[Mapping[str, str]] = {
    "install": "DTR_INSTALL_REPLICA_ID",
    "join": "DTR_INSTALL_REPLICA_ID",
    "restore": "DTR_INSTALL_REPLICA_ID",
    "destroy": "DTR_DESTROY_REPLICA_ID",
}
"""--replica-id has another variable in each command; of `remove`, where it is deprecated, none is documented."""


def commands(version: Version) -> frozenset[str]:
    """The commands that this version has."""
    return release.commands(_FLAGS, version.series)


def flags(version: Version, command: str) -> frozenset[str]:
    """The flags that a command has in this version, without hyphens; none of a command that it does not have."""
    young = {flag for (name, flag), since in _SINCE_PATCH.items() if name == command and version.numbers < since}
    return release.flags(_FLAGS, version.series, command) - young


def has(version: Version, command: str, flag: str = "") -> bool:
    """Whether this version has the command, and the flag of it."""
    return command in commands(version) and (not flag or flag in flags(version, command))


def variable(version: Version, command: str, flag: str) -> str:
    """The environment variable that is documented to hold a flag's value; "" where none is."""
    if not has(version, command, flag):
        return ""
    name = _REPLICA_ID.get(command, "") if flag == "replica-id" else _ENVIRONMENT.get(flag, "")
    return "" if version.series == "msr" and name.startswith(_RENAMED) else name


# -- containers and volumes (§4.3, §4.4) -------------------------------------------------------------------------------

COMPONENTS: Final = (
    "api", "garant", "jobrunner", "nginx", "notary-server", "notary-signer", "registry", "rethinkdb", "scanningstore",
)  # fmt: skip
"""What each replica runs, a container each."""
OLD_COMPONENTS: Final = ("nautilusstore",)
"""What `scanningstore` was called before."""
_VOLUMES: Final = ("ca", "notary", "postgres", "registry", "rethink", "nfs-registry")
_CONTAINER: Final = re.compile(
    rf"(?:(?P<node>[^/]+)/)?dtr-(?P<component>{'|'.join((*COMPONENTS, *OLD_COMPONENTS))})-(?P<id>[0-9a-f]{{12}})"
)
_VOLUME: Final = re.compile(rf"(?:(?P<node>[^/]+)/)?dtr-(?P<kind>{'|'.join(_VOLUMES)})-(?P<id>[0-9a-f]{{12}})")
VERSION_LABEL: Final = "com.docker.dtr.version"
REPLICA_LABEL: Final = "com.docker.dtr.replica"


class Named(NamedTuple):
    """What the name of a container or of a volume tells.

    Attributes:
        node: where it is, of names that UCP gives; "" of those that an engine gives.
        kind: the component, or what a volume is for.
    """

    node: str
    kind: str
    replica_id: str


def container(component: str, replica_id: str) -> str:
    """The name of a component's container on its node."""
    return f"dtr-{component}-{replica_id}"


def parse_container(name: str) -> Named | None:
    """What the name of a container tells; None for one that is not DTR's. A slash before it is the engine's."""
    found = _CONTAINER.fullmatch(name.removeprefix("/"))
    return Named(found["node"] or "", found["component"], found["id"]) if found else None


def volumes(replica_id: str) -> tuple[str, ...]:
    """The volumes that a replica may have on its node: that of NFS only where its images are there."""
    return tuple(f"dtr-{kind}-{replica_id}" for kind in _VOLUMES)


def parse_volume(name: str) -> Named | None:
    """What the name of a volume tells; None for one that is not DTR's."""
    found = _VOLUME.fullmatch(name)
    return Named(found["node"] or "", found["kind"], found["id"]) if found else None


# -- requirements (§5.2) -----------------------------------------------------------------------------------------------

RECOMMENDED: Final = Size(4, 16 * GIB, 25 * GIB)
"""What is recommended for a node with a replica in production."""


def least(version: Version) -> Size:
    """The minimum that is documented for a node with a replica."""
    return Size(0, 8 * GIB, 0) if version.series == "2.4" else Size(2, 8 * GIB, 10 * GIB)


# -- upgrades (§2.4) ---------------------------------------------------------------------------------------------------

MINORS: Final = (4, 5, 6, 7, 8, 9)
"""The minor versions whose command line is known, in their order: none may be skipped."""


def may_become(now: Version, wanted: Version) -> str:
    """Why a cluster cannot be upgraded from one version to another; "" where it can."""
    if wanted.numbers < now.numbers:
        return f"{now.product} cannot become the older {wanted}: a downgrade is a restore of a backup that it made"
    if not wanted.supported:
        return f"{wanted} is not known here"
    if wanted.minor > now.minor + 1:
        way = " → ".join(f"2.{minor}" for minor in range(now.minor + 1, wanted.minor + 1))
        return f"no minor version may be skipped: the way is {way}"
    return ""
