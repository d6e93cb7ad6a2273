"""The releases of UCP that the simulator knows: their images, components, commands and flags, as documented of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

GIB: Final = 1 << 30
ON_EVERY_NODE = ("ucp-dsinfo", "ucp-reconcile", "ucp-proxy")
ON_MANAGERS = (
    "ucp-controller", "ucp-swarm-manager", "ucp-kv", "ucp-cluster-root-ca", "ucp-client-root-ca", "ucp-auth-store",
    "ucp-auth-api", "ucp-auth-worker", "ucp-metrics",
)  # fmt: skip
VOLUMES = (
    "ucp-auth-api-certs", "ucp-auth-store-certs", "ucp-auth-store-data", "ucp-auth-worker-certs",
    "ucp-auth-worker-data", "ucp-client-root-ca", "ucp-cluster-root-ca", "ucp-controller-client-certs",
    "ucp-controller-server-certs", "ucp-kv", "ucp-kv-certs", "ucp-metrics-data", "ucp-metrics-inventory",
    "ucp-node-certs",
)  # fmt: skip
PORTS = {
    "ucp-controller": ((443, 8080),),
    "ucp-swarm-manager": ((2376, 2375),),
    "ucp-proxy": ((12376, 2376),),
    "ucp-kv": ((12379, 2379), (12380, 12380)),
    "ucp-cluster-root-ca": ((12381, 12381),),
    "ucp-client-root-ca": ((12382, 12382),),
    "ucp-auth-store": ((12383, 12383), (12384, 12384)),
    "ucp-auth-api": ((12385, 4443),),
    "ucp-auth-worker": ((12386, 4443),),
    "ucp-metrics": ((12387, 12387),),
    "ucp-kube-apiserver": ((6443, 8081),),
}
"""Container → its ports on the host, with those inside."""
_IMAGE_OF = {
    "ucp-swarm-manager": "ucp-swarm",
    "ucp-kv": "ucp-etcd",
    "ucp-cluster-root-ca": "ucp-cfssl",
    "ucp-client-root-ca": "ucp-cfssl",
    "ucp-auth-api": "ucp-auth",
    "ucp-auth-worker": "ucp-auth",
    "ucp-reconcile": "ucp-agent",
    "ucp-manager-agent": "ucp-agent",
    "ucp-worker-agent-x": "ucp-agent",
    "ucp-cluster-agent": "ucp-agent",
    **dict.fromkeys(
        ("ucp-kubelet", "ucp-kube-proxy", "ucp-kube-apiserver", "ucp-kube-controller-manager", "ucp-kube-scheduler"),
        "ucp-hyperkube",
    ),
}


@dataclass(frozen=True, slots=True)
class Flags:
    """The flags of one command: those with a value, with the variable that may hold it, and those without."""

    valued: dict[str, str]
    bare: frozenset[str]


@dataclass(frozen=True, slots=True)
class Release:
    """One release.

    Attributes:
        product: its image, without the tag.
        build: what it calls itself beside its version.
        agents: its services, with the constraint of each; replicated ones end in "=1".
        images: its components' images, without organisation and tag.
        files: are its backups written into files, without stopping anything? So since 3.2.
    """

    version: str
    product: str
    build: str
    agents: dict[str, str]
    everywhere: tuple[str, ...]
    managers: tuple[str, ...]
    images: tuple[str, ...]
    files: bool
    commands: dict[str, Flags]
    volumes: tuple[str, ...] = VOLUMES

    @property
    def image(self) -> str:
        """The image that is the command."""
        return f"{self.product}:{self.version}"

    @property
    def series(self) -> str:
        """Major and minor."""
        return self.version.rpartition(".")[0]

    def component(self, name: str) -> str:
        """The image of a component's container or service."""
        return f"{self.product}-{_IMAGE_OF.get(name, name).removeprefix('ucp-')}:{self.version}"

    @property
    def needed(self) -> tuple[str, ...]:
        """All its images but its own."""
        return tuple(f"{self.product.partition('/')[0]}/{name}:{self.version}" for name in self.images)

    def places(self, *, manager: bool) -> tuple[str, ...]:
        """The containers that belong on a node beside the agents."""
        return (*self.everywhere, *(self.managers if manager else ()))


def _flags(valued: str = "", bare: str = "", env: dict[str, str] | None = None) -> Flags:
    return Flags({name: (env or {}).get(name, "") for name in valued.split()}, frozenset(bare.split()))


_ENV = {
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
"""Documented of `install` since 3.2; of 2.2 no variable is documented, so it looks at none here."""
_LOG = "debug jsonlog"
_ASK = f"{_LOG} interactive"
_PULL = "pull registry-username registry-password"
_INSTALL = (
    "admin-username admin-password san host-address data-path-addr swarm-port controller-port swarm-grpc-port dns "
    f"dns-opt dns-search unlock-key {_PULL} kv-timeout kv-snapshot-count external-service-lb license"
)
_INSTALL_BARE = (
    f"{_ASK} existing-config swarm-experimental binpack random disable-tracking disable-usage external-server-cert "
    "preserve-certs enable-profiling force-insecure-tcp"
)

_22 = {
    "install": _flags(_INSTALL, _INSTALL_BARE),
    "backup": _flags("id passphrase", _ASK),
    "restore": _flags("passphrase san host-address unlock-key", _ASK),
    "uninstall-ucp": _flags(f"id {_PULL}", f"{_ASK} purge-config"),
    "id": _flags(),
    "dump-certs": _flags("", f"{_LOG} ca cluster"),
    "images": _flags(_PULL, f"{_LOG} list"),
    "support": _flags("", _LOG),
    "example-config": _flags(),
    "restart": _flags("", _LOG),
    "stop": _flags("", _LOG),
}
_32 = {
    **_22,
    "install": _flags(
        f"{_INSTALL} kube-apiserver-port cni-installer-url pod-cidr cloud-provider azure-ip-count iscsiadm-path "
        "iscsidb-path nodeport-range service-cluster-ip-range",
        f"{_INSTALL_BARE} force-minimums skip-cloud-provider-check storage-expt-enabled storage-iscsi unmanaged-cni",
        _ENV,
    ),
    "backup": _flags("passphrase file", f"{_ASK} no-passphrase include-logs"),
    "restore": _flags(
        "passphrase san host-address unlock-key data-path-addr swarm-grpc-port", f"{_ASK} force-minimums force"
    ),
    "support": _flags("loglines", f"{_LOG} nodes servicedriller"),
}
_MKE = {**_32, "id": _flags("", _LOG)}

_IMAGES = (
    "ucp-agent", "ucp-auth", "ucp-auth-store", "ucp-cfssl", "ucp-controller", "ucp-dsinfo", "ucp-etcd", "ucp-metrics",
    "ucp-proxy", "ucp-swarm",
)  # fmt: skip
_KUBE = ("ucp-kube-apiserver", "ucp-kube-controller-manager", "ucp-kube-scheduler")
_AGENTS_32 = {
    "ucp-manager-agent": "node.role==manager",
    "ucp-worker-agent-x": "node.role==worker",
    "ucp-auth-api": "node.role==manager",
    "ucp-auth-worker": "node.role==manager",
    "ucp-cluster-agent": "node.role==manager=1",
}


def _later(version: str, product: str, build: str, commands: dict[str, Flags]) -> Release:
    return Release(
        version, product, build, _AGENTS_32,
        (*ON_EVERY_NODE, "ucp-kubelet", "ucp-kube-proxy"),
        (*(name for name in ON_MANAGERS if name not in _AGENTS_32), *_KUBE),
        (*_IMAGES, "ucp-hyperkube", "ucp-interlock"), True, commands,
    )  # fmt: skip


UCP_22 = Release(
    "2.2.5", "docker/ucp", "42d28d140", {"ucp-agent": "node.platform.os==linux"}, ON_EVERY_NODE, ON_MANAGERS,
    (*_IMAGES, "ucp-compose", "ucp-hrm"), False, _22,
)  # fmt: skip
UCP_32 = _later("3.2.7", "docker/ucp", "8c67f3e3a", _32)
MKE = _later("3.4.5", "mirantis/ucp", "ac79ea8c7", _MKE)

RELEASES = {release.image: release for release in (UCP_22, UCP_32, MKE)}
"""By the image that is the command."""
COMPONENTS = {name for release in RELEASES.values() for name in (*release.everywhere, *release.managers)}
SERVICES = {name for release in RELEASES.values() for name in release.agents}
UNINSTALLER = "ucp-uninstall-agent"


def is_component(name: str) -> bool:
    """Is this a container of UCP? Those of its services have more after a dot."""
    return name in COMPONENTS or name.partition(".")[0] in SERVICES
