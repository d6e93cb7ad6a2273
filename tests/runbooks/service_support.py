"""A session without a network for plans and runs on services: an engine that keeps Specs, and no more."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

from swarmtui.errors import EngineError
from swarmtui.model.snapshot import Snapshot
from swarmtui.runbooks import params, registry
from swarmtui.runbooks.runbook import Plan, Voice
from swarmtui.session import Session
from tests import builders as b
from tests.runbooks.support import FakeSession


class Services(FakeSession):
    """What the runbooks on services ask of a Session.

    Attributes:
        services: the engine's own JSON of each, by id.
        tasks: the engine's own JSON of all.
        newest: ids of the tasks that are of the newest Spec.
        warnings: what the engine warns of in its next answers.
    """

    def __init__(self, nodes: Iterable[b.Json], services: Iterable[b.Json], tasks: Iterable[b.Json] = ()) -> None:
        self.nodes = list(nodes)
        super().__init__(b.snapshot(self.nodes), nodes=tuple(self.nodes))
        self.services = {made["ID"]: made for made in services}
        self.tasks = list(tasks)
        self.newest: set[str] = {task["ID"] for task in self.tasks}
        self.warnings: list[str] = []
        self.troubles: dict[str, str] = {}
        self.see()

    def see(self) -> Snapshot:
        """The snapshot is as the engine is now."""
        self.snapshot = b.snapshot(self.nodes, self.services.values(), self.tasks, troubles=self.troubles)
        return self.snapshot

    async def refresh(self) -> Snapshot:
        return self.see()

    async def get(self, path: str, params: Mapping[str, str] | None = None, *, clean: bool = True) -> bytes:
        if path == "/tasks":
            wanted = json.loads((params or {})["filters"])
            assert wanted["_up-to-date"] == ["true"]
            chosen = [t for t in self.tasks if t["ServiceID"] in wanted["service"] and t["ID"] in self.newest]
            return json.dumps(chosen).encode()
        service_id = path.removeprefix("/services/")
        if service_id not in self.services:
            raise EngineError("There is no such service.", status=404, message=f"service {service_id} not found")
        return json.dumps(self.services[service_id]).encode()

    async def post(self, path: str, params: Mapping[str, str] | None = None, json: Any = None) -> bytes:
        if self.refusals:
            raise self.refusals.pop(0)
        query = dict(params or {})
        self.posted.append((path, query, json))
        made = self.services[path.split("/")[2]]
        spec = made.get("PreviousSpec") if query.get("rollback") == "previous" else json
        changed = {
            **made,
            "Spec": spec,
            "PreviousSpec": made["Spec"],
            "Version": {"Index": made["Version"]["Index"] + 1},
        }
        self.services[made["ID"]] = changed
        return f'{{"Warnings": {self.warnings!r}}}'.replace("'", '"').encode()

    async def delete(self, path: str, params: Mapping[str, str] | None = None) -> bytes:
        if self.refusals:
            raise self.refusals.pop(0)
        self.deleted.append((path, dict(params or {})))
        del self.services[path.split("/")[2]]
        return b""

    @property
    def session(self) -> Session:
        return cast(Session, self)

    async def plan(self, name: str, **given: str) -> Plan:
        """Makes a plan as the command line does; an underscore in a name stands for its hyphen."""
        runbook = registry.runbook(name)
        text = {key.replace("_", "-"): value for key, value in given.items()}
        return await runbook.prepare(self.session, params.parse(name, runbook.params, text))


class Heard:
    """What a step said."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.shown: list[tuple[int, int, str]] = []
        self.voice = Voice(self.lines.append, lambda *progress: self.shown.append(progress))


MANAGERS = [b.node(f"mgr{i}", manager="leader" if i == 1 else "reachable", addr=f"10.0.0.{i}") for i in (1, 2, 3)]
WORKERS = [b.node(f"wrk{i}", addr=f"10.0.1.{i}") for i in (1, 2)]


def spread(of: b.Json, count: int, nodes: Iterable[b.Json] = (), **options: Any) -> list[b.Json]:
    """So many tasks of a service, over the workers or these nodes."""
    where = list(nodes) or WORKERS
    return [b.task(of, where[slot % len(where)], slot + 1, **options) for slot in range(count)]
