"""The archives of UCP's backups: what is in them by version, and reading them again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from swarmtui.demo.platform import archive, openpgp
from swarmtui.demo.platform.releases import RELEASES, Release
from swarmtui.demo.platform.ucp_nodes import labels_of
from swarmtui.demo.world.host import Host

if TYPE_CHECKING:
    from swarmtui.demo.platform.ucp import Ucp

_TABLES = 100
"""Files of the metrics store: they bring a backup over the hundred entries that a check expects."""
_VERSION = "./ucp-kv/version"
_ACCOUNTS = "./ucp-auth-store-data/accounts.json"


class UcpError(Exception):
    """A command of UCP failed; the text is its last words."""


def pack(ucp: Ucp, host: Host, passphrase: str, *, age: float = 0.0) -> bytes:
    """The archive of one manager: a tar, encrypted if there is a passphrase; taken `age` seconds ago."""
    certificate, key = ucp.certificate(host)
    files = {
        _ACCOUNTS: json.dumps(ucp.accounts.dump()).encode(),
        "./ucp-client-root-ca/cert.pem": ucp.root.pem.encode(),
        "./ucp-client-root-ca/config.json": b"{}",
        "./ucp-client-root-ca/key.pem": ucp.root.key_pem.encode(),
        "./ucp-cluster-root-ca/cert.pem": ucp.cluster.authority.pem.encode(),
        "./ucp-cluster-root-ca/key.pem": ucp.root.key_pem.encode(),
        "./ucp-controller-server-certs/ca.pem": ucp.ca_pem.encode(),
        "./ucp-controller-server-certs/cert.pem": certificate.encode(),
        "./ucp-controller-server-certs/client_ca.pem": ucp.root.pem.encode(),
        "./ucp-controller-server-certs/key.pem": key.encode(),
        _VERSION: ucp.release.version.encode(),
        "./ucp-kv/instance": ucp.instance.encode(),
        "./ucp-kv/sans": json.dumps(ucp.sans).encode(),
    }
    if ucp.release.files:
        place = f"./ucp-backup/{int(ucp.world.kernel.now() * 1000)}"
        files |= {f"{place}/auth-store.tar.gz": b"simulated", f"{place}/etcd.backup.db": b"simulated"}
        files |= {f"./{name}.json": _inspect(ucp, name) for name in ucp.release.places(manager=True)}
    volumes = ("ucp-node-certs", "ucp-kv-certs", "ucp-auth-store-certs", "ucp-auth-api-certs")
    for volume in volumes:
        files |= {f"./{volume}/ca.pem": ucp.root.pem.encode(), f"./{volume}/cert.pem": certificate.encode()}
        files[f"./{volume}/key.pem"] = key.encode()
    if not ucp.release.product.startswith("mirantis/"):
        files |= {f"./ucp-metrics-data/{number:03d}": b"simulated\n" for number in range(_TABLES)}
    data = archive.pack(files, ucp.world.kernel.now() - age)
    return openpgp.encrypt(data, passphrase) if passphrase else data


def unpack(data: bytes, passphrase: str, release: Release, *, force: bool = False) -> dict[str, bytes]:
    """The files of a backup, for `release` to restore.

    Raises:
        UcpError: it cannot be opened, is none, or is of another version.
    """
    if passphrase:
        try:
            data = openpgp.decrypt(data, passphrase)
        except openpgp.WrongPassphrase as error:
            raise UcpError(f"Unable to decrypt the backup: {error}") from None
    files = archive.unpack(data)
    if _ACCOUNTS not in files or _VERSION not in files:
        raise UcpError("Unable to read the backup: it is not a UCP backup, or it is encrypted")
    version = files[_VERSION].decode()
    fits = version == release.version or (
        release.files and version.rpartition(".")[0] == release.series and _patch(version) <= _patch(release.version)
    )
    if not fits and not force:
        product = next((one.product for one in RELEASES.values() if one.version == version), "docker/ucp")
        raise UcpError(f"The backup is of UCP {version}; run restore with {product}:{version}")
    return files


def _patch(version: str) -> int:
    return int(version.rpartition(".")[2])


def accounts_in(files: dict[str, bytes]) -> list[dict[str, object]]:
    """The accounts of a backup."""
    found = json.loads(files[_ACCOUNTS])
    return list(found)


def _inspect(ucp: Ucp, name: str) -> bytes:
    """What `docker inspect` says of a container; such dumps are known of the archives of MKE."""
    config = {"Image": ucp.release.component(name), "Labels": labels_of(ucp.release, ucp.instance)}
    return json.dumps([{"Name": f"/{name}", "Config": config}]).encode()
