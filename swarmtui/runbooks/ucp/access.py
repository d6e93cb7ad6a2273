"""The way to UCP of a cluster: which managers, by which addresses, by whose authority, and as whom.

Nothing of it need be configured: every manager is asked at https://ITS-ADDRESS, and the authority its certificate is
believed by is read from a manager over SSH, which is trusted already, and remembered.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from swarmtui.config import UcpConfig, state_dir
from swarmtui.errors import RefusedError, SwarmtuiError, UsageError
from swarmtui.link import trust
from swarmtui.link.https import Ping, endpoint
from swarmtui.link.reasons import LinkError
from swarmtui.link.target import TcpTarget
from swarmtui.link.ucp.client import UcpClient
from swarmtui.link.ucp.errors import Trouble, UcpAwayError, UcpError
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import Node
from swarmtui.model.text import one_line
from swarmtui.model.ucp import facts, status
from swarmtui.model.ucp.facts import Version
from swarmtui.model.url import https_url
from swarmtui.runbooks.image.job import ask_image
from swarmtui.runbooks.runbook import StepError
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where, where
from swarmtui.runbooks.ucp.image import Command
from swarmtui.session import Session
from swarmtui.vault import Secret

HOST_SECONDS: Final = 20.0


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """UCP on one manager.

    Attributes:
        url: https://HOST[:PORT].
        at: its host over SSH.
        ready: the manager is up and reachable for the Swarm.
        named: somebody said in the configuration where it is.
    """

    node_id: str
    name: str
    url: str
    at: Where
    ready: bool = True
    named: bool = False


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """How UCP of a cluster is reached; plain values, nothing secret.

    Attributes:
        cluster: what people call it.
        version: "2.2.5".
        instance: the id of the instance.
        managers: all of them, by name.
        balancer: URL of the load balancer; "" where none is configured.
        front: URL that the client bundle leads to, where the cluster was opened with one; else "".
        username: who logs in where nobody else is named.
        ca: the authority, in PEM.
        ca_from: "config", "bundle", "remembered", or the name of the manager it was read from just now.
    """

    cluster: str
    cluster_id: str
    version: str
    instance: str
    managers: tuple[Door, ...]
    balancer: str = ""
    front: str = ""
    username: str = "admin"
    ca: str = ""
    ca_from: str = ""

    @property
    def release(self) -> Version:
        """The version, to ask the table of facts with."""
        return Version.parse(self.version)

    @property
    def product(self) -> str:
        """What people call it: "UCP 2.2.5"."""
        return self.release.product

    def client(
        self,
        url: str,
        *,
        username: str = "",
        password: Secret | None = None,
        certificate: tuple[Path, Path] | None = None,
        via: Path | None = None,
    ) -> UcpClient:
        """A client of UCP at one of its addresses; as nobody where no user is named. Raises UsageError."""
        return UcpClient(url, self.ca, username=username, password=password, certificate=certificate, via=via)

    def door(self, name: str) -> Door:
        """UCP on the manager of this name or id. Raises UsageError."""
        found = next((door for door in self.managers if name in (door.name, door.node_id)), None)
        if found is None:
            known = ", ".join(door.name for door in self.managers)
            raise UsageError(f'"{one_line(name)}" is no manager of {self.cluster}.', f"Managers: {known}.")
        return found


# -- where it is -------------------------------------------------------------------------------------------------------


def urls(snapshot: Snapshot, config: UcpConfig) -> dict[str, str]:
    """Node id → the URL of UCP on that manager: as configured by name or id, else its address."""
    found = {}
    for node in _voters(snapshot):
        told = config.managers.get(node.id) or config.managers.get(node.hostname)
        parts = snapshot.ucp.parts.get(node.id) if snapshot.ucp is not None else None
        if told or node.address:
            found[node.id] = told or https_url(node.address, status.port_of(parts))
    return found


def _voters(snapshot: Snapshot) -> list[Node]:
    return sorted((node for node in snapshot.nodes.values() if node.is_voter), key=lambda node: (node.name, node.id))


async def access(session: Session, *, fresh: bool = False) -> Access:
    """Finds out how UCP of a cluster is reached, by its newest snapshot.

    Args:
        fresh: read the authority from a manager, though one is remembered: UCP has other certificates now.

    Raises:
        RefusedError: no UCP runs on this Swarm, or one whose version is not known here.
        UcpError: nobody can tell its authority.
        UsageError: the configuration names a file with it that cannot be read.
    """
    snapshot, config = session.snapshot, session.opening.cluster.ucp
    version = status.version_of(snapshot)
    if version is None:
        hidden = ", or not for the user of this client bundle to see" if _bundle(session) is not None else ""
        raise RefusedError(
            f"No UCP runs on {session.name}: the service of its agents is not there{hidden}.",
            "See the services: docker service ls. To install it: swarmtui run ucp.install --help",
        )
    if not version.supported:
        raise RefusedError(f"UCP {version} is not known here.", "Versions 2.2, 3.x and MKE 3.x are.")
    at = urls(snapshot, config)
    found = Access(
        cluster=session.name,
        cluster_id=snapshot.cluster_id,
        version=str(version),
        instance=status.instance_of(snapshot),
        managers=tuple(
            Door(
                node_id=node.id,
                name=one_line(node.name),
                url=at[node.id],
                at=where(session, one_line(node.name), session.host_label(node)),
                ready=node.is_reachable and node.is_ready,
                named=node.id in config.managers or node.hostname in config.managers,
            )
            for node in _voters(snapshot)
            if node.id in at
        ),
        balancer=config.url,
        front=_front(session),
        username=config.username,
    )
    if not found.managers:
        raise UcpAwayError(
            Trouble.AWAY,
            f"The Swarm tells of no manager of {session.name} by which UCP could be reached.",
            f"Name them in the configuration: [clusters.{session.name}.ucp] managers = {{ NODE = URL }}",
        )
    return await trusting(session, found, fresh=fresh)


async def trusting(session: Session, known: Access, *, fresh: bool = False) -> Access:
    """The same with the authority that its certificates are believed by. Raises as `access` does."""
    replace = msgspec.structs.replace
    if file := session.opening.cluster.ucp.ca:
        return replace(
            known, ca=await asyncio.to_thread(trust.of_file, Path(file).expanduser(), "UCP"), ca_from="config"
        )
    if pem := await asyncio.to_thread(_of_bundle, session):
        return replace(known, ca=pem, ca_from="bundle")
    if not fresh and (kept := await asyncio.to_thread(trust.recall, _folder(), known.cluster_id)):
        return replace(known, ca=kept, ca_from="remembered")
    troubles = []
    for door in sorted(known.managers, key=lambda door: not door.ready):
        try:
            async with asyncio.timeout(HOST_SECONDS * 3):
                pem = await read_authority(session, door.at, known.release)
        except TimeoutError:
            troubles.append(f"{door.name} took too long")
            continue
        except SwarmtuiError as error:
            troubles.append(f"{door.name}: {error.what.rstrip('.')}")
            continue
        with contextlib.suppress(OSError):
            # Only saves the next start from asking again.
            await asyncio.to_thread(trust.remember, _folder(), known.cluster_id, pem)
        return replace(known, ca=pem, ca_from=door.name)
    raise UcpError(
        Trouble.NOT_TRUSTED,
        f"Nobody could tell by which authority UCP of {known.cluster} is to be believed "
        f"({'; '.join(troubles) or 'it has no manager'}).",
        "Save what dump-certs --ca prints on a manager, and name that file in the configuration: "
        f"[clusters.{known.cluster}.ucp] ca = FILE",
    )


def _folder() -> Path:
    return state_dir() / "ucp"


def _bundle(session: Session) -> TcpTarget | None:
    return next((target for target in session.opening.targets if isinstance(target, TcpTarget)), None)


def _front(session: Session) -> str:
    target = _bundle(session)
    return str(target).replace("tcp://", "https://", 1).removesuffix(":443") if target is not None else ""


def _of_bundle(session: Session) -> str:
    """The authority in the client bundle that the cluster was opened with; "" where it was not, or has none."""
    target = _bundle(session)
    if target is None or target.tls.ca is None or not target.tls.verify:
        return ""
    try:
        return trust.certificates_in(target.tls.ca.read_text("ascii", "replace"))
    except OSError:
        return ""


def dump_certs(version: Version) -> Command:
    """The documented way to the authority of UCP's web server."""
    return Command(version=version, name="dump-certs", options=(("ca", ""),))


def authority_line(at: Where) -> str:
    """What prints the authority of UCP's web server on a manager, from the volume that it is read from."""
    volume = f"docker volume inspect -f '{{{{.Mountpoint}}}}' {facts.CERTS_VOLUME}"
    script = f'cat "$({volume})"/ca.pem'
    return at.root(f"sh -c {shlex.quote(script)}")


async def read_authority(session: Session, at: Where, version: Version) -> str:
    """Reads the authority of UCP's web server from a manager over SSH, in PEM.

    By dump-certs where the image is there; else from the volume that the web server reads it from (ucp-dtr.md §1.4):
    the image would be pulled, and its container's name may be taken by a backup that runs.

    Raises:
        LinkError: the host cannot be reached.
        StepError: it is not there.
    """
    with contextlib.suppress(StepError):
        told = await ask_image(session, at, dump_certs(version))
        if told.ok and (pem := trust.certificates_in(told.out)):
            return pem
    host = await at.reach(session)
    completed = await host.run(authority_line(at), timeout=HOST_SECONDS)
    pem = trust.certificates_in(completed.out) if completed.code == 0 else ""
    if not pem:
        raise StepError(
            f"The authority of UCP cannot be read on {at.name}: {completed.words or 'it is no certificate'}.",
            f"Bring {version.image} there, or look at the volume {facts.CERTS_VOLUME}.",
        )
    return pem


# -- as whom -----------------------------------------------------------------------------------------------------------


async def pings(known: Access) -> dict[str, Ping]:
    """Name → how UCP is on each manager, all asked at once, straight."""

    async def ping(door: Door) -> Ping:
        async with known.client(door.url) as client:
            return await client.ping()

    answers = await asyncio.gather(*(ping(door) for door in known.managers))
    return {door.name: answer for door, answer in zip(known.managers, answers, strict=True)}


async def opened(
    session: Session, known: Access, *, username: str = "", password: Secret | None = None, node: str = ""
) -> UcpClient:
    """A client at a manager whose UCP is healthy: where the bundle leads, straight, through the load balancer, or over
    SSH.

    It logs in with its first call. Close it, so that its session ends.

    Args:
        node: only this manager will do, healthy or not.

    Raises:
        UcpError: none is; says how each one is.
        UsageError: node is no manager.
    """
    doors = [known.door(node)] if node else list(known.managers)
    if known.front and not node:
        if (client := await _through(known, known.front, username, password)) is not None:
            return client
        # A bundle leads to a place that its owner may reach: the managers' own addresses are asked only where somebody
        # said that they can be.
        doors = [door for door in doors if door.named]
    answers = await pings(msgspec.structs.replace(known, managers=tuple(doors)))
    stale = known.ca_from == "remembered" and any(one.trouble == Trouble.NOT_TRUSTED for one in answers.values())
    if stale and not any(one.ok for one in answers.values()):
        # What was remembered is of an older installation: the managers themselves know better.
        known = await trusting(session, known, fresh=True)
        answers = await pings(msgspec.structs.replace(known, managers=tuple(doors)))
    for door in doors:
        if answers[door.name].ok or (node and answers[door.name].status):
            return known.client(door.url, username=username, password=password)
    if known.balancer and not node and (client := await _through(known, known.balancer, username, password)):
        return client
    unreached = [door for door in doors if answers[door.name].trouble in (Trouble.AWAY, Trouble.SLOW) and door.ready]
    for door in unreached:
        if (client := await _over_ssh(session, known, door, username, password)) is not None:
            return client
    raise _none(known, doors, answers)


async def _through(known: Access, url: str, username: str, password: Secret | None) -> UcpClient | None:
    """A client at an address that leads to some manager, where UCP is healthy behind it."""
    client = known.client(url, username=username, password=password)
    if (await client.ping()).ok:
        return client
    await client.close()
    return None


async def _over_ssh(
    session: Session, known: Access, door: Door, username: str, password: Secret | None
) -> UcpClient | None:
    """A client whose calls go through the manager's sshd, where that one's UCP is healthy."""
    target = endpoint(door.url)
    try:
        host = await door.at.reach(session)
        via = await host.forward_port(target.host, target.port)
    except LinkError:
        return None
    client = known.client(door.url, username=username, password=password, via=via)
    if (await client.ping()).ok:
        return client
    await client.close()
    return None


def _none(known: Access, doors: Sequence[Door], answers: Mapping[str, Ping]) -> UcpError:
    worst = answers[doors[0].name] if doors else Ping(ok=False, status=0, text="it has no manager")
    told = "; ".join(f"{door.name}: {_how(answers[door.name])}" for door in doors)
    kind = UcpAwayError if worst.trouble in (Trouble.AWAY, Trouble.SLOW) else UcpError
    return kind(
        Trouble(worst.trouble) if worst.trouble else Trouble.FAILED,
        f"UCP of {known.cluster} is not healthy on any manager ({told or worst.text}).",
        "Look at its components on the managers: docker ps -a --filter name=ucp-. It may still be starting.",
        status=worst.status,
    )


def _how(answer: Ping) -> str:
    return answer.text.rstrip(".") if not answer.status else f"its /_ping says {answer.status}"
