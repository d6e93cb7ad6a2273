"""Stand-ins for the images of UCP and DTR, which cannot be had here: built from the reference's documented behaviour.

`load(lab)` brings those of UCP to every host, `load_dtr(lab)` those of DTR, as an operator would with `docker load`. A
host that was replaced needs them again. Switches make a bootstrapper misbehave on one host:

- `fatal-exits-zero`: a fatal line ends with exit status 0 (which status it has is not documented), instead of 1
- `install-fails`: install and restore fail after they made volumes and the first containers, which they leave behind
- `backup-fails`: a backup ends in the middle of the archive
- `auth-store-false-alarm`: the container of 2.2.5 that is told unhealthy and is not (set it before the install)
- `uninstall-hangs`: `Uninstalling UCP took too long`, at error level, and the services remain
- `dtr-install-fails`: install, join and restore of DTR fail after they made volumes and `dtr-rethinkdb`, and leave them
- `dtr-backup-fails`: a backup of DTR ends in the middle of the archive

Switches of DTR are those of the manager that `--ucp-url` leads to; so is `fatal-exits-zero` for DTR's bootstrapper.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from urllib.parse import quote

from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.standins import image

VERSIONS = ("2.2.5", "3.2.5", "3.4.5")
DTR_VERSIONS = ("2.4.1", "2.7.6", "2.9.4")
NAME = "standin:1"
SWITCHES = (
    *("auth-store-false-alarm", "fatal-exits-zero", "install-fails", "backup-fails", "uninstall-hangs"),
    *("dtr-install-fails", "dtr-backup-fails"),
)
_DTR_IMAGES = (
    "api",
    "garant",
    "jobrunner",
    "nginx",
    "notary-server",
    "notary-signer",
    "postgres",
    "registry",
    "rethink",
)
_IMAGES = ("agent", "auth", "auth-store", "cfssl", "controller", "dsinfo", "etcd", "metrics", "proxy", "swarm")


def names(version: str) -> list[str]:
    """All image names of a version, the bootstrapper's first."""
    organisation = "docker" if tuple(map(int, version.split("."))) < (3, 3) else "mirantis"
    images = [*_IMAGES, "hrm" if version.startswith("2.") else "hyperkube"]
    return [f"{organisation}/ucp:{version}", *(f"{organisation}/ucp-{name}:{version}" for name in images)]


def dtr_names(version: str) -> list[str]:
    """All image names of a version of DTR (MSR), the bootstrapper's first."""
    organisation = "docker" if tuple(map(int, version.split("."))) < (2, 8) else "mirantis"
    return [f"{organisation}/dtr:{version}", *(f"{organisation}/dtr-{name}:{version}" for name in _DTR_IMAGES)]


def load(where: Lab | Host, versions: Iterable[str] = ("2.2.5",)) -> None:
    """Bring the images of these versions of UCP to a host, or to all hosts of a lab."""
    wanted = [(NAME, name) for version in versions for name in names(version)]
    _everywhere(where, lambda host: _tag(host, wanted))


def load_dtr(where: Lab | Host, versions: Iterable[str] = ("2.4.1",)) -> None:
    """Bring the images of these versions of DTR to a host, or to all hosts of a lab.

    DTR's bootstrapper has no way to the engine, so its version is in the image.
    """
    wanted = tuple(versions)

    def bring(host: Host) -> None:
        for version in wanted:
            first, *others = dtr_names(version)
            made = host.api("POST", "/containers/create", {"Image": NAME})["Id"]
            repository, _, tag = first.rpartition(":")
            change = quote(f"ENV DTR_VERSION={version}")
            host.api("POST", f"/commit?container={made}&repo={repository}&tag={tag}&changes={change}")
            host.api("DELETE", f"/containers/{made}")
            _tag(host, [(first, name) for name in others])

    _everywhere(where, bring)


def _everywhere(where: Lab | Host, bring: Callable[[Host], None]) -> None:
    root = image.root()

    def on(host: Host) -> None:
        if host.docker("image", "inspect", NAME, check=False).returncode:
            host.import_image(NAME, root, image.CHANGES)
        bring(host)

    if isinstance(where, Lab):
        where.each(on)
    else:
        on(where)


def _tag(host: Host, wanted: Iterable[tuple[str, str]]) -> None:
    for known, name in wanted:
        repository, _, tag = name.rpartition(":")
        host.api("POST", f"/images/{known}/tag?repo={repository}&tag={tag}")


def switch(host: Host, name: str, on: bool = True) -> None:
    """Turn a switch on or off on a host."""
    if name not in SWITCHES:
        raise ValueError(f"no such switch: {name}; there are {', '.join(SWITCHES)}")
    if on:
        host.api("POST", f"/images/busybox:latest/tag?repo=standin.switch&tag={name}")
    elif f"standin.switch:{name}" in host.docker("images", "--format", "{{.Repository}}:{{.Tag}}").stdout:
        host.docker("rmi", f"standin.switch:{name}")
