"""The runbook swarm.rotate-ca, and its steps: a new root CA, and a new certificate for every node.

`docker swarm ca --rotate` counts the same two things: nodes whose certificate the new CA issued, and nodes that trust
nothing but the new root.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec

from swarmtui.errors import EngineError, RefusedError
from swarmtui.model.text import listed, one_line
from swarmtui.runbooks import params
from swarmtui.runbooks.node_waits import wait_line
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import ConflictError, Facts, Plan, Runbook, Shown, Step, StepError, Voice, binding_of
from swarmtui.runbooks.swarm import cluster_steps
from swarmtui.runbooks.swarm.cluster_steps import SwarmObject, read_swarm, root_fingerprint, update_swarm
from swarmtui.session import Session

STILL = "Bring those nodes back, or remove them from the Swarm; then retry: the rotation goes on by itself meanwhile."


class _Tls(msgspec.Struct, rename="pascal"):
    trust_root: str = ""
    cert_issuer_public_key: str = ""


class _Description(msgspec.Struct, rename="pascal"):
    hostname: str = ""
    tls: _Tls | None = msgspec.field(default=None, name="TLSInfo")


class _Status(msgspec.Struct, rename="pascal"):
    state: str = ""


class _Node(msgspec.Struct, rename="pascal"):
    """What of a node tells how far a rotation is; the model leaves most of it out."""

    id: str = msgspec.field(default="", name="ID")
    description: _Description = msgspec.field(default_factory=_Description)
    status: _Status = msgspec.field(default_factory=_Status)

    @property
    def name(self) -> str:
        return one_line(self.description.hostname or self.id[:12])


async def _nodes(session: Session) -> list[_Node]:
    return msgspec.json.decode(await session.get("/nodes"), type=list[_Node])


@dataclass(frozen=True, kw_only=True)
class RotateRoot(Step):
    """Begins the rotation, and follows it until the new root is the only one.

    Attributes:
        seconds: when it gives up; a node that is down holds it up until it is back, or removed.
    """

    cluster_id: str
    seconds: int = 600

    @property
    def shown(self) -> tuple[Shown, ...]:
        done = (
            "docker swarm ca --rotate --detach >/dev/null",
            wait_line("[ \"$(docker info -f '{{.Swarm.Cluster.RootRotationInProgress}}')\" = false ]", self.seconds),
        )
        return tuple(Shown(line) for line in done)

    async def _swarm(self, session: Session) -> SwarmObject:
        now = await read_swarm(session)
        self._check(now)
        return now

    def _check(self, now: SwarmObject) -> None:
        if now.id != self.cluster_id:
            raise ConflictError("This is another Swarm than the plan was made for.", "See: swarmtui status")

    async def before(self, session: Session) -> Facts:
        now = await self._swarm(session)
        return {"root": root_fingerprint(now.root), "issuer": root_fingerprint(now.issuer), "forced": now.force_rotate}

    def _begun(self, now: SwarmObject, before: Facts) -> bool:
        return now.rotating or now.force_rotate > before["forced"] or root_fingerprint(now.root) != before["root"]

    async def already_done(self, session: Session, before: Facts) -> str:
        missing, _, _ = await self._missing(session, before)
        return "" if missing else "The root CA is a new one, and every node has a certificate of it."

    async def _missing(self, session: Session, before: Facts) -> tuple[str, int, int]:
        """What is still missing, one sentence; how many nodes follow, and how many there are."""
        now = await self._swarm(session)
        nodes = await _nodes(session)
        if root_fingerprint(now.root) == before["root"] and not now.rotating:
            return "The root CA is still the old one.", 0, len(nodes)
        behind = [node for node in nodes if not _follows(node, now, before)]
        done = len(nodes) - len(behind)
        if not now.rotating and root_fingerprint(now.root) != before["root"] and not behind:
            return "", done, len(nodes)
        if not behind:
            return "Every node has its new certificate; the Swarm is about to drop the old root.", done, len(nodes)
        told = listed(
            [f"{one.name} ({one.status.state})" if one.status.state != "ready" else one.name for one in behind], 8
        )
        what = "still have a certificate of the old CA" if now.rotating else "do not yet trust the new root alone"
        return f"{done} of {len(nodes)} nodes follow; {told} {what}.", done, len(nodes)

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        async def not_begun(now: SwarmObject) -> bool:
            self._check(now)
            return not self._begun(now, before)

        def force(spec: dict[str, Any]) -> None:
            authority = dict(spec.get("CAConfig") or {})
            spec["CAConfig"] = {**authority, "ForceRotate": int(authority.get("ForceRotate", 0) or 0) + 1}

        await update_swarm(session, not_begun, force)
        end = time.monotonic() + self.seconds
        said = ""
        while True:
            try:
                missing, done, total = await self._missing(session, before)
            except EngineError as error:
                # A manager that takes its new certificate may be without a leader for a moment.
                missing, done, total = error.what, 0, 1
            if not missing:
                voice.progress(total, total, "every node follows the new root CA")
                return
            if missing != said:
                voice.progress(done, total + 1, missing)
                said = missing
            if time.monotonic() >= end:
                raise StepError(f"{missing} This was waited for {self.seconds} seconds.", STILL)
            await asyncio.sleep(cluster_steps.POLL_SECONDS)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        missing, _, _ = await self._missing(session, before)
        if missing:
            raise StepError(missing, STILL)
        root = root_fingerprint((await self._swarm(session)).root)
        voice.say(f"The root CA is {root} now, and was {before['root']}. The join tokens are new ones too.")


def _follows(node: _Node, now: SwarmObject, before: Facts) -> bool:
    """Whether a node has all it shall have at this point of a rotation."""
    tls = node.description.tls
    if tls is None:
        return False
    if now.rotating:
        return root_fingerprint(tls.cert_issuer_public_key) not in ("", before["issuer"])
    return root_fingerprint(tls.trust_root) == root_fingerprint(now.root)


class CaFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the plan is made from.

    Attributes:
        root: fingerprint of the root CA.
        down: names of nodes that are not ready: they hold a rotation up.
        external: certificates are issued by a CA outside of the Swarm.
    """

    cluster: str
    cluster_id: str
    root: str
    rotating: bool
    nodes: int
    down: tuple[str, ...]
    external: bool


class RotateCa(Runbook):
    name = "swarm.rotate-ca"
    summary = "let the Swarm make a new root CA, and every node take a certificate of it"
    params: ClassVar[Sequence[Param]] = (
        Param("wait", "how long to wait until every node follows, in seconds", params.seconds, "SECONDS", default=600),
    )

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        swarm, nodes = await read_swarm(session), await _nodes(session)
        built: Facts = msgspec.to_builtins(
            CaFacts(
                cluster=session.name,
                cluster_id=swarm.id,
                root=root_fingerprint(swarm.root),
                rotating=swarm.rotating,
                nodes=len(nodes),
                down=tuple(sorted(node.name for node in nodes if node.status.state != "ready")),
                external=bool((swarm.spec.get("CAConfig") or {}).get("ExternalCAs")),
            )
        )
        return built

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        known = msgspec.convert(facts, CaFacts)
        if known.external:
            raise RefusedError(
                f"{known.cluster} has its certificates issued by an external CA: that one is rotated where it is.",
                "See: docker swarm ca --help (--external-ca, --ca-cert).",
            )
        if known.rotating:
            raise RefusedError(
                f"The root CA of {known.cluster} is being rotated right now.",
                "Wait until every node follows: docker info tells. Nodes that are down hold it up.",
            )
        warnings = tuple(
            f"{name} is not ready: the rotation does not end before it is back, or removed." for name in known.down
        )
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Rotate the root CA of {known.cluster}",
            why="Whoever has the old CA's key can make certificates that the Swarm believes.",
            steps=(
                RotateRoot(
                    id="rotate-ca",
                    title=f"Make a new root CA, and wait until all {known.nodes} nodes follow",
                    why="Until then both roots are trusted, so no node falls out. Tasks keep running.",
                    cluster_id=known.cluster_id,
                    seconds=params["wait"],
                ),
            ),
            touches=(known.cluster,),
            notes=("The join tokens change with it, since they name the CA: the old ones let nobody in any more.",),
            warnings=warnings,
            binding=binding_of(known.cluster_id, known.root, known.down),
        )
