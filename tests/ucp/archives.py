"""Archives of UCP as the documentation describes them (ucp-dtr.md §1.5), made without the product's code."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping

INSTANCE = "hxz5kf9atspjwnoa5oqlonigv"
PASSPHRASE = "planted-ucp-passphrase"
_VOLUMES = ("ucp-node-certs", "ucp-controller-server-certs", "ucp-client-root-ca", "ucp-cluster-root-ca")


def dump(name: str, version: str, instance: str = INSTANCE, repository: str = "docker") -> bytes:
    """What `docker inspect` says of a component."""
    labels = {"com.docker.ucp.version": version} | ({"com.docker.ucp.InstanceID": instance} if instance else {})
    config = {"Image": f"{repository}/{name}:{version}", "Labels": labels}
    return json.dumps([{"Name": f"/{name}", "Config": config}]).encode()


def files(version: str = "2.2.5", *, instance: str = INSTANCE, dumps: bool = True, more: int = 110) -> dict[str, bytes]:
    """What a whole one holds."""
    found = {f"./{volume}/{name}.pem": b"pem\n" for volume in _VOLUMES for name in ("ca", "cert", "key")}
    found |= {f"./ucp-metrics-data/{number:03d}": b"simulated\n" for number in range(more)}
    if dumps:
        found |= {f"./{name}.json": dump(name, version, instance) for name in ("ucp-controller", "ucp-kv")}
    return found


def tar(content: Mapping[str, bytes], mtime: int = 1_700_000_000) -> bytes:
    """A plain tar of these files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), mtime
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def seal(data: bytes, passphrase: str = PASSPHRASE) -> bytes:
    """As UCP seals it: an OpenPGP message with a passphrase."""
    import pysequoia

    return bytes(pysequoia.encrypt(data, passwords=[passphrase], armor=False))
