"""Compose files from disk, and the plans made from them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from swarmtui.errors import EngineError, RefusedError, UsageError
from swarmtui.runbooks import registry, render
from swarmtui.runbooks.compose_files import ComposeFile, load
from swarmtui.runbooks.params import parse
from swarmtui.runbooks.runbook import Danger, Plan
from swarmtui.runbooks.stack_steps import DeployStack
from tests.builders import node, snapshot
from tests.runbooks.support import FakeSession, commands

SECRETS = ("s3cret-file", "s3cret-env-file", "s3cret-variable")


def write(folder: Path, text: str) -> Path:
    file = folder / "shop.yml"
    file.write_text(text)
    return file


def loaded(folder: Path, text: str, **variables: str) -> ComposeFile:
    return load(write(folder, text), "shop", variables)


def sent(file: ComposeFile) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(file.content)
    return document


# -- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("services:\n  web:\n    image: a\n    ports:\n      - http\n", ", line 5: services.web.ports[0] is not "),
        ("services:\n  web:\n    image: a\n\n    imagee: b\n", ", line 5: services.web.imagee is no key that docker "),
        (
            "services:\n  web: {image: 'a:$TAG'}\n",
            ", line 2: services.web.image needs the variable TAG, which is not set",
        ),
        ("services:\n  web:\n    build: .\n", ", line 2: services.web names no image"),
        ("services:\n  web:\n    image: a\n    image: b\n", ', line 4: the key "image" stands twice in one mapping.'),
        (
            "services:\n  web:\n\timage: a\n",
            ", line 3: this is no YAML: found character '\\t' that cannot start any token.",
        ),
        ("- a\n", ", line 1: the file is no mapping: it needs services:."),
        ("", ", line 1: the file is no mapping: it needs services:."),
        ("a: &x [*x]\n", " is too large or too deep once its aliases are followed."),
        ("a: !!python/object:os.system x\n", ", line 1: this is no YAML: could not determine a constructor"),
    ],
)
def test_a_bad_file_is_told_with_line_and_key(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        loaded(tmp_path, text)
    assert caught.value.what.startswith(f"{tmp_path / 'shop.yml'}{told}"), caught.value.what


def test_aliases_that_multiply_do_not_fill_the_memory(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(UsageError, match="too large or too deep"):
        loaded(tmp_path, "\n".join(lines))


@pytest.mark.parametrize(
    ("name", "told"), [("none.yml", "No such file or directory"), (".", "is no regular file"), ("x\0", "cannot be one")]
)
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, name: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        load(tmp_path / name, "shop", {})


def test_yaml_means_what_it_means_to_docker(tmp_path: Path) -> None:
    file = loaded(
        tmp_path,
        """
x-base: &base
  image: a
  labels: {day: 2024-01-02, mode: 0444}
services:
  web:
    <<: *base
    image: b
    ports: [22:22, 80]
    read_only: yes
""",
    )
    assert sent(file)["services"]["web"] == {
        "image": "b",
        "labels": {"day": "2024-01-02", "mode": 0o444},
        "ports": ["22:22", 80],
        "read_only": True,
    }
    assert "x-base" not in sent(file)


def test_what_the_file_takes_from_this_machine_is_resolved_here(tmp_path: Path) -> None:
    (tmp_path / "web.env").write_text("# comment\n\nA=from file\n  B=s3cret-env-file = x\r\nTERM\nNONE\n")
    (tmp_path / "pw").write_text("s3cret-file")
    file = loaded(
        tmp_path,
        """
version: "3.8"
services:
  web:
    image: a
    env_file: web.env
    environment: [A=$$5, HERE, 'C=${PW}']
    volumes: ["./data:/data:ro", {type: bind, source: ../x, target: /x}, "/etc/hosts:/h"]
    secrets: [pw]
secrets:
  pw: {file: pw, labels: {a: b}}
  own: {file: ./pw, name: named}
""",
        HERE="yes",
        PW="s3cret-$variable",
        TERM="xterm",
    )
    web = sent(file)["services"]["web"]
    assert web["environment"] == {
        "A": "$$5",
        "B": "s3cret-env-file = x",
        "TERM": "xterm",
        "HERE": "yes",
        "C": "s3cret-$$variable",  # docker makes one $ of it again
    }
    assert "env_file" not in web
    outside = str(tmp_path.parent / "x")
    assert web["volumes"] == [
        f"{tmp_path}/data:/data:ro",
        {"type": "bind", "source": outside, "target": "/x"},
        "/etc/hosts:/h",
    ]
    assert file.binds == (f"{tmp_path}/data", outside)
    assert sent(file)["secrets"] == {
        "pw": {"external": True, "name": "shop_pw"},
        "own": {"external": True, "name": "named"},
    }
    assert [(blob.kind, blob.name, blob.path, blob.labels) for blob in file.blobs] == [
        ("secret", "shop_pw", tmp_path / "pw", {"a": "b", "com.docker.stack.namespace": "shop"}),
        ("secret", "named", tmp_path / "pw", {"com.docker.stack.namespace": "shop"}),
    ]
    assert b"s3cret-file" not in file.content


def test_files_before_3_5_name_what_is_external_in_their_own_way(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("x")
    text = "version: '3.3'\nservices: {web: {image: a, configs: [c]}}\nconfigs: {c: {file: c}}\n"
    assert sent(loaded(tmp_path, text))["configs"] == {"c": {"external": {"name": "shop_c"}}}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "services: {web: {image: a, environment: [HERE]}}",
            "takes HERE from the environment, where it is not set here",
        ),
        ("services: {web: {image: a, env_file: [no.env]}}", "The env_file .*no.env cannot be read"),
        ("services: {web: {image: a, env_file: bad.env}}", r"bad.env, line 2: this is not KEY=VALUE"),
        ("services: {web: {image: a}}\nsecrets: {pw: {file: gone}}", "secret shop_pw: .*/gone cannot be read"),
    ],
)
def test_what_is_not_there_is_told(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "bad.env").write_text("A=1\nB C=s3cret\n")
    with pytest.raises(UsageError, match=told) as caught:
        loaded(tmp_path, text)
    assert "s3cret" not in str(caught.value)


def test_the_digest_tells_when_anything_from_this_machine_changed(tmp_path: Path) -> None:
    text = "services: {web: {image: 'a:$TAG', env_file: e}}\nconfigs: {c: {file: c}}\n"
    digests = []
    for tag, env, config in (
        ("1", "A=1", "x"),
        ("1", "A=1", "x"),
        ("2", "A=1", "x"),
        ("1", "A=2", "x"),
        ("1", "A=1", "y"),
    ):
        (tmp_path / "e").write_text(env)
        (tmp_path / "c").write_text(config)
        digests.append(loaded(tmp_path, text, TAG=tag).digest)
    assert digests[0] == digests[1]
    assert len(set(digests)) == 4


# -- planning ----------------------------------------------------------------------------------------------------------


class Engine:
    """As much of a Session as the survey of a stack asks, over the engine's lists."""

    def __init__(self, now: Any, **lists: list[Any]) -> None:
        self._fake = FakeSession(now, through="mgr1")
        self.lists = {"services": [], "networks": [], "secrets": [], "configs": [], **lists}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fake, name)

    async def get(self, path: str, params: Any = None, *, clean: bool = True) -> bytes:
        kind, _, key = path.removeprefix("/").partition("/")
        if not key:
            return json.dumps(self.lists[kind]).encode()
        # The Swarm's own "host" is told when asked for, and in no list.
        if key != "swarm-host":
            raise EngineError("There is no such network.", status=404, message="not found")
        return b'{"Name": "host", "Scope": "swarm"}'


@pytest.fixture
def now() -> Any:
    return snapshot([node("mgr1", manager="leader"), node("wrk1")])


async def plan(engine: Engine, name: str, /, **given: str) -> Plan:
    runbook = registry.runbook(name)
    return await runbook.prepare(engine, parse(name, runbook.params, given))  # type: ignore[arg-type]


def running(name: str, stack: str = "shop", **more: Any) -> dict[str, Any]:
    template = {
        "ContainerSpec": {"Image": "nginx:1.25@sha256:0", "Env": ["PW=s3cret-running"]},
        "Networks": [{"Target": "n1"}],
    }
    labels = {"com.docker.stack.namespace": stack} if stack else {}
    spec = {"Name": name, "Labels": labels, "TaskTemplate": template, "Mode": {"Replicated": {"Replicas": 1}}, **more}
    return {"ID": f"id-{name}", "Spec": spec}


NETWORK = {"Id": "n1", "Name": "shop_default", "Scope": "swarm", "Labels": {"com.docker.stack.namespace": "shop"}}


async def test_the_plan_shows_the_differences_and_no_value(
    tmp_path: Path, now: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PW", "s3cret-variable")
    (tmp_path / "e").write_text("B=s3cret-env-file")
    (tmp_path / "pw").write_text("s3cret-file")
    file = write(
        tmp_path,
        """
services:
  web: {image: nginx:1.26, environment: {PW: $PW}, deploy: {replicas: 4}}
  new: {image: redis, env_file: e, secrets: [pw], restart: always, deploy: {placement: {constraints: [node.role==x]}}}
secrets: {pw: {file: pw}}
""",
    )
    engine = Engine(now, services=[running("shop_web"), running("shop_old"), running("other", "")], networks=[NETWORK])
    made = await plan(engine, "stack.deploy", stack="shop", file=str(file))

    assert [line.strip() for _, line in made.changes] == [
        "+ shop_new",
        "image: redis",
        "replicas: 1",
        "environment: B",
        "constraints: node.role==x",
        "networks: shop_default",
        "secrets: shop_pw",
        "~ shop_web",
        "image: nginx:1.25 → nginx:1.26",
        "replicas: 1 → 4",
        "environment: PW differs",
        "+ secret shop_pw",
    ]
    assert made.why == f"From {file}: services: 1 added, 1 changed."
    assert made.warnings == ("shop_new has nowhere to run: no node that takes tasks satisfies node.role==x.",)
    assert made.notes[:2] == (
        "Not in the file, and left as they are (prune=true removes them): shop_old.",
        "docker stack leaves out: services.new.restart.",
    )
    assert commands(made)[:2] == [
        f"docker secret create --label com.docker.stack.namespace=shop -- shop_pw {tmp_path}/pw",
        f"docker stack deploy --compose-file {file} shop",
    ]
    assert (made.danger, made.typed) == (Danger.DISRUPTIVE, "")
    everything = json.dumps([made.facts, render.plan_json(made), render.script(made), render.markdown(made)])
    assert "s3cret" not in everything
    for secret in SECRETS:
        assert base64.b64encode(secret.encode()).decode() not in everything
    resumed = registry.runbook("stack.deploy").plan(made.params, json.loads(json.dumps(made.facts)))
    assert (resumed.steps, resumed.binding) == (made.steps, made.binding)


async def test_what_keeps_its_old_content_is_warned_about(tmp_path: Path, now: Any) -> None:
    for name in ("new", "same", "pw"):
        (tmp_path / name).write_text("s3cret-new")
    text = """
services: {web: {image: a, configs: [old, same, fresh, hidden], secrets: [pw]}}
configs: {old: {file: new}, same: {file: same}, fresh: {file: new}, hidden: {file: new}}
secrets: {pw: {file: pw}}
"""

    def there(name: str, **more: Any) -> dict[str, Any]:
        return {"ID": f"id-{name}", "Spec": {"Name": f"shop_{name}", **more}}

    configs = [
        there("old", Data=base64.b64encode(b"s3cret-old").decode()),
        there("same", Data=base64.b64encode(b"s3cret-new").decode()),
        there("hidden"),
    ]
    engine = Engine(now, configs=configs, secrets=[there("pw", Data="")])
    made = await plan(engine, "stack.deploy", stack="shop", file=str(write(tmp_path, text)))
    assert made.warnings == (
        f"Secret shop_pw is there already and stays as it is; whether {tmp_path}/pw still has the same content, nobody "
        "can see. For a new content give it a new name.",
        f"Config shop_old is there already, with another content than {tmp_path}/new, and keeps it: Swarm never "
        "changes one. For the new content give it a new name.",
        f"Config shop_hidden is there already and stays as it is; whether {tmp_path}/new still has the same content, "
        "nobody can see. For a new content give it a new name.",
    )
    assert [step.id for step in made.steps[:2]] == ["config-shop_fresh", "deploy"]
    told = json.dumps([made.facts, render.plan_json(made)])
    assert "s3cret" not in told and base64.b64encode(b"s3cret-old").decode()[:8] not in told
    (tmp_path / "new").write_text("s3cret-old")
    again = await plan(engine, "stack.deploy", stack="shop", file=str(write(tmp_path, text)))
    assert not any("shop_old" in warning for warning in again.warnings) and again.binding != made.binding


async def test_options_reach_the_command_and_prune_is_told_loudly(tmp_path: Path, now: Any) -> None:
    file = write(tmp_path, "services: {web: {image: 'nginx:1.25', environment: [PW=s3cret-running]}}")
    engine = Engine(now, services=[running("shop_web"), running("shop_old")], networks=[NETWORK])
    more = {"prune": "true", "registry-auth": "true", "resolve-image": "never"}
    made = await plan(engine, "stack.deploy", stack="shop", file=str(file), **more)
    options = "--prune --with-registry-auth --resolve-image never"
    assert commands(made) == [f"docker stack deploy --compose-file {file} {options} shop"]
    assert list(made.changes) == [("dim", "= shop_web"), ("warn", "- shop_old is removed: it is not in the file")]
    assert made.danger == Danger.DISRUPTIVE
    deploy = made.steps[0]
    assert isinstance(deploy, DeployStack)
    assert (deploy.pruned, deploy.undo) == (("shop_old",), ())


async def test_only_a_stack_that_is_new_is_taken_back_by_its_removal(tmp_path: Path, now: Any) -> None:
    (tmp_path / "c").write_text("x")
    file = write(tmp_path, "services: {web: {image: a, configs: [c]}}\nconfigs: {c: {file: c}}")
    made = await plan(Engine(now), "stack.deploy", stack="shop", file=str(file))
    assert list(render.undo_lines(made)) == ["docker stack rm shop"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "services: {web: {image: a, networks: [x]}}\nnetworks: {x: {external: true}}",
            "the network x is external, and",
        ),
        ("services: {web: {image: a}}\nsecrets: {x: {external: true}}", "the secret x is external, and"),
        (
            "services: {web: {image: a, networks: [h]}}\nnetworks: {h: {external: {name: one}}}",
            "the network one is one of",
        ),
        (
            "services: {web: {image: a, ports: ['80:1']}}",
            "web publishes port 80/tcp, which the service edge has already",
        ),
        ("services: {mine: {image: a}}", "There is a service shop_mine already, and it is not of this stack"),
    ],
)
async def test_what_the_engine_would_refuse_half_way_is_refused_before(
    tmp_path: Path, now: Any, text: str, told: str
) -> None:
    edge = running("edge", "", EndpointSpec={"Ports": [{"Protocol": "tcp", "TargetPort": 8, "PublishedPort": 80}]})
    local = {"Id": "n2", "Name": "one", "Scope": "local"}
    engine = Engine(now, services=[edge, running("shop_mine", "")], networks=[local])
    with pytest.raises(UsageError, match=told):
        await plan(engine, "stack.deploy", stack="shop", file=str(write(tmp_path, text)))


async def test_a_mode_cannot_be_changed_and_a_bundle_runs_no_command(tmp_path: Path, now: Any) -> None:
    file = write(tmp_path, "services: {web: {image: a, deploy: {mode: global}}}")
    engine = Engine(now, services=[running("shop_web")])
    with pytest.raises(RefusedError, match="mode replicated → global: the Swarm refuses that"):
        await plan(engine, "stack.deploy", stack="shop", file=str(file))
    engine._fake.connection = type(engine.connection)(via="tls", through="ucp.example")
    for name, given in (("stack.deploy", {"file": str(file)}), ("stack.remove", {})):
        with pytest.raises(UsageError, match=r"runs on a manager, and ucp.example is reached through its API only"):
            await plan(engine, name, stack="shop", **given)


async def test_the_network_of_the_host_is_known_by_its_name(tmp_path: Path, now: Any) -> None:
    text = "services: {web: {image: 'nginx:1.25', environment: [PW=s3cret-running], networks: [host]}}\n"
    file = write(tmp_path, text + "networks: {host: {external: true}}")
    engine = Engine(now, services=[running("shop_web")])
    engine.lists["services"][0]["Spec"]["TaskTemplate"]["Networks"] = [{"Target": "swarm-host"}]
    made = await plan(engine, "stack.deploy", stack="shop", file=str(file))
    assert list(made.changes) == [("dim", "= shop_web")]


@pytest.mark.parametrize("name", ["", "-x", "x-", "a b", "x" * 51, "ü"])
def test_names_of_stacks(name: str) -> None:
    with pytest.raises(UsageError):
        parse("stack.remove", registry.runbook("stack.remove").params, {"stack": name})


async def test_removal_names_all_that_goes_and_what_cannot_be_had_back(now: Any) -> None:
    labels = {"com.docker.stack.namespace": "shop"}
    engine = Engine(
        now,
        services=[running("shop_web"), running("other", "")],
        networks=[NETWORK],
        secrets=[{"ID": "s", "Spec": {"Name": "shop_pw", "Labels": labels}}, {"ID": "t", "Spec": {"Name": "own"}}],
    )
    engine.lists["services"][1]["Spec"]["TaskTemplate"]["Networks"] = []
    made = await plan(engine, "stack.remove", stack="shop")
    assert [line for _, line in made.changes] == ["- service shop_web", "- network shop_default", "- secret shop_pw"]
    assert made.warnings == ("The values of its secrets cannot be had back: shop_pw.",)
    assert (made.danger, made.typed) == (Danger.DESTRUCTIVE, "shop")
    assert made.steps[0].shown[0].line.startswith("i=0; until docker stack rm shop; do")


async def test_what_others_use_is_not_torn_away(now: Any) -> None:
    engine = Engine(now, services=[running("shop_web"), running("edge_proxy", "edge")], networks=[NETWORK])
    with pytest.raises(
        RefusedError, match="Services outside shop use what belongs to it: network shop_default by edge_proxy"
    ):
        await plan(engine, "stack.remove", stack="shop")
    with pytest.raises(UsageError, match='There is no stack "none"') as caught:
        await plan(engine, "stack.remove", stack="none")
    assert caught.value.next_step == "The stacks are: edge, shop."
