"""The steps that plans on nodes are made of. Sources of the conditions: swarm-dr.md §6."""

from __future__ import annotations

import asyncio
import json
import shlex
from dataclasses import dataclass
from typing import Any

from msgspec.structs import asdict

from swarmtui.errors import EngineError
from swarmtui.link.reasons import LinkError
from swarmtui.model.swarm import Node, NodeSpec, Role
from swarmtui.model.text import one_line
from swarmtui.runbooks.runbook import ConflictError, Danger, Facts, Shown, Step, StepError, Voice
from swarmtui.session import Session

POLL_SECONDS = 0.5
REASON_LENGTH = 300
SAID_LINES = 50
OUT_OF_SEQUENCE_TRIES = 8


@dataclass(frozen=True, kw_only=True)
class NodeStep(Step):
    """A step about one node.

    Attributes:
        node_id: its id.
        name: what the docker CLI calls it.
    """

    node_id: str
    name: str


@dataclass(frozen=True, kw_only=True)
class UpdateNode(NodeStep):
    """Changes a node's Spec, if it still is as it was when the plan was confirmed.

    Attributes:
        expected: the Spec as confirmed, with what earlier steps of the same plan change.
        wanted: the Spec as it shall be.
    """

    expected: NodeSpec
    wanted: NodeSpec

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (Shown(spec_command(self.name, self.expected, self.wanted)),)

    @property
    def undo(self) -> tuple[Shown, ...]:
        return (Shown(spec_command(self.name, self.wanted, self.expected)),)

    async def before(self, session: Session) -> Facts:
        node, _ = await session.node(self.node_id)
        return {"version": node.version.index, "spec": asdict(node.spec)}

    async def already_done(self, session: Session, before: Facts) -> str:
        node, _ = await session.node(self.node_id)
        return f"{self.name} already is {_told(self.expected, self.wanted)}." if _same(node.spec, self.wanted) else ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        if self.expected.role != self.wanted.role == Role.WORKER:
            # A fail-over since the plan began may have led to this very manager, which cannot confirm its own demotion.
            await session.move_away_from(self.node_id)
        for attempt in range(OUT_OF_SEQUENCE_TRIES):
            node, body = await session.node(self.node_id)
            if not _same(node.spec, self.expected):
                raise ConflictError(
                    f"Somebody else changed {self.name} after you confirmed: "
                    f"it now is {_told(self.expected, node.spec)}.",
                    "Nothing was changed by this step. Look at the node again and decide anew.",
                )
            spec = json.loads(body).get("Spec")
            if not isinstance(spec, dict):
                raise StepError(
                    f"The engine's answer about {self.name} has no Spec: nothing was changed.",
                    "Is it a Docker engine, and not a proxy that answers in its place?",
                )
            spec = self._changed(spec)
            try:
                await session.post(f"/nodes/{self.node_id}/update", {"version": str(node.version.index)}, spec)
                return
            except EngineError as error:
                # The version also grows with the node's own heartbeats and role changes: only the Spec is ours
                # to judge.
                if "out of sequence" not in error.message or attempt == OUT_OF_SEQUENCE_TRIES - 1:
                    raise
            await asyncio.sleep(POLL_SECONDS)

    def _changed(self, spec: dict[str, Any]) -> dict[str, Any]:
        """The engine's own Spec with only that changed which shall be; what we do not know of it survives."""
        if self.wanted.availability != self.expected.availability:
            spec["Availability"] = self.wanted.availability
        if self.wanted.role != self.expected.role:
            spec["Role"] = self.wanted.role
        old, new = self.expected.labels or {}, self.wanted.labels or {}
        labels = dict(spec.get("Labels") or {})
        for key in old.keys() - new.keys():
            labels.pop(key, None)
        labels.update({key: value for key, value in new.items() if old.get(key) != value})
        spec["Labels"] = labels
        return spec

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        node, _ = await session.node(self.node_id)
        if not _same(node.spec, self.wanted):
            raise StepError(
                f"{self.name} was told to be {_told(self.expected, self.wanted)}, but is not.",
                "Somebody may have changed it at the same moment: look at it again.",
            )
        voice.say(f"{self.name} is {_told(self.expected, self.wanted)}.")


def spec_command(name: str, before: NodeSpec, after: NodeSpec) -> str:
    """The docker command that turns one Spec into the other."""
    node = shlex.quote(name)
    options = []
    if before.availability != after.availability:
        options.append(f"--availability {shlex.quote(after.availability)}")
    if before.role != after.role:
        if not options and (before.labels or {}) == (after.labels or {}):
            return f"docker node {'promote' if after.role == 'manager' else 'demote'} {node}"
        options.append(f"--role {shlex.quote(after.role)}")
    old, new = before.labels or {}, after.labels or {}
    options += [f"--label-rm {shlex.quote(key)}" for key in sorted(old.keys() - new.keys())]
    options += [
        f"--label-add {shlex.quote(f'{key}={value}')}" for key, value in sorted(new.items()) if old.get(key) != value
    ]
    return f"docker node update {' '.join(options)} {node}"


def _same(one: NodeSpec, other: NodeSpec) -> bool:
    return (
        one.availability == other.availability
        and one.role == other.role
        and dict(one.labels or {}) == dict(other.labels or {})
    )


def _told(expected: NodeSpec, actual: NodeSpec) -> str:
    parts = []
    if expected.availability != actual.availability:
        parts.append({"drain": "drained", "pause": "paused"}.get(actual.availability, actual.availability))
    if expected.role != actual.role:
        parts.append(f"a {actual.role} by its Spec")
    if (expected.labels or {}) != (actual.labels or {}):
        shown = ", ".join(f"{k}={v}" for k, v in sorted((actual.labels or {}).items()))
        parts.append(f"labelled {shown}" if shown else "without labels")
    return " and ".join(parts) or "as it was"


@dataclass(frozen=True, kw_only=True)
class MoveConnection(NodeStep):
    """Goes on through another manager, before the one we talk through stops being one."""

    @property
    def shown(self) -> tuple[Shown, ...]:
        # What it means for somebody who types the commands: docker must not talk to this manager either.
        told = shlex.quote(f"Point docker (DOCKER_HOST) at another manager than {self.name}.")
        same = f"[ \"$(docker info -f '{{{{.Swarm.NodeID}}}}')\" != {shlex.quote(self.node_id)} ]"
        return (Shown(f"{same} || {{ echo {told} >&2; exit 1; }}"),)

    async def already_done(self, session: Session, before: Facts) -> str:
        moved = session.connection.node_id != self.node_id
        return f"The connection runs through {session.connection.through}." if moved else ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        through = await session.move_away_from(self.node_id)
        voice.say(f"Connected through {through} now.")

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if session.connection.node_id == self.node_id:
            raise StepError(
                f"The connection still runs through {self.name}.",
                "Name another manager in the configuration, or its SSH address under addresses.",
            )


@dataclass(frozen=True, kw_only=True)
class LeaveSwarm(NodeStep):
    """Makes a live node leave the Swarm by itself, over SSH to its host.

    Attributes:
        host: SSH destination; port: None for the usual one.
        sudo: whether the command needs `sudo -n` there.
    """

    host: str
    port: int | None = None
    sudo: bool = False
    danger: Danger = Danger.DESTRUCTIVE

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (Shown(self._line("swarm leave"), self.host, self.port),)

    def _line(self, command: str) -> str:
        return f"sudo -n docker {command}" if self.sudo else f"docker {command}"

    async def already_done(self, session: Session, before: Facts) -> str:
        node, _ = await session.node(self.node_id)
        return f"{self.name} is down: it has left, or is gone." if node.status.state == "down" else ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        node, _ = await session.node(self.node_id)
        try:
            host = await session.host(node)
        except LinkError as error:
            raise StepError(
                f"{self.name} cannot be told to leave: {error.what}",
                f"Type `docker swarm leave` on it yourself, then retry; or mend the way there. {error.next_step}",
            ) from error
        completed = await host.run(self._line("swarm leave"), timeout=60.0)
        if completed.code != 0 and "not part of a swarm" not in completed.err:
            for line in completed.err.splitlines()[:SAID_LINES]:
                voice.say(line)
            why = one_line(completed.err)[:REASON_LENGTH] or f"exit code {completed.code}"
            raise StepError(f"`docker swarm leave` failed on {self.name}: {why}.", "Mend that, then retry.")
        voice.say(completed.out.strip() or "Left the Swarm.")

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        node, _ = await session.node(self.node_id)
        host = await session.host(node)
        completed = await host.run(self._line("info -f '{{.Swarm.LocalNodeState}}'"), timeout=60.0)
        if completed.out.strip() != "inactive":
            raise StepError(
                f"{self.name} says its Swarm state is {completed.out.strip() or 'unknown'}, not inactive.", "Retry."
            )


@dataclass(frozen=True, kw_only=True)
class RemoveNode(NodeStep):
    """Removes the node's entry from the Swarm. force: also when it is not down."""

    force: bool = False
    danger: Danger = Danger.DESTRUCTIVE

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (Shown(f"docker node rm {'--force ' if self.force else ''}{shlex.quote(self.name)}"),)

    async def before(self, session: Session) -> Facts:
        return {"cluster": session.snapshot.cluster_id}

    async def already_done(self, session: Session, before: Facts) -> str:
        return "" if await entry(session, self.node_id) else f"{self.name} is no entry of the Swarm any more."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        await session.delete(f"/nodes/{self.node_id}", {"force": "true"} if self.force else None)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if await entry(session, self.node_id):
            raise StepError(f"{self.name} is still there.", "Retry.")
        voice.say(f"{self.name} is removed.")


async def entry(session: Session, node_id: str) -> Node | None:
    """The node of this id, None where there is none. Raises as `Session.node` does for anything else."""
    try:
        node, _ = await session.node(node_id)
    except EngineError as error:
        if error.status == 404:
            return None
        raise
    return node
