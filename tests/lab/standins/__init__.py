"""Stand-ins for the images of UCP, which cannot be had here: built from the reference's documented behaviour.

`load(lab)` brings them to every host, as an operator would with `docker load`. A host that was replaced needs them
again. Switches make a bootstrapper misbehave on one host:

- `fatal-exits-zero`: a fatal line ends with exit status 0 (which status it has is not documented), instead of 1
- `install-fails`: install and restore fail after they made volumes and the first containers, which they leave behind
- `backup-fails`: a backup ends in the middle of the archive
- `auth-store-false-alarm`: the container of 2.2.5 that is told unhealthy and is not (set it before the install)
- `uninstall-hangs`: `Uninstalling UCP took too long`, at error level, and the services remain
"""

from __future__ import annotations

from collections.abc import Iterable

from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.standins import image

VERSIONS = ("2.2.5", "3.2.5", "3.4.5")
NAME = "standin:1"
SWITCHES = ("auth-store-false-alarm", "fatal-exits-zero", "install-fails", "backup-fails", "uninstall-hangs")
_IMAGES = ("agent", "auth", "auth-store", "cfssl", "controller", "dsinfo", "etcd", "metrics", "proxy", "swarm")


def names(version: str) -> list[str]:
    """All image names of a version, the bootstrapper's first."""
    organisation = "docker" if tuple(map(int, version.split("."))) < (3, 3) else "mirantis"
    images = [*_IMAGES, "hrm" if version.startswith("2.") else "hyperkube"]
    return [f"{organisation}/ucp:{version}", *(f"{organisation}/ucp-{name}:{version}" for name in images)]


def load(where: Lab | Host, versions: Iterable[str] = ("2.2.5",)) -> None:
    """Bring the images of these versions to a host, or to all hosts of a lab."""
    if isinstance(where, Lab):
        root, wanted = image.root(), tuple(versions)
        where.each(lambda host: _load(host, root, wanted))
    else:
        _load(where, image.root(), tuple(versions))


def _load(host: Host, root: bytes, versions: tuple[str, ...]) -> None:
    if host.docker("image", "inspect", NAME, check=False).returncode:
        host.import_image(NAME, root, image.CHANGES)
    for name in (name for version in versions for name in names(version)):
        repository, _, tag = name.rpartition(":")
        host.api("POST", f"/images/{NAME}/tag?repo={repository}&tag={tag}")


def switch(host: Host, name: str, on: bool = True) -> None:
    """Turn a switch on or off on a host."""
    if name not in SWITCHES:
        raise ValueError(f"no such switch: {name}; there are {', '.join(SWITCHES)}")
    if on:
        host.api("POST", f"/images/busybox:latest/tag?repo=standin.switch&tag={name}")
    elif f"standin.switch:{name}" in host.docker("images", "--format", "{{.Repository}}:{{.Tag}}").stdout:
        host.docker("rmi", f"standin.switch:{name}")
