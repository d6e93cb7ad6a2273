"""The releases of DTR (MSR) that the simulator knows: their images, commands and flags, as documented of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from swarmtui.demo.platform.releases import Flags

COMPONENTS: Final = (
    "rethinkdb", "api", "garant", "jobrunner", "nginx", "notary-server", "notary-signer", "registry", "scanningstore",
)  # fmt: skip
"""In the order in which an installation makes them: the database comes first."""
VOLUMES: Final = ("ca", "notary", "postgres", "registry", "rethink")
_IMAGE_OF: Final = {"rethinkdb": "rethink", "scanningstore": "postgres"}

_COMMON: Final = {
    "ucp-url": "UCP_URL",
    "ucp-username": "UCP_USERNAME",
    "ucp-password": "UCP_PASSWORD",
    "ucp-ca": "UCP_CA",
    "enzi-ca": "ENZI_TLS_CA",
}
_COMMON_BARE: Final = frozenset({"debug", "help-extended", "ucp-insecure-tls", "enzi-insecure-tls"})
_EXISTING: Final = {"existing-replica-id": "DTR_REPLICA_ID"}
_PORTS: Final = {"replica-http-port": "REPLICA_HTTP_PORT", "replica-https-port": "REPLICA_HTTPS_PORT"}
_PLACE: Final = {"ucp-node": "UCP_NODE", "replica-id": "DTR_INSTALL_REPLICA_ID", **_PORTS}
_OVERLAY: Final = {"overlay-subnet": "DTR_OVERLAY_SUBNET"}
_SETTINGS: Final = {
    "dtr-external-url": "DTR_EXTERNAL_URL",
    "dtr-storage-volume": "DTR_STORAGE_VOLUME",
    "nfs-storage-url": "NFS_STORAGE_URL",
    "dtr-ca": "DTR_CA",
    "dtr-cert": "DTR_CERT",
    "dtr-key": "DTR_KEY",
    "http-proxy": "DTR_HTTP_PROXY",
    "https-proxy": "DTR_HTTPS_PROXY",
    "no-proxy": "DTR_NO_PROXY",
    "log-protocol": "LOG_PROTOCOL",
    "log-host": "LOG_HOST",
    "log-level": "LOG_LEVEL",
}
SWITCHES: Final = {
    "debug": "DEBUG",
    "help-extended": "DTR_EXTENDED_HELP",
    "ucp-insecure-tls": "UCP_INSECURE_TLS",
    "enzi-insecure-tls": "ENZI_TLS_INSECURE",
    "enable-pprof": "DTR_PPROF",
    "offline-backup": "DTR_OFFLINE_BACKUP",
    "prune": "PRUNE",
    "yes": "YES",
    "dtr-use-default-storage": "DTR_DEFAULT_STORAGE",
}
"""Flags without a value, and the variable that may set them."""


def _flags(valued: dict[str, str] | None = None, *bare: str) -> Flags:
    return Flags({**_COMMON, **(valued or {})}, _COMMON_BARE | frozenset(bare))


def _more(flags: Flags, valued: tuple[str, ...] = (), *bare: str) -> Flags:
    return Flags({**flags.valued, **dict.fromkeys(valued, "")}, flags.bare | frozenset(bare))


_24: Final = {
    "install": _flags({**_PLACE, **_SETTINGS, **_OVERLAY}, "enable-pprof"),
    "join": _flags({**_PLACE, **_EXISTING}, "skip-network-test", "unsafe-join"),
    "reconfigure": _flags({**_PORTS, **_SETTINGS, **_EXISTING}, "enable-pprof"),
    "remove": _flags({**_EXISTING, "replica-ids": "DTR_REMOVE_REPLICA_IDS", "replica-id": ""}),
    "destroy": _flags({"replica-id": "DTR_DESTROY_REPLICA_ID"}),
    "backup": _flags(_EXISTING),
    "restore": _flags({**_PLACE, **_SETTINGS}, "enable-pprof"),
    "upgrade": _flags(_EXISTING),
    "images": Flags({}, frozenset({"debug", "help-extended"})),
}
_CACHED: Final = ("install", "reconfigure", "restore")
_25: Final = {
    **_24,
    **{name: _more(_24[name], ("replica-rethinkdb-cache-mb",)) for name in _CACHED},
    "backup": _more(_24["backup"], (), "offline-backup"),
    "emergency-repair": _flags({**_EXISTING, **_OVERLAY}, "prune", "yes", "y"),
}
_26: Final = {
    **_25,
    "reconfigure": _more(_25["reconfigure"], (), "storage-migrated"),
    "restore": _more(_25["restore"], (), "dtr-use-default-storage"),
}
_27: Final = {
    **_26,
    **{
        name: _more(_26[name], ("nfs-options", "client-cert-auth-ca"), "async-nfs", "enable-client-cert-auth")
        for name in ("install", "reconfigure", "restore")
    },
}


def _sure(variable: str) -> str:
    """A variable that MSR surely reads: its pages print $MSR_… in one place where they print $DTR_… in another."""
    return "" if variable.startswith("DTR_") else variable


_28: Final = {
    name: Flags({flag: _sure(variable) for flag, variable in flags.valued.items()}, flags.bare)
    for name, flags in _27.items()
}


@dataclass(frozen=True, slots=True)
class DtrRelease:
    """One release.

    Attributes:
        product: its image, without the tag.
        storage_needed: does `restore` want one of the flags that say where images lie?
        id_needed: does `restore` want the replica's id?
    """

    version: str
    product: str
    commands: dict[str, Flags]
    storage_needed: bool = False
    id_needed: bool = False

    @property
    def image(self) -> str:
        """The image that is the command."""
        return f"{self.product}:{self.version}"

    @property
    def series(self) -> tuple[int, int]:
        """Major and minor."""
        major, minor, *_ = self.version.split(".")
        return int(major), int(minor)

    @property
    def mirantis(self) -> bool:
        """Is it called MSR?"""
        return self.series >= (2, 8)

    @property
    def folder(self) -> str:
        """The first folder of its backups."""
        return f"dtr-backup-v{self.version}"

    def component(self, name: str) -> str:
        """The image of a component's container."""
        return f"{self.product}-{_IMAGE_OF.get(name, name)}:{self.version}"

    @property
    def needed(self) -> tuple[str, ...]:
        """All that a node needs for a replica: what makes it, and its components."""
        return (self.image, *(self.component(name) for name in COMPONENTS))


DTR_24: Final = DtrRelease("2.4.1", "docker/dtr", _24)
DTR_25: Final = DtrRelease("2.5.15", "docker/dtr", _25)
DTR_26: Final = DtrRelease("2.6.15", "docker/dtr", _26, True)
DTR_27: Final = DtrRelease("2.7.8", "docker/dtr", _27, True)
MSR_28: Final = DtrRelease("2.8.5", "mirantis/dtr", _28, True, True)
MSR_29: Final = DtrRelease("2.9.4", "mirantis/dtr", _28, True, True)

DTR_RELEASES: Final = {release.image: release for release in (DTR_24, DTR_25, DTR_26, DTR_27, MSR_28, MSR_29)}
"""By the image that is the command."""
