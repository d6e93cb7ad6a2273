"""What a replica is told of itself, as parameters and as flags: address, ports, images, own certificates."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from swarmtui.config.tables import is_url
from swarmtui.model.dtr import facts
from swarmtui.runbooks import params
from swarmtui.runbooks.dtr.image import Hidden, Options
from swarmtui.runbooks.dtr.nfs import NFS
from swarmtui.runbooks.dtr.storage import VOLUME, place
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.ucp import own_certificates
from swarmtui.runbooks.ucp.install import port
from swarmtui.runbooks.ucp.own_certificates import OwnCertificates
from swarmtui.vault import Secret

LOCAL: Final = "local"


def external(value: str) -> str:
    """The address of DTR for people and tools, https://HOST[:PORT]; the kind of a parameter. Raises ValueError."""
    if not is_url(value):
        raise ValueError("is no address such as https://dtr.example.com")
    return value.rstrip("/")


def storage(value: str) -> str:
    """Where images are kept on file systems; the kind of a parameter. Raises ValueError."""
    if value == LOCAL:
        return value
    found = place(value)
    if not found.startswith((NFS, VOLUME)):
        raise ValueError("is set after the installation: swarmtui run dtr.storage")
    return found


URL: Final = Param("url", "its address for people and tools: of the load balancer", external, "https://HOST[:PORT]")
HTTP: Final = Param("http-port", "its port for HTTP on the node", port, "PORT", default=facts.HTTP_PORT)
HTTPS: Final = Param("https-port", "its port for HTTPS on the node", port, "PORT", default=facts.HTTPS_PORT)
CERTIFICATES: Final = Param("certificates", "own certificates: ca.pem, cert.pem, key.pem", params.text, "FOLDER")


def storage_flags(where: str) -> Options:
    """The flags that put images there; none for a replica's own disk."""
    if where.startswith(NFS):
        return (("nfs-storage-url", where),)
    return (("dtr-storage-volume", where.removeprefix(VOLUME)),) if where.startswith(VOLUME) else ()


def ports_flags(http: int, https: int) -> Options:
    """The flags for ports that are not the usual ones."""
    told = []
    if http != facts.HTTP_PORT:
        told.append(("replica-http-port", str(http)))
    if https != facts.HTTPS_PORT:
        told.append(("replica-https-port", str(https)))
    return tuple(told)


def certificate_flags(own: OwnCertificates | None) -> Options:
    """The flags for own certificates: their text goes through variables of the shell."""
    if own is None:
        return ()
    return tuple(
        (flag, Hidden(variable, file=str(Path(own.folder) / name), secret=flag in facts.SECRET_FLAGS))
        for flag, variable, name in _FILES
    )


_FILES: Final = (
    ("dtr-ca", "DTR_CA", "ca.pem"),
    ("dtr-cert", "DTR_CERT", "cert.pem"),
    ("dtr-key", "DTR_KEY", "key.pem"),
)


async def certificates_of(given: Mapping[str, Any]) -> OwnCertificates | None:
    """What the operator brings; None for nothing. Raises UsageError."""
    folder = given.get(CERTIFICATES.name, "")
    return await asyncio.to_thread(own_certificates.read, Path(folder).expanduser()) if folder else None


async def certificate_secrets(own: OwnCertificates | None) -> dict[str, Secret]:
    """What the variables of `certificate_flags` hold.

    Raises:
        UsageError: a file cannot be read.
        StepError: they were changed since the plan was made.
    """
    if own is None:
        return {}
    found = await own_certificates.as_planned(own)
    return {variable: Secret(found[name].decode("ascii", "replace")) for _, variable, name in _FILES}
