"""What a host's own engine is asked before a command of an image runs there, and after."""

from __future__ import annotations

import json
from typing import Final, TypeVar

import msgspec

from swarmtui.errors import EngineError
from swarmtui.link import jobs
from swarmtui.model.text import one_line
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.session import Session

NOT_FOUND: Final = 404
T = TypeVar("T")


class Listed(msgspec.Struct, frozen=True):
    """A container on a host, as `docker ps` lists it. created: when it was made, unix seconds."""

    name: str
    image: str
    status: str
    created: int = 0

    @property
    def runs(self) -> bool:
        return self.status.startswith("Up")


class _Container(msgspec.Struct, frozen=True, rename="pascal"):
    """One entry of `GET /containers/json`."""

    names: tuple[str, ...] | None = None
    image: str = ""
    status: str = ""
    created: int = 0


class _Image(msgspec.Struct, frozen=True, rename="pascal"):
    repo_tags: tuple[str, ...] | None = None


class _Volume(msgspec.Struct, frozen=True, rename="pascal"):
    name: str = ""
    mountpoint: str = ""


class _Volumes(msgspec.Struct, frozen=True, rename="pascal"):
    volumes: tuple[_Volume, ...] | None = None


class EngineSays(msgspec.Struct, frozen=True, rename="pascal"):
    """What an engine says of its host. kernel_version: as `uname -r`."""

    kernel_version: str = ""
    security_options: tuple[str, ...] | None = None

    @property
    def selinux(self) -> bool:
        """Whether its containers are confined by SELinux."""
        return any(option.startswith("name=selinux") for option in self.security_options or ())

    @property
    def kernel(self) -> str:
        return self.kernel_version


async def with_systemd(session: Session, at: Where) -> Where:
    """The same, knowing whether jobs can be units there. Raises LinkError."""
    return msgspec.structs.replace(at, systemd=await jobs.has_systemd(await at.reach(session)))


async def containers(session: Session, at: Where, name: str = "") -> list[Listed]:
    """Containers, running or not, with this in their name.

    Raises:
        LinkError, EngineError: its Docker cannot be asked.
    """
    engine = await session.engine_of(at.ssh)
    query = {"all": "1", **({"filters": json.dumps({"name": [name]})} if name else {})}
    listed = _decoded(await engine.get("/containers/json", params=query), tuple[_Container, ...], at)
    return [
        Listed(one_line(found.removeprefix("/")), one_line(each.image), one_line(each.status), each.created)
        for each in listed
        for found in (each.names or ())[:1]
    ]


async def holder(session: Session, at: Where, name: str) -> Listed | None:
    """The container of exactly this name; None where there is none. Raises as `containers` does."""
    return next((one for one in await containers(session, at, name) if one.name == name), None)


async def volumes(session: Session, at: Where, name: str) -> list[str]:
    """The volumes with this in their name. Raises as `containers` does."""
    engine = await session.engine_of(at.ssh)
    query = {"filters": json.dumps({"name": [name]})}
    listed = _decoded(await engine.get("/volumes", params=query), _Volumes, at)
    return [volume.name for volume in listed.volumes or ()]


async def has_image(session: Session, at: Where, image: str) -> bool:
    """Whether an image is on the host. Raises as `containers` does."""
    engine = await session.engine_of(at.ssh)
    try:
        await engine.get(f"/images/{image}/json")
    except EngineError as error:
        if error.status == NOT_FOUND:
            return False
        raise
    return True


async def images(session: Session, at: Where) -> frozenset[str]:
    """The tags of all images on the host. Raises as `containers` does."""
    engine = await session.engine_of(at.ssh)
    listed = _decoded(await engine.get("/images/json"), tuple[_Image, ...], at)
    return frozenset(tag for image in listed for tag in image.repo_tags or ())


async def mountpoint(session: Session, at: Where, volume: str) -> str:
    """The folder of a volume on the host; "" where there is no such volume. Raises as `containers` does."""
    engine = await session.engine_of(at.ssh)
    try:
        return _decoded(await engine.get(f"/volumes/{volume}"), _Volume, at).mountpoint
    except EngineError as error:
        if error.status == NOT_FOUND:
            return ""
        raise


async def engine_says(session: Session, at: Where) -> EngineSays:
    """What its engine says of a host. Raises as `containers` does."""
    engine = await session.engine_of(at.ssh)
    return _decoded(await engine.get("/info"), EngineSays, at)


async def remove(session: Session, at: Where, names: list[str], folders: list[str]) -> None:
    """Removes containers, running or not, and then volumes; those that are gone are no error.

    Raises:
        LinkError, EngineError: its Docker cannot be asked, or does not do it.
    """
    engine = await session.engine_of(at.ssh)
    for path, query in (
        *((f"/containers/{name}", {"force": "1"}) for name in names),
        *((f"/volumes/{name}", dict[str, str]()) for name in folders),
    ):
        try:
            await engine.delete(path, query)
        except EngineError as error:
            # Somebody, or an answer that was lost, was quicker.
            if error.status != NOT_FOUND:
                raise


def _decoded(body: bytes, shape: type[T], at: Where) -> T:
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.MsgspecError as error:
        raise EngineError(
            f"The engine of {at.name} does not tell what is on it: {one_line(str(error))[:200]}.",
            "Is it a Docker engine, and not a proxy that answers in its place?",
        ) from error
