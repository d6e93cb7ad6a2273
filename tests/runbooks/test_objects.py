"""Secrets, configs, networks and volumes: what the plans say, what the engine gets, and what nobody sees."""

from __future__ import annotations

import base64
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from swarmtui.errors import EngineError, RefusedError, UsageError
from swarmtui.runbooks import registry, render
from swarmtui.runbooks.files import read_stdin
from swarmtui.runbooks.journal import Journal, new_run_id
from swarmtui.runbooks.params import parse
from swarmtui.runbooks.runbook import Danger, Plan
from swarmtui.runbooks.runner import Runner
from tests.builders import Json, node, service, snapshot
from tests.runbooks.support import Completed, FakeSession, Host, commands

VALUE = b"s3cret \xff\n"
NODES = [node("mgr1", manager="leader"), node("wrk1")]


class Engine(FakeSession):
    """An engine that keeps secrets, configs and networks; everything it is given is in `posted`."""

    def __init__(self, *services: Json, **lists: list[Json]) -> None:
        super().__init__(snapshot(NODES, services), through=NODES[0]["ID"])
        self.kept: dict[str, list[Json]] = {"secrets": [], "configs": [], "networks": [], **lists}

    async def get(self, path: str, params: Any = None, *, clean: bool = True) -> bytes:
        kind, _, key = path.removeprefix("/").partition("/")
        if not key:
            return json.dumps(self.kept[kind]).encode()
        for one in self.kept[kind]:
            if key in (one.get("ID"), one.get("Id"), one.get("Name")):
                return json.dumps(one).encode()
        raise EngineError("not found", status=404, message="not found")

    async def post(self, path: str, params: Any = None, json: Any = None) -> bytes:
        if self.refusals:
            raise self.refusals.pop(0)
        self.posted.append((path, dict(params or {}), json))
        kind = path.split("/")[1]
        self.kept[kind].append(
            {"Id": "new", "Scope": "swarm", **json} if kind == "networks" else {"ID": "new", "Spec": json}
        )
        return b""

    async def delete(self, path: str, params: Any = None) -> bytes:
        if self.refusals:
            raise self.refusals.pop(0)
        self.deleted.append((path, dict(params or {})))
        kind, key = path.split("/")[1:]
        self.kept[kind] = [one for one in self.kept[kind] if key not in (one.get("ID"), one.get("Id"))]
        return b""


def blob(name: str, id: str = "", **labels: str) -> Json:
    return {"ID": id or f"id-{name}", "Spec": {"Name": name, "Labels": labels}}


def network(name: str, scope: str = "swarm", subnet: str = "", **more: Any) -> Json:
    config = [{"Subnet": subnet}] if subnet else []
    return {"Id": f"id-{name}", "Name": name, "Scope": scope, "IPAM": {"Config": config}, **more}


def using(name: str, **container: Any) -> Json:
    made = service(name)
    made["Spec"]["TaskTemplate"]["ContainerSpec"].update(container)
    return made


async def plan(engine: Engine, name: str, /, **given: str) -> Plan:
    runbook = registry.runbook(name)
    return await runbook.prepare(engine, parse(name, runbook.params, given))  # type: ignore[arg-type]


async def run(engine: Engine, made: Plan, journal: Journal) -> str:
    """Runs a plan, which must succeed; returns all that was said and journalled."""
    said: list[str] = []
    run_id = new_run_id(made.runbook)
    with journal.writer(run_id) as writer:
        outcome = await Runner(engine, made, writer, observe=lambda e: said.append(e.text)).run()  # type: ignore[arg-type]
    assert outcome.ok, outcome.error
    return "\n".join(said) + journal.path(run_id).read_text()


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts bytes on standard input."""
    read_stdin.cache_clear()

    def put(content: bytes, *, terminal: bool = False) -> None:
        text = io.TextIOWrapper(io.BytesIO(content))
        monkeypatch.setattr(text, "isatty", lambda: terminal, raising=False)
        monkeypatch.setattr(sys, "stdin", text)

    yield put
    read_stdin.cache_clear()


@pytest.mark.parametrize("kind", ["secret", "config"])
@pytest.mark.parametrize("source", ["file", "stdin"])
async def test_a_value_goes_to_the_engine_byte_for_byte_and_nowhere_else(
    tmp_path: Path, stdin: Any, journal: Journal, kind: str, source: str
) -> None:
    stdin(VALUE)
    (tmp_path / "value").write_bytes(VALUE)
    file = str(tmp_path / "value") if source == "file" else "-"
    engine = Engine()
    made = await plan(engine, f"{kind}.create", name="pw", file=file, label="a=b")
    assert commands(made) == [f"docker {kind} create --label a=b -- pw {file}"]
    assert made.danger == Danger.SAFE

    told = await run(engine, made, journal)

    data = base64.b64encode(VALUE).decode()
    assert engine.posted == [(f"/{kind}s/create", {}, {"Name": "pw", "Labels": {"a": "b"}, "Data": data})]
    told += json.dumps(render.plan_json(made)) + render.script(made) + render.markdown(made)
    for secret in ("s3cret", data):
        assert secret not in told


async def test_standard_input_is_read_once_so_that_a_second_try_has_it_too(stdin: Any, journal: Journal) -> None:
    from swarmtui.link.reasons import LinkError, Reason

    stdin(VALUE)
    engine = Engine()
    engine.refusals = [LinkError(Reason.CONNECTION_LOST, "mgr1")]  # type: ignore[list-item]
    await run(engine, await plan(engine, "secret.create", name="pw", file="-"), journal)
    assert [body["Data"] for _, _, body in engine.posted] == [base64.b64encode(VALUE).decode()]


async def test_what_was_created_before_the_answer_was_lost_is_not_created_twice(
    tmp_path: Path, journal: Journal
) -> None:
    (tmp_path / "v").write_text("x")
    engine = Engine()
    made = await plan(engine, "secret.create", name="pw", file=str(tmp_path / "v"))
    (step,) = made.steps
    before = await step.before(engine)  # type: ignore[arg-type]
    engine.kept["secrets"].append(blob("pw"))
    assert await step.already_done(engine, before)  # type: ignore[arg-type]
    assert not await step.already_done(Engine(), before)  # type: ignore[arg-type]


async def test_what_cannot_be_a_value_is_refused(tmp_path: Path, stdin: Any) -> None:
    stdin(b"x", terminal=True)
    with pytest.raises(UsageError, match="standard input is a terminal"):
        await plan(Engine(), "secret.create", name="pw", file="-")
    (tmp_path / "empty").touch()
    (tmp_path / "large").write_bytes(b"s3cret" * 100_000)
    for file, told in (("empty", "would be empty"), ("large", "larger than 512,000 bytes"), ("none", "cannot be read")):
        with pytest.raises(UsageError, match=told) as caught:
            await plan(Engine(), "secret.create", name="pw", file=str(tmp_path / file))
        assert "s3cret" not in str(caught.value)
    with pytest.raises(UsageError, match="There is a secret pw already"):
        await plan(Engine(secrets=[blob("pw")]), "secret.create", name="pw", file=str(tmp_path / "large"))


@pytest.mark.parametrize("name", ["", "-a", "a-", "a b", "a" * 65, "ä", "../x"])
def test_names(name: str) -> None:
    with pytest.raises(UsageError):
        parse("secret.create", registry.runbook("secret.create").params, {"name": name, "file": "-"})


@pytest.mark.parametrize(
    ("kind", "used"),
    [
        ("secret", {"Secrets": [{"SecretID": "id-pw", "SecretName": "pw"}]}),
        ("config", {"Configs": [{"ConfigID": "id-pw", "ConfigName": "pw"}]}),
    ],
)
async def test_removal_takes_what_nobody_uses(journal: Journal, kind: str, used: Json) -> None:
    lists = {f"{kind}s": [blob("pw"), blob("old", **{"com.docker.stack.namespace": "shop"})]}
    engine = Engine(using("web", **used), **lists)
    with pytest.raises(RefusedError, match=f"The {kind} pw is used by web"):
        await plan(engine, f"{kind}.remove", **{kind: "old,pw"})
    with pytest.raises(UsageError, match=f'There is no {kind} "none"'):
        await plan(engine, f"{kind}.remove", **{kind: "none"})
    made = await plan(engine, f"{kind}.remove", **{kind: "id-old"})
    assert commands(made) == [f"docker {kind} rm old"]
    assert (made.danger, made.typed) == (Danger.DESTRUCTIVE, "old")
    assert made.notes == (f"The {kind} old belongs to the stack shop, whose next deploy makes or needs it.",)
    await run(engine, made, journal)
    assert engine.deleted == [(f"/{kind}s/id-old", {})]


async def test_a_network_is_made_as_its_command_says(journal: Journal) -> None:
    engine = Engine(networks=[network("other", subnet="10.1.0.0/16"), network("local", "local", "10.2.0.0/16")])
    made = await plan(
        engine,
        "network.create",
        name="back",
        subnet="10.2.0.0/24",
        gateway="10.2.0.1",
        attachable="true",
        encrypted="true",
        internal="true",
        label="a=b",
    )
    assert commands(made) == [
        "docker network create --driver overlay --attachable --internal --opt encrypted --subnet 10.2.0.0/24 "
        "--gateway 10.2.0.1 --label a=b back"
    ]
    await run(engine, made, journal)
    assert engine.posted == [
        (
            "/networks/create",
            {},
            {
                "Name": "back",
                "CheckDuplicate": True,
                "Driver": "overlay",
                "Attachable": True,
                "Internal": True,
                "Options": {"encrypted": ""},
                "Labels": {"a": "b"},
                "IPAM": {"Driver": "default", "Config": [{"Subnet": "10.2.0.0/24", "Gateway": "10.2.0.1"}]},
            },
        )
    ]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"subnet": "10.1.2.0/24"}, "10.1.2.0/24 overlaps 10.1.0.0/16, which the network other has"),
        ({"name": "other"}, "There is a network other already"),
        ({"gateway": "10.9.0.1"}, "A gateway needs the subnet it is in"),
        ({"subnet": "10.9.0.0/24", "gateway": "10.8.0.1"}, "The gateway 10.8.0.1 is not in 10.9.0.0/24"),
        ({"subnet": "10.9.0.1/24"}, "is no network such as"),
        ({"label": "a-"}, "takes a label away"),
    ],
)
async def test_a_network_that_cannot_be_is_refused(given: dict[str, str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        await plan(
            Engine(networks=[network("other", subnet="10.1.0.0/16")]), "network.create", **{"name": "n", **given}
        )


async def test_a_network_is_removed_when_nobody_is_on_it(journal: Journal) -> None:
    on = service("web")
    on["Spec"]["TaskTemplate"]["Networks"] = [{"Target": "id-used"}]
    every = [network("used"), network("free"), network("host", "local"), network("ingress", Ingress=True)]
    engine = Engine(on, networks=every)
    for name, told in (
        ("used", "The network used is used by web"),
        ("host", "The network host is not one of the Swarm"),
        ("ingress", "The network ingress carries the ports of all services"),
    ):
        with pytest.raises(RefusedError, match=told):
            await plan(engine, "network.remove", network=name)
    await run(engine, await plan(engine, "network.remove", network="free"), journal)
    assert engine.deleted == [("/networks/id-free", {})]


async def test_a_volume_goes_only_where_no_container_has_it(journal: Journal) -> None:
    engine = Engine(using("db", Mounts=[{"Type": "volume", "Source": "data", "Target": "/d"}]))
    host = engine.hosts[NODES[1]["ID"]] = Host(
        {"volume ls": Completed(out="data\nother\n"), "ps -aq": Completed(out="c1\n")}
    )
    with pytest.raises(UsageError, match='wrk1 has no volume "none"') as caught:
        await plan(engine, "volume.remove", node="wrk1", volume="none")
    assert caught.value.next_step == "It has: data, other."
    with pytest.raises(RefusedError, match="The volume data on wrk1 is in 1 of its containers"):
        await plan(engine, "volume.remove", node="wrk1", volume="data")
    host.answers["ps -aq"] = Completed()
    made = await plan(engine, "volume.remove", node="wrk1", volume="data")
    assert [shown.as_sh for step in made.steps for shown in step.shown] == [
        "ssh -n -- root@10.0.0.1 'docker volume rm data'"
    ]
    assert made.warnings == ("Services mount a volume of this name: db. A task that comes here finds it empty.",)
    assert made.typed == "data"

    class Removing(Host):
        async def run(self, command: str, *, timeout: float | None = None, **more: Any) -> Completed:
            if "volume rm" in command:
                self.answers["volume ls"] = Completed(out="other\n")
            return await super().run(command, timeout=timeout, **more)

    engine.hosts[NODES[1]["ID"]] = Removing({**host.answers, "volume rm": Completed(out="data\n")})
    await run(engine, made, journal)
    assert "docker volume rm data" in engine.hosts[NODES[1]["ID"]].ran
