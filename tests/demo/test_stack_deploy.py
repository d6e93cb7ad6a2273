"""`docker stack deploy` on a simulated host, over SSH, with the compose file on standard input."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from swarmtui.demo.serve import Demo
from swarmtui.demo.world.host import File

Json = dict[str, Any]
Run = Callable[..., Awaitable[tuple[int, list[str], str]]]

NAMESPACE = "com.docker.stack.namespace"
DEPLOY = "docker stack deploy --compose-file -"
FILE: Json = {
    "version": "3.8",
    "services": {
        "web": {
            "image": "nginx:1.25",
            "command": "sleep 1d",
            "entrypoint": ["/bin/sh", "-c"],
            "environment": {"B": "5$$", "A": "x=y"},
            "ports": ["8081:80", {"target": 443, "published": 8443, "mode": "host"}],
            "networks": {"front": {"aliases": ["www"]}, "shop_back": None},
            "volumes": ["data:/data:ro", "/srv/log:/log"],
            "secrets": ["key", {"source": "db", "target": "pw", "mode": 256}],
            "configs": ["conf"],
            "stop_grace_period": "1m30s",
            "deploy": {
                "replicas": 2,
                "labels": {"team": "a", "empty": ""},
                "placement": {
                    "constraints": ["node.role==worker"],
                    "preferences": [{"spread": "node.labels.zone"}],
                    "max_replicas_per_node": 1,
                },
                "resources": {"limits": {"cpus": "0.5", "memory": "64M"}, "reservations": {"memory": "16m"}},
                "update_config": {"parallelism": 2, "delay": "5s", "order": "start-first"},
                "restart_policy": {"condition": "on-failure", "delay": "2s", "max_attempts": 3},
            },
        },
        "agent": {"image": "tools/agent:1", "deploy": {"mode": "global"}},
    },
    "networks": {"front": {"labels": {"x": "y"}}, "shop_back": {"external": True}, "unused": {}},
    "volumes": {"data": {}},
    "secrets": {"key": {"file": "/root/key"}, "db": {"external": True, "name": "shop_db-password"}},
    "configs": {"conf": {"external": {"name": "shop_nginx-conf"}}},
}


@pytest.fixture
async def demo(runs: Path) -> AsyncIterator[Demo]:
    async with Demo("calm", speed=20) as running:
        running.world.hosts["mgr1"].files["/root/key"] = File(b"s3cret")
        yield running


@pytest.fixture
async def run(demo: Demo) -> AsyncIterator[Run]:
    connections: dict[str, asyncssh.SSHClientConnection] = {}

    async def one(command: str, file: Any = None, host: str = "mgr1") -> tuple[int, list[str], str]:
        if host not in connections:
            connections[host] = await asyncssh.connect(
                host,
                config=[str(demo.ssh_config)],
                known_hosts=str(demo.folder / "known_hosts"),
                agent_path=None,
            )
        text = "" if file is None else file if isinstance(file, str) else json.dumps(file)
        how: Json = {"input": text} if text else {"stdin": asyncssh.DEVNULL}
        async with asyncio.timeout(20):
            done = await connections[host].run(command, **how)
        return done.exit_status or 0, str(done.stdout).splitlines(), str(done.stderr)

    yield one
    for connection in connections.values():
        connection.close()
        await connection.wait_closed()


async def look(run: Run, what: str, *names: str) -> Any:
    code, lines, err = await run(f"docker {what} inspect {' '.join(names)}")
    assert code == 0, err
    return json.loads("\n".join(lines))


async def tasks(run: Run, service: str) -> list[str]:
    """The ids of a service's tasks that run or shall run."""
    code, lines, err = await run(f"docker service ps -q -f desired-state=running {service}")
    assert code == 0, err
    return sorted(lines)


async def settled(run: Run, service: str, wanted: Callable[[list[str]], bool]) -> list[str]:
    """The service's tasks, as soon as they are as wanted."""
    found: list[str] = []
    for _ in range(300):
        found = await tasks(run, service)
        if wanted(found):
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"{service} still has {found}")


def changed(**web: Any) -> Json:
    return {**FILE, "services": {**FILE["services"], "web": {**FILE["services"]["web"], **web}}}


async def test_a_new_stack_is_made_in_dockers_order_and_words(demo: Demo, run: Run) -> None:
    assert await run(f"{DEPLOY} --with-registry-auth --resolve-image never site", FILE) == (
        0,
        [
            "Creating network site_front",
            "Creating network site_default",
            "Creating secret site_key",
            "Creating service site_web",
            "Creating service site_agent",
        ],
        "",
    )
    cluster = demo.world.clusters[0]
    networks = {network.name: network for network in cluster.networks.values()}
    assert networks["site_front"].labels == {"x": "y", NAMESPACE: "site"}
    assert networks["site_default"].labels == {NAMESPACE: "site"}
    key = next(secret for secret in cluster.secrets.values() if secret.name == "site_key")
    assert base64.b64decode(key.spec["Data"]) == b"s3cret"
    assert key.spec["Labels"] == {NAMESPACE: "site"}
    (web,) = await look(run, "service", "site_web")
    spec = web["Spec"]
    assert spec["Labels"] == {NAMESPACE: "site", "com.docker.stack.image": "nginx:1.25", "team": "a", "empty": ""}
    assert spec["Mode"] == {"Replicated": {"Replicas": 2}}
    assert spec["UpdateConfig"]["Parallelism"] == 2
    assert (spec["UpdateConfig"]["Delay"], spec["UpdateConfig"]["Order"]) == (5 * 10**9, "start-first")
    assert sorted((p["PublishedPort"], p["TargetPort"], p["PublishMode"]) for p in spec["EndpointSpec"]["Ports"]) == [
        (8081, 80, "ingress"),
        (8443, 443, "host"),
    ]
    template = spec["TaskTemplate"]
    assert template["RestartPolicy"] == {"Condition": "on-failure", "Delay": 2 * 10**9, "MaxAttempts": 3}
    assert template["Resources"] == {
        "Limits": {"NanoCPUs": 500_000_000, "MemoryBytes": 64 << 20},
        "Reservations": {"MemoryBytes": 16 << 20},
    }
    assert template["Placement"]["Constraints"] == ["node.role==worker"]
    assert template["Placement"]["Preferences"] == [{"Spread": {"SpreadDescriptor": "node.labels.zone"}}]
    assert template["Placement"]["MaxReplicas"] == 1
    container = template["ContainerSpec"]
    assert container["Image"] == "nginx:1.25"
    assert (container["Command"], container["Args"]) == (["/bin/sh", "-c"], ["sleep", "1d"])
    assert container["Env"] == ["A=x=y", "B=5$"]
    assert container["StopGracePeriod"] == 90 * 10**9
    assert container["Mounts"] == [
        {
            "Type": "volume",
            "Source": "site_data",
            "Target": "/data",
            "ReadOnly": True,
            "VolumeOptions": {"Labels": {NAMESPACE: "site"}},
        },
        {"Type": "bind", "Source": "/srv/log", "Target": "/log"},
    ]
    secrets = {s["SecretName"]: s for s in container["Secrets"]}
    assert secrets["shop_db-password"]["File"] == {"Name": "pw", "UID": "0", "GID": "0", "Mode": 0o400}
    assert secrets["site_key"]["File"]["Name"] == "key"
    assert [c["ConfigName"] for c in container["Configs"]] == ["shop_nginx-conf"]
    assert {(n["Target"], *n["Aliases"]) for n in template["Networks"]} == {
        (networks["site_front"].id, "www", "web"),
        (networks["shop_back"].id, "web"),
    }
    (agent,) = await look(run, "service", "site_agent")
    assert agent["Spec"]["Mode"] == {"Global": {}}
    assert len(await settled(run, "site_web", lambda ids: len(ids) == 2)) == 2


async def test_the_same_file_again_leaves_the_tasks_alone(run: Run) -> None:
    assert (await run(f"{DEPLOY} site", FILE))[0] == 0
    (web,), (agent,) = await look(run, "service", "site_web"), await look(run, "service", "site_agent")
    before = await tasks(run, "site_web")
    assert len(before) == 2
    assert await run(f"{DEPLOY} site", FILE) == (
        0,
        [f"Updating service site_web (id: {web['ID']})", f"Updating service site_agent (id: {agent['ID']})"],
        "",
    )
    assert await tasks(run, "site_web") == before
    (again,) = await look(run, "service", "site_web")
    assert again["Spec"] == web["Spec"]
    # A label of the service alone, and fewer replicas, change no task that stays.
    deploy = {**FILE["services"]["web"]["deploy"], "replicas": 1, "labels": {"team": "b"}}
    assert (await run(f"{DEPLOY} site", changed(deploy=deploy)))[0] == 0
    (left,) = await settled(run, "site_web", lambda ids: len(ids) == 1)
    assert left in before
    (again,) = await look(run, "service", "site_web")
    assert again["Spec"]["Labels"]["team"] == "b"
    assert "empty" not in again["Spec"]["Labels"]


@pytest.mark.parametrize(
    "change",
    [
        {"image": "nginx:1.26"},
        {"environment": {"B": "5$$", "A": ""}},
        {"labels": {"empty": ""}},
        {"networks": ["front"]},
        {"stop_grace_period": "0s"},
        {"volumes": ["data:/data"]},
        {"hostname": "web"},
    ],
)
async def test_an_update_replaces_the_tasks_of_what_changed_only(run: Run, change: Json) -> None:
    assert (await run(f"{DEPLOY} site", FILE))[0] == 0
    web, agent = await tasks(run, "site_web"), await tasks(run, "site_agent")
    code, lines, err = await run(f"{DEPLOY} --detach=true site", changed(**change))
    assert (code, err) == (0, "")
    assert [line.partition(" (")[0] for line in lines] == ["Updating service site_web", "Updating service site_agent"]
    await settled(run, "site_web", lambda ids: len(ids) == 2 and not set(ids) & set(web))
    assert await tasks(run, "site_agent") == agent


async def test_a_service_of_the_scenario_goes_on_where_the_file_says_what_it_is(run: Run) -> None:
    service = {
        "image": "redis:7.2",
        "networks": ["back"],
        "deploy": {
            "replicas": 2,
            "placement": {"constraints": ["node.labels.disk==ssd"], "max_replicas_per_node": 1},
            "resources": {"reservations": {"memory": "1G"}},
        },
    }
    file: Json = {"version": "3.8", "services": {"cache": service}, "networks": {"back": {}}}
    before, web = await tasks(run, "shop_cache"), await tasks(run, "shop_web")
    code, lines, err = await run(f"{DEPLOY} shop", file)
    assert (code, len(lines), err) == (0, 1, "")
    assert await tasks(run, "shop_cache") == before
    assert await tasks(run, "shop_web") == web, "without --prune the others stay"


async def test_prune_removes_the_services_that_are_not_in_the_file(run: Run) -> None:
    assert (await run(f"{DEPLOY} site", FILE))[0] == 0
    (agent,) = await look(run, "service", "site_agent")
    only = {"version": "3.8", "services": {"agent": FILE["services"]["agent"]}}
    assert (await run(f"{DEPLOY} site", only))[1] == [f"Updating service site_agent (id: {agent['ID']})"]
    assert (await run("docker service ls -q -f name=site_web"))[1]
    assert await run(f"{DEPLOY} --prune site", only) == (
        0,
        ["Removing service site_web", f"Updating service site_agent (id: {agent['ID']})"],
        "",
    )
    assert (await run("docker service ls -q -f name=site_web"))[1] == []
    assert (await run("docker service ls -q -f name=shop_"))[1], "other stacks stay"
    assert (await run("docker stack rm site"))[0] == 0
    assert (await run("docker stack ps site"))[2] == "nothing found in stack: site\n"


def one(**service: Any) -> Json:
    return {"version": "3.8", "services": {"a": {"image": "alpine", **service}}}


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("", "empty compose file"),
        (
            "services:\n  a: {image: alpine}\n",
            "yaml: line 1: Expecting value (a simulated host reads compose files as JSON only)",
        ),
        ("[" * 100_000, "yaml: exceeded max depth"),
        ("[]", "Top-level object must be a mapping"),
        ({"version": "2", "services": {}}, "unsupported Compose file version: 2"),
        ({**one(), "servics": {}}, "(root) Additional property servics is not allowed"),
        (one(imag="x"), "services.a Additional property imag is not allowed"),
        (one(image=""), "invalid image reference for service a: no image specified"),
        (one(image=True), "services.a.image must be a string"),
        (one(deploy={"replicas": "two"}), "services.a.deploy.replicas must be a integer"),
        (one(deploy={"replicas": True}), "services.a.deploy.replicas must be a integer"),
        (one(deploy={"mode": "most"}), "Unknown mode: most"),
        (
            one(deploy={"mode": "global", "replicas": 1}),
            "replicas can only be used with replicated or replicated-job mode, not global",
        ),
        (one(cpuset="0"), "Compose file contains unsupported options: cpuset"),
        (one(ports=["http:80"]), "invalid containerPort: http:80"),
        (one(ports=["80/icmp"]), "invalid proto: icmp"),
        (one(ports=80), "services.a.ports must be a list"),
        (one(networks=["no"]), 'undefined network "no"'),
        (one(secrets=["no"]), 'undefined secret "no"'),
        (one(configs=["no"]), 'undefined config "no"'),
        (one(volumes=["no:/data"]), 'undefined volume "no"'),
        (one(environment={"A": "${"}), "invalid interpolation format for services.a.environment.A"),
        (one(environment={"A": "${NO:?set it}"}), "required variable NO is missing a value: set it"),
        ('{"services": ' + "[" * 990 + "]" * 990 + "}", "yaml: exceeded max depth"),
        (one(deploy={"resources": {"limits": {"cpus": "inf"}}}), "services.a.deploy.resources.limits.cpus must be a n"),
        (one(stop_grace_period="soon"), 'services.a.stop_grace_period time: invalid duration "soon"'),
        (
            {**one(networks=["n"]), "networks": {"n": {"external": True}}},
            'network "n" is declared as external, but could not be found.',
        ),
        (
            {**one(networks=["n"]), "networks": {"n": {"external": True, "name": "docker_gwbridge"}}},
            'network "docker_gwbridge" is declared as external, but it is not in the right scope: "local" instead',
        ),
    ],
)
async def test_a_bad_file_is_refused_in_one_line_and_nothing_is_made(
    demo: Demo, run: Run, file: Any, said: str
) -> None:
    cluster = demo.world.clusters[0]
    before = cluster.index
    code, lines, err = await run(f"{DEPLOY} bad", file)
    assert (code, lines) == (1, [])
    assert err.startswith(said), err
    assert len(err.splitlines()) == 1
    assert cluster.index == before


@pytest.mark.parametrize(
    ("file", "lines", "said"),
    [
        (
            {**one(secrets=["s"]), "secrets": {"s": {"external": True}}},
            ["Creating network bad_default"],
            "secret not found: s",
        ),
        (
            {**one(secrets=["s"]), "secrets": {"s": {"file": "/root/no"}}},
            ["Creating network bad_default"],
            "open /root/no: no such file or directory",
        ),
        (
            one(ports=["8080:80"]),
            ["Creating network bad_default", "Creating service bad_a"],
            "failed to create service bad_a: Error response from daemon: ",
        ),
        (
            one(deploy={"placement": {"constraints": ["nonsense"]}}),
            ["Creating network bad_default", "Creating service bad_a"],
            "failed to create service bad_a: Error response from daemon: ",
        ),
    ],
)
async def test_what_the_engine_lacks_or_refuses_ends_it_half_way(
    run: Run, file: Json, lines: list[str], said: str
) -> None:
    code, out, err = await run(f"{DEPLOY} bad", file)
    assert (code, out) == (1, lines)
    assert err.startswith(said), err
    assert len(err.splitlines()) == 1


async def test_other_ways_to_call_it(demo: Demo, run: Run) -> None:
    assert await run("docker stack deploy site") == (
        1,
        [],
        "Please specify a Compose file (with --compose-file)\n",
    )
    assert (await run(f"{DEPLOY} --nope site"))[0] == 125
    assert (await run(DEPLOY, FILE))[0] == 125
    assert (await run(f"{DEPLOY} --resolve-image maybe site", FILE))[0] == 1
    assert (await run("docker stack deploy -c /root/none site"))[2] == "open /root/none: no such file or directory\n"
    demo.world.hosts["mgr1"].files["/root/site.json"] = File(
        json.dumps(one(restart="always", container_name="x")).encode()
    )
    code, lines, err = await run("sudo -n docker stack up -c site.json --detach=false site")
    assert (code, lines) == (0, ["Creating network site_default", "Creating service site_a"])
    assert err.startswith("Ignoring unsupported options: restart\n\nIgnoring deprecated options:\n\ncontainer_name: ")
    code, _, err = await run(f"sudo -n {DEPLOY} site", FILE, host="wrk1")
    assert (code, err.startswith("this node is not a swarm manager.")) == (1, True)
    file: Json = {**one(networks=["n"], deploy={"endpoint_mode": "dnsrr"}), "networks": {"n": {"external": True}}}
    file["networks"]["n"]["name"] = "host"
    assert await run("docker stack deploy -c- two", file) == (0, ["Creating service two_a"], "")
    (made,) = await look(run, "service", "two_a")
    assert made["Spec"]["EndpointSpec"] == {"Mode": "dnsrr"}
