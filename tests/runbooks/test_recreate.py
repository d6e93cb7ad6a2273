"""swarm.recreate: what the plans say, what the engine is given, and what nobody sees. The backup is of a real Swarm."""

from __future__ import annotations

import base64
import copy
import io
import json
import tarfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swarmtui.backups.catalogue import Catalogue
from swarmtui.backups.manifest import Manifest
from swarmtui.errors import EngineError, RefusedError, UsageError
from swarmtui.link.reasons import LinkError, Reason
from swarmtui.runbooks import node_steps, registry, render
from swarmtui.runbooks.journal import Journal, new_run_id
from swarmtui.runbooks.params import parse
from swarmtui.runbooks.runbook import ConflictError, Danger, Plan, StepError
from swarmtui.runbooks.runner import Runner
from swarmtui.runbooks.swarm.recovery import recreate_steps
from swarmtui.runbooks.swarm.recovery.recreate_objects import ALLOCATED, name_of
from swarmtui.vault.secret import Kind, Secret
from tests.backups.raft.real import SECRETS, real
from tests.builders import Json, node, snapshot
from tests.runbooks.support import FakeSession, commands

NODES = [node("mgr1", manager="leader"), node("wrk1")]
CLEAR, LOCKED = "everything-20.10", "everything-26.1"
LISTS = ("nodes", "services", "networks", "secrets", "configs")


class Engine(FakeSession):
    """A Swarm that keeps what it is given, as the engine does, under new ids; everything is in `posted`."""

    def __init__(self, folder: Path, name: str = CLEAR, *, objects: bool = True, key: bool = True) -> None:
        super().__init__(snapshot(NODES, []), through=NODES[0]["ID"])
        saved = real(name).after
        self.kept: dict[str, Any] = {kind: copy.deepcopy(saved[kind]) for kind in LISTS}
        self.swarm: Json = copy.deepcopy(saved["swarm"])
        self.folder = folder
        self.backup(name, saved if objects else None)
        self.key = Secret(real(name).key) if key and real(name).key else None

    def backup(self, name: str, objects: Any, at: str = "20261121T190000Z") -> None:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            for path, content in real(name).files.items():
                member = tarfile.TarInfo(f"swarm/{path}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        told = {kind: objects[kind] for kind in LISTS} if objects is not None else None
        with self.backups.begin(self.swarm["ID"], f"{at}-mgr2") as draft:
            draft.write(out.getvalue())
            manifest = Manifest(cluster_id=self.swarm["ID"], node="mgr2", taken_at=1.0, cold=True)
            draft.commit(manifest, json.dumps(told).encode() if told is not None else b"")

    @property
    def backups(self) -> Catalogue:
        return Catalogue(self.folder)

    async def unlocked(self) -> Engine:
        if self.key is not None:
            await self.vault.put(Kind.UNLOCK_KEY, self.swarm["ID"], self.key)
        return self

    def lose(self, **names: Iterable[str]) -> Engine:
        """Deletes objects, by name; with nothing named all that can be deleted."""
        for kind in LISTS[1:]:
            gone = set(names.get(kind, ())) if names else {name_of(one) for one in self.kept[kind]} - {"ingress"}
            self.kept[kind] = [one for one in self.kept[kind] if name_of(one) not in gone]
        return self

    def names(self, kind: str) -> set[str]:
        return {name_of(one) for one in self.kept[kind]}

    async def get(self, path: str, params: Any = None, *, clean: bool = True) -> bytes:
        kind, _, key = path.removeprefix("/").partition("/")
        if kind == "swarm":
            return json.dumps(self.swarm).encode()
        if not key:
            wanted = json.loads((params or {}).get("filters", "{}")).get("name", [""])
            return json.dumps([one for one in self.kept[kind] if name_of(one).startswith(wanted[0])]).encode()
        for one in self.kept[kind]:
            if key in (one.get("ID"), one.get("Id"), one.get("Name")):
                return json.dumps(one).encode()
        raise EngineError("not found", status=404, message="not found")

    async def post(self, path: str, params: Any = None, json: Any = None) -> bytes:
        self.posted.append((path, dict(params or {}), copy.deepcopy(json)))
        kind = path.split("/")[1]
        assert path == f"/{kind}/create"
        number = f"new{len(self.posted)}"
        if kind == "networks":
            options = {**json["Options"], ALLOCATED: "4199"}
            self.kept[kind].append({"Id": number, "Scope": "swarm", **json, "Options": options})
        else:
            shown = {key: value for key, value in json.items() if kind != "secrets" or key != "Data"}
            self.kept[kind].append({"ID": number, "Version": {"Index": 99}, "Spec": shown})
        if self.refusals:
            raise self.refusals.pop(0)
        return b""

    def given(self, kind: str, name: str) -> Json:
        (body,) = [body for path, _, body in self.posted if path == f"/{kind}/create" and name_of(body) == name]
        assert isinstance(body, dict)
        return body


async def plan(engine: Engine, **given: str) -> Plan:
    runbook = registry.runbook("swarm.recreate")
    return await runbook.prepare(await engine.unlocked(), parse(runbook.name, runbook.params, given))  # type: ignore[arg-type]


def without_waits(made: Plan) -> Plan:
    return replace(made, steps=tuple(step for step in made.steps if not step.id.startswith("wait-")))


async def run(engine: Engine, made: Plan, journal: Journal) -> str:
    """Creates what is planned, which must succeed; returns all that was said and journalled."""
    said: list[str] = []
    run_id = new_run_id(made.runbook)
    with journal.writer(run_id) as writer:
        outcome = await Runner(engine, without_waits(made), writer, observe=lambda e: said.append(e.text)).run()  # type: ignore[arg-type]
    assert outcome.ok, outcome.error
    return "\n".join(said) + journal.path(run_id).read_text()


@pytest.mark.parametrize("name", [CLEAR, LOCKED])
@pytest.mark.parametrize("objects", [True, False], ids=["api", "offline"])
async def test_all_that_was_deleted_is_created_as_it_was(
    tmp_path: Path, journal: Journal, name: str, objects: bool
) -> None:
    engine = Engine(tmp_path / "backups", name, objects=objects).lose()
    made = await plan(engine)
    assert made.danger is Danger.SAFE and not made.rules and made.typed == ""
    await run(engine, made, journal)

    saved = {kind: {name_of(one): one for one in real(name).after[kind]} for kind in LISTS[1:]}
    assert all(engine.names(kind) == saved[kind].keys() for kind in LISTS[1:] if kind != "networks")
    assert {"front", "back", "ingress"} <= engine.names("networks")
    order = [path.split("/")[1] for path, _, _ in engine.posted]
    assert order == sorted(order, key=["networks", "secrets", "configs", "services"].index)
    for secret, data in zip(("tls-key", "db-password"), SECRETS, strict=True):
        given = engine.given("secrets", secret)
        assert base64.b64decode(given["Data"]) == data
        was = saved["secrets"][secret]["Spec"]
        assert (given["Labels"], given.get("Templating")) == (was["Labels"], was.get("Templating"))
    for config in ("app.yml", "nginx.conf"):
        assert engine.given("configs", config) == saved["configs"][config]["Spec"]
    front = engine.given("networks", "front")
    assert front["IPAM"]["Config"] == [{"Subnet": "10.9.0.0/24", "IPRange": "10.9.0.128/25", "Gateway": "10.9.0.7"}]
    assert front["Options"] == {"com.docker.network.driver.mtu": "1400"} and front["Labels"] == {"tier": "front"}
    assert (front["Attachable"], front["Internal"], front["Ingress"]) == (True, True, False)

    # Each service is what it was, but for the ids: those are of what was created just now.
    new = {name_of(one): one.get("ID") or one["Id"] for kind in LISTS[2:] for one in engine.kept[kind]}
    for service in saved["services"]:
        given, was = engine.given("services", service), copy.deepcopy(saved["services"][service]["Spec"])
        old = {one.get("ID") or one["Id"]: name_of(one) for kind in LISTS[2:] for one in saved[kind].values()}
        for network in was["TaskTemplate"].get("Networks", []):
            network["Target"] = new[old[network["Target"]]]
        container = was["TaskTemplate"]["ContainerSpec"]
        for one in container.get("Secrets", []):
            one["SecretID"] = new[one["SecretName"]]
        for one in container.get("Configs", []):
            one["ConfigID"] = new[one["ConfigName"]]
        assert given == was, service


async def test_a_value_is_nowhere_but_in_the_request(tmp_path: Path, journal: Journal) -> None:
    engine = Engine(tmp_path / "backups").lose()
    made = await plan(engine)
    told = await run(engine, made, journal)
    assert "Create secret tls-key" in render.script(made)
    told += json.dumps(render.plan_json(made)) + render.script(made) + render.markdown(made) + repr(made)
    told += json.dumps(made.facts) + "\n".join(line for _, line in render.plan_lines(made))
    hidden = [*SECRETS, b"text of app.yml", b"TEXT=\xc3\xbcn\xc3\xafcode", b"A=1"]
    for value in hidden:
        assert value.decode() not in told
        assert base64.b64encode(value).decode() not in told
    again = registry.runbook("swarm.recreate").plan(made.params, json.loads(json.dumps(made.facts)))
    assert again.steps == made.steps and again.binding == made.binding


async def test_nothing_is_lost(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "backups")
    made = await plan(engine)
    assert made.nothing == "Nothing to do: the Swarm has everything that the backup has." and not made.steps
    assert (await plan(engine, service="vip")).nothing == "Nothing to do: the Swarm has what you named."


async def test_what_is_otherwise_is_told_and_left(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "backups").lose(services=["agent"], secrets=["tls-key"])
    for one in engine.kept["services"]:
        if name_of(one) == "vip":
            one["Spec"]["TaskTemplate"]["ContainerSpec"] |= {"Image": "alpine:9", "Env": ["PW=hidden-value"]}
            one["Spec"]["TaskTemplate"]["ForceUpdate"] = 7
        if name_of(one) == "none":
            one["Spec"]["TaskTemplate"]["ForceUpdate"] = 7
    for one in engine.kept["networks"]:
        if name_of(one) == "front":
            one["IPAM"]["Config"] = [{"Subnet": "10.77.0.0/24"}]
    for one in engine.kept["secrets"]:
        one["ID"] = "other"
    for one in engine.kept["configs"]:
        one["Spec"]["Data"] = "b3RoZXI="
    made = await plan(engine)
    told = [line.strip() for _, line in made.changes]
    assert told[:2] == ["+ secret tls-key", "+ service agent: busybox:latest, global"]
    left = {line.partition(" is left as it is; since the backup: ")[0]: line.rpartition(": ")[2] for line in told[2:]}
    assert left["network front"] == "subnets 10.9.0.0/24 → 10.77.0.0/24"
    assert "hidden-value" not in str(told)
    assert sorted(left) == ["config app.yml", "config nginx.conf", "network front", "secret db-password", "service vip"]
    assert any("image busybox:latest → alpine:9; environment +PW" in line for line in told)
    assert [step.title for step in made.steps][:2] == ["Create secret tls-key", "Create service agent"]
    assert (await plan(engine, config="app.yml")).nothing == (
        "Nothing to do: the Swarm has what you named. Otherwise than in the backup, and left as it is: "
        "config app.yml (another content)."
    )


async def test_a_named_service_brings_what_it_needs_and_nothing_else(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "backups").lose()
    made = await plan(engine, service="everything")
    titles = [step.title for step in made.steps]
    assert titles == [
        "Create network back",
        "Create network front",
        "Create secret db-password",
        "Create secret tls-key",
        "Create config app.yml",
        "Create service everything",
        "Wait until the tasks of everything run",
    ]
    assert "+ network back: overlay, 10.0.1.0/24 (needed by everything)" in [line for _, line in made.changes]
    assert [step.title for step in (await plan(engine, config="nginx.conf")).steps] == ["Create config nginx.conf"]
    by_id = real(CLEAR).after["secrets"][0]
    assert (await plan(engine, secret=by_id["ID"])).touches == (name_of(by_id),)


async def test_a_name_that_the_backup_does_not_have(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "backups").lose()
    with pytest.raises(UsageError, match='The backup has no service "web"') as caught:
        await plan(engine, service="web,agent")
    assert "It has: agent, everything, job" in caught.value.next_step
    with pytest.raises(UsageError, match=r"There is no backup \"20200101"):
        await plan(engine, backup="20200101")


async def test_an_older_backup_that_has_it_is_named(tmp_path: Path) -> None:
    from swarmtui.model.inventory import Inventory, ServiceItem

    engine = Engine(tmp_path / "backups").lose()
    with engine.backups.begin(engine.swarm["ID"], "20261120T190000Z-mgr2") as draft:
        draft.write(b"")
        inventory = Inventory(services=(ServiceItem(id="s", name="web"),))
        draft.commit(Manifest(cluster_id=engine.swarm["ID"], node="mgr2", taken_at=1.0, cold=True, inventory=inventory))
    with pytest.raises(UsageError) as caught:
        await plan(engine, service="web")
    assert caught.value.next_step == "20261120T190000Z-mgr2 has it: backup=20261120T190000Z-mgr2"


async def test_without_the_key_secrets_are_refused_and_the_rest_is_not(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "backups", LOCKED, key=False).lose()
    with pytest.raises(RefusedError, match="The data of its secrets cannot be read") as caught:
        await plan(engine)
    assert f"swarmtui secrets set unlock-key {engine.swarm['ID']}" in caught.value.next_step
    assert (await plan(engine, network="front", config="app.yml")).touches == ("front", "app.yml")


async def test_a_secret_that_was_made_after_the_archive(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "backups").lose()
    later = copy.deepcopy(real(CLEAR).after)
    later["secrets"].append({"ID": "zzz", "Spec": {"Name": "later", "Labels": {}}})
    engine.backup(CLEAR, later, "20261121T200000Z")
    with pytest.raises(RefusedError, match="does not have the data of the secret later: it was made later"):
        await plan(engine)
    assert "20261121T190000Z" in (await plan(engine, backup="20261121T190000Z")).title


async def test_addresses_and_ports_that_somebody_has_by_now(tmp_path: Path, journal: Journal) -> None:
    engine = Engine(tmp_path / "backups").lose()
    engine.kept["networks"].append(
        {
            "Id": "x",
            "Name": "thief",
            "Scope": "swarm",
            "Driver": "overlay",
            "IPAM": {"Config": [{"Subnet": "10.9.0.0/16"}]},
        }
    )
    port = {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8081, "PublishMode": "ingress"}
    engine.kept["services"].append({"ID": "y", "Spec": {"Name": "squat", "EndpointSpec": {"Ports": [port]}}})
    made = await plan(engine)
    assert made.warnings[:2] == (
        "The network front had 10.9.0.0/24, and the network thief has 10.9.0.0/16 now: it gets other addresses.",
        "vip publishes port 8081/tcp, which squat has now: the engine will refuse it.",
    )
    assert "job is a job: it runs again when it is created." in made.warnings
    assert "+ network front: overlay, 10.9.0.0/24 (without its addresses)" in [line for _, line in made.changes]
    front = next(step for step in made.steps if step.title == "Create network front")
    before = await front.before(engine)  # type: ignore[arg-type]
    await front.run(engine, before, None)  # type: ignore[arg-type]
    assert engine.given("networks", "front")["IPAM"]["Config"] == []


async def test_commands(tmp_path: Path) -> None:
    made = await plan(Engine(tmp_path / "backups").lose(), service="everything")
    assert commands(made) == [
        "docker network create --driver overlay --subnet 10.0.1.0/24 --gateway 10.0.1.1 back",
        "docker network create --driver overlay --attachable --internal --subnet 10.9.0.0/24 --ip-range 10.9.0.128/25 "
        "--gateway 10.9.0.7 --opt com.docker.network.driver.mtu=1400 --label tier=front front",
        *(
            f"swarmtui run swarm.recreate backup=20261121T190000Z-mgr2 {what} --target prod --yes"
            for what in ("secret=db-password", "secret=tls-key", "config=app.yml", "service=everything")
        ),
    ]
    assert [made.if_stopped_before(step).split()[0] for step in made.steps] == [
        "Nothing", *["What"] * 5, "Everything"
    ]  # fmt: skip
    assert [line.split(" ", 2)[:2] for line in render.undo_lines(made)][:1] == [["docker", "service"]]


async def test_names_from_an_archive_are_data(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "backups").lose()
    hostile = copy.deepcopy(real(CLEAR).after)
    hostile["services"][0]["Spec"]["Name"] = "x\x1b[31m; rm -rf /"
    front = next(one for one in hostile["networks"] if one["Name"] == "front")
    front["Labels"] = {"a\x1b]0;t\x07": "$(reboot)"}
    engine.backup(CLEAR, hostile, "20261121T200000Z")
    made = await plan(engine)
    text = "\n".join(line for _, line in render.plan_lines(made)) + render.script(made)
    assert "\x1b" not in text and "\x07" not in text
    assert any("can be no name: it is left out" in warning for warning in made.warnings)
    (line,) = [line for line in commands(made) if line.endswith(" front")]
    assert "'a\ufffd]0;t\ufffd=$(reboot)'" in line


@pytest.mark.parametrize("wrong", ["{", '{"services": 1}', json.dumps({k: [{"Spec": 3}] for k in LISTS})])
async def test_objects_that_are_none_are_an_error_in_a_sentence(tmp_path: Path, wrong: str) -> None:
    from swarmtui.backups.errors import BackupError

    engine = Engine(tmp_path / "backups").lose()
    with engine.backups.begin(engine.swarm["ID"], "20261121T200000Z-mgr2") as draft:
        draft.write(b"")
        manifest = Manifest(cluster_id=engine.swarm["ID"], node="mgr2", taken_at=1.0, cold=True)
        draft.commit(manifest, wrong.encode())
    with pytest.raises(BackupError, match="API objects"):
        await plan(engine)


# -- faults --------------------------------------------------------------------------------------------------------


async def test_a_lost_answer_creates_nothing_twice(tmp_path: Path, journal: Journal) -> None:
    """The engine creates, and every single answer is lost."""
    engine = Engine(tmp_path / "backups").lose()
    made = await plan(engine)
    engine.refusals = [LinkError(Reason.CONNECTION_LOST, "mgr1") for _ in range(30)]  # type: ignore[misc]
    told = await run(engine, made, journal)
    assert "it was created before the answer was lost" in told
    created = [(path, name_of(body)) for path, _, body in engine.posted]
    assert len(created) == len(set(created)) == len(without_waits(made).steps)


async def test_somebody_else_was_quicker(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "backups").lose()
    made = await plan(engine)
    for kind, title in (("services", "Create service agent"), ("secrets", "Create secret tls-key")):
        step = next(step for step in made.steps if step.title == title)
        engine.kept[kind].append(copy.deepcopy(next(o for o in real(CLEAR).after[kind] if name_of(o) == step.name)))  # type: ignore[attr-defined]
        before = await step.before(engine)  # type: ignore[arg-type]
        with pytest.raises(ConflictError, match="somebody created after you confirmed"):
            await step.already_done(engine, before)  # type: ignore[arg-type]


async def test_a_service_that_is_not_as_in_the_backup_is_no_success(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "backups").lose(services=["agent"])
    made = await plan(engine)
    create = next(step for step in made.steps if step.title == "Create service agent")
    before = await create.before(engine)  # type: ignore[arg-type]
    await create.run(engine, before, None)  # type: ignore[arg-type]
    engine.kept["services"][-1]["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] = "alpine:9"
    for check in (create.already_done(engine, before), create.verify(engine, before, None)):  # type: ignore[arg-type]
        with pytest.raises(StepError, match="not as in the backup: image busybox:latest → alpine:9"):
            await check


async def test_what_a_service_needs_and_nobody_has(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "backups").lose()
    create = next(s for s in (await plan(engine, service="everything")).steps if s.title == "Create service everything")
    with pytest.raises(StepError, match="everything needs the network front, and the Swarm has none of that name"):
        await create.run(engine, {}, None)  # type: ignore[arg-type]
    assert not engine.posted and create.skippable


async def test_another_backup_under_the_same_name_is_not_used(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "backups").lose()
    made = await plan(engine, config="app.yml")
    (entry,) = engine.backups.entries()
    engine.backups.remove(entry)
    later = copy.deepcopy(real(CLEAR).after)
    later["configs"][0]["Spec"]["Data"] = "eA=="
    engine.backup(CLEAR, later)
    with pytest.raises(StepError, match="is not the one that you confirmed"):
        await made.steps[0].run(engine, {}, None)  # type: ignore[arg-type]


async def test_a_network_without_addresses_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recreate_steps, "ALLOCATION_SECONDS", 0.05)
    monkeypatch.setattr(node_steps, "POLL_SECONDS", 0.01)
    engine = Engine(tmp_path / "backups").lose(networks=["front"])
    (create,) = (await plan(engine)).steps
    await create.run(engine, {}, None)  # type: ignore[arg-type]
    engine.kept["networks"][-1]["IPAM"]["Config"] = None
    with pytest.raises(StepError, match="did not get its addresses"):
        await create.verify(engine, {}, None)  # type: ignore[arg-type]
