"""A session without a network, for plans and runs in tests."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from swarmtui.config import ClusterConfig
from swarmtui.errors import EngineError
from swarmtui.link.decode import decode_one
from swarmtui.link.reasons import LinkError, Reason
from swarmtui.link.target import SshTarget
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import Node
from swarmtui.opening import Opening
from swarmtui.runbooks import params, registry
from swarmtui.runbooks.runbook import Plan
from swarmtui.session import Connection, Phase, Session
from swarmtui.vault import Vault
from tests.builders import Json, snapshot


@dataclass
class Completed:
    code: int = 0
    out: str = ""
    err: str = ""


@dataclass
class Host:
    """A host that answers each command from a script; the first key that the command contains wins."""

    answers: dict[str, Completed] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)

    async def run(self, command: str, *, timeout: float | None = None, **_: Any) -> Completed:
        self.ran.append(command)
        for part, answer in self.answers.items():
            if part in command:
                return answer
        return Completed(127, err="not found")


class FakeSession:
    """What runbooks and steps ask of a Session, over a snapshot and the engine's own JSON of each node."""

    name = "prod"

    def __init__(
        self, now: Snapshot, *, through: str = "", nodes: tuple[Json, ...] = (), cluster: ClusterConfig | None = None
    ) -> None:
        self.snapshot = now
        self.connection = Connection(Phase.LIVE, "ssh://root@10.0.0.1", "forward", through)
        self.opening = Opening("prod", (SshTarget("10.0.0.1", "root"),), cluster or ClusterConfig())
        self.live = True
        self.hosts: dict[str, Host] = {}
        self.bodies: dict[str, Json] = {made["ID"]: made for made in nodes}
        self.posted: list[tuple[str, Mapping[str, str], Any]] = []
        self.deleted: list[tuple[str, Mapping[str, str]]] = []
        self.refusals: list[EngineError] = []
        self.moves: list[str] = []
        self.avoided: frozenset[str] = frozenset()
        self.waited: list[float] = []
        self.vault = Vault.in_memory()

    async def refresh(self) -> Snapshot:
        return self.snapshot

    async def until_live(self, timeout: float) -> Snapshot:
        self.waited.append(timeout)
        return self.snapshot

    def host_label(self, node: Node) -> SshTarget:
        return SshTarget(node.address, "root")

    async def host(self, node: Node, *, ask: bool = True) -> Host:
        if node.id not in self.hosts:
            raise LinkError(Reason.UNREACHABLE, node.name)
        return self.hosts[node.id]

    async def reach(self, target: SshTarget, *, ask: bool = True) -> Host:
        if str(target) not in self.hosts:
            raise LinkError(Reason.UNREACHABLE, str(target))
        return self.hosts[str(target)]

    async def node(self, node_id: str) -> tuple[Node, bytes]:
        if node_id not in self.bodies:
            raise EngineError("There is no such node.", status=404, message=f"node {node_id} not found")
        body = json.dumps(self.bodies[node_id]).encode()
        return decode_one(body, Node, "the node"), body

    async def post(self, path: str, params: Mapping[str, str] | None = None, json: Any = None) -> bytes:
        if self.refusals:
            raise self.refusals.pop(0)
        self.posted.append((path, dict(params or {}), json))
        node_id = path.split("/")[2]
        self.bodies[node_id] = {**self.bodies[node_id], "Spec": json}
        return b""

    async def delete(self, path: str, params: Mapping[str, str] | None = None) -> bytes:
        if self.refusals:
            raise self.refusals.pop(0)
        self.deleted.append((path, dict(params or {})))
        self.bodies.pop(path.split("/")[2])
        return b""

    @contextlib.contextmanager
    def avoiding(self, node_ids: Iterable[str]) -> Iterator[None]:
        before, self.avoided = self.avoided, self.avoided | frozenset(node_ids)
        try:
            yield
        finally:
            self.avoided = before

    async def move_away_from(self, node_id: str) -> str:
        self.moves.append(node_id)
        return "ssh://root@10.0.0.2"


def session(now: Snapshot, **options: Any) -> Session:
    return cast(Session, FakeSession(now, **options))


def fake(of: Session) -> FakeSession:
    return cast(FakeSession, of)


async def plan(name: str, now: Snapshot | list[Json], *, through: str = "", **given: str) -> Plan:
    """Makes a plan as the command line does: parameters as text, facts from a session."""
    runbook = registry.runbook(name)
    state = now if isinstance(now, Snapshot) else snapshot(now)
    return await runbook.prepare(session(state, through=through), params.parse(name, runbook.params, given))


def commands(plan: Plan) -> list[str]:
    """Every command of a plan, without the waits."""
    return [shown.line for step in plan.steps for shown in step.shown if not shown.line.startswith("i=0;")]
