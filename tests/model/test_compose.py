"""Compose files as `docker stack deploy` reads them, and what a deploy would change. Every table is written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from swarmtui.model.compose import PublishedPort, Shape, mount, published, stack_of
from swarmtui.model.compose_reader import At
from swarmtui.model.compose_variables import ComposeError, escaped, interpolate
from swarmtui.model.stack_diff import Change, ServiceDiff, compare, differences, shape_of

Json = dict[str, Any]


def one(service: Json, **top: Any) -> Shape:
    """The shape of the service `web` of stack `shop`."""
    document = {"version": "3.8", "services": {"web": {"image": "nginx", **service}}, **top}
    return stack_of(document, "shop").services["shop_web"]


def wrong(document: Any) -> str:
    with pytest.raises(ComposeError) as caught:
        stack_of(document, "shop")
    return f"{caught.value.key}: {caught.value.what}"


# -- variables -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("nginx:$TAG", "nginx:1.25"),
        ("nginx:${TAG}", "nginx:1.25"),
        ("${TAG:-x}-${EMPTY:-y}-${NONE:-z}", "1.25-y-z"),
        ("${TAG-x}-${EMPTY-y}-${NONE-z}", "1.25--z"),
        ("${TAG?must}", "1.25"),
        ("${NONE:-}", ""),
        ("$$TAG and $${TAG}", "$TAG and ${TAG}"),
        ("$TAG.1", "1.25.1"),
        ("${NONE:-http://a/b?c=d}", "http://a/b?c=d"),
    ],
)
def test_variables_are_replaced_as_docker_does(text: str, made: str) -> None:
    document = interpolate({"services": {"web": {"image": text}}}, {"TAG": "1.25", "EMPTY": ""})
    assert document["services"]["web"]["image"] == made


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("$NONE", "needs the variable NONE, which is not set here"),
        ("${NONE:?give me a tag}", "needs the variable NONE: give me a tag"),
        ("${EMPTY:?}", "needs the variable EMPTY: it is not set"),
        ("${}", "has a $ that begins no variable (a plain dollar sign is written $$)"),
        ("costs $5", "has a $ that begins no variable (a plain dollar sign is written $$)"),
    ],
)
def test_a_variable_that_is_not_set_is_an_error_with_its_key(text: str, told: str) -> None:
    with pytest.raises(ComposeError) as caught:
        interpolate({"services": {"web": {"command": ["a", text]}}}, {"EMPTY": ""})
    assert (caught.value.key, caught.value.what) == ("services.web.command[1]", told)


def test_variables_become_numbers_only_where_docker_makes_them_so() -> None:
    service = {"deploy": {"replicas": "$N"}, "tty": "$Y", "hostname": "$N", "environment": {"A": "$N"}}
    made = interpolate({"services": {"web": service}}, {"N": "3", "Y": "yes"})["services"]["web"]
    assert made == {"deploy": {"replicas": 3}, "tty": True, "hostname": "3", "environment": {"A": "3"}}
    with pytest.raises(ComposeError) as caught:
        interpolate({"services": {"web": service}}, {"N": "s3cret", "Y": "y"})
    assert (caught.value.key, "s3cret" in str(caught.value)) == ("services.web.deploy.replicas", False)


def test_only_values_of_the_five_sections_are_touched_and_escaping_is_the_way_back() -> None:
    document = {"version": "$A", "x-note": "$B", "services": {"$C": {"image": "a$$b"}}}
    made = interpolate(document, {})
    assert made == {"version": "$A", "x-note": "$B", "services": {"$C": {"image": "a$b"}}}
    assert escaped(made) == document


# -- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "ports"),
    [
        ("80", [("tcp", 80, 0, "ingress")]),
        (80, [("tcp", 80, 0, "ingress")]),
        ("8080:80", [("tcp", 80, 8080, "ingress")]),
        ("53:5353/udp", [("udp", 5353, 53, "ingress")]),
        ("127.0.0.1:8080:80", [("tcp", 80, 8080, "ingress")]),
        ("8000-8001:80-81", [("tcp", 80, 8000, "ingress"), ("tcp", 81, 8001, "ingress")]),
        ({"target": 80, "published": 443, "mode": "host"}, [("tcp", 80, 443, "host")]),
    ],
)
def test_ports(written: Any, ports: list[tuple[str, int, int, str]]) -> None:
    assert published(At(written)) == [PublishedPort(*port) for port in ports]


@pytest.mark.parametrize(
    "written", ["", "http", "0:80", "80:70000", "8000-8001:80", "81-80", "80/icmp", {"published": 1}]
)
def test_what_is_no_port_is_refused(written: Any) -> None:
    with pytest.raises(ComposeError):
        published(At(written))


@pytest.mark.parametrize(
    ("written", "made"),
    [
        ("data:/data", ("volume", "data", "/data", False)),
        ("/srv:/data:ro", ("bind", "/srv", "/data", True)),
        ("./srv:/data:z,ro", ("bind", "./srv", "/data", True)),
        ("~/x:/data", ("bind", "~/x", "/data", False)),
        ("/data", ("volume", "", "/data", False)),
        ({"type": "bind", "source": "/a", "target": "/b", "read_only": True}, ("bind", "/a", "/b", True)),
    ],
)
def test_mounts(written: Any, made: tuple[str, str, str, bool]) -> None:
    assert mount(At(written)) == made


def test_a_service_is_read_with_the_names_the_swarm_will_know() -> None:
    shape = one(
        {
            "image": "shop/web:1",
            "environment": ["A=1", "B", "C=x=y"],
            "command": "serve --name 'a b'",
            "entrypoint": ["/init"],
            "ports": ["80:8080"],
            "networks": {"front": {"aliases": ["w"]}, "out": None},
            "volumes": ["data:/data", {"type": "tmpfs", "target": "/t"}],
            "secrets": ["pw", {"source": "key", "target": "k"}],
            "configs": ["conf"],
            "labels": {"a": 1},
            "deploy": {
                "replicas": 3,
                "labels": ["b=2"],
                "placement": {
                    "constraints": ["node.role==worker"],
                    "preferences": [{"spread": "node.labels.zone"}],
                    "max_replicas_per_node": 1,
                },
                "resources": {"limits": {"cpus": "0.5", "memory": "64M"}, "reservations": {"memory": 1024}},
            },
        },
        networks={"front": None, "out": {"external": True, "name": "edge"}},
        volumes={"data": {"name": "db-data"}},
        secrets={"pw": {"file": "./pw"}, "key": {"external": {"name": "tls-key"}}},
        configs={"conf": {"external": True}},
    )
    assert shape == Shape(
        image="shop/web:1",
        replicas=3,
        env={"A": "1", "B": None, "C": "x=y"},
        command=("serve", "--name", "a b"),
        entrypoint=("/init",),
        ports=frozenset({PublishedPort("tcp", 8080, 80)}),
        networks=frozenset({"shop_front", "edge"}),
        mounts=frozenset({("volume", "db-data", "/data", False)}),
        secrets=frozenset({"shop_pw", "tls-key"}),
        configs=frozenset({"conf"}),
        container_labels={"a": "1"},
        labels={"b": "2"},
        constraints=frozenset({"node.role==worker"}),
        spread=("node.labels.zone",),
        max_replicas=1,
        limits=(500_000_000, 64 << 20),
        reservations=(0, 1024),
    )


def test_without_a_word_on_networks_a_service_is_in_the_default_one_and_unused_ones_are_not_made() -> None:
    stack = stack_of({"services": {"web": {"image": "a"}}, "networks": {"other": None}}, "shop")
    assert stack.services["shop_web"].networks == {"shop_default"}
    assert [named.name for named in stack.networks.values()] == ["shop_default"]


@pytest.mark.parametrize(
    ("mode", "replicas"), [({}, 1), ({"replicas": 0}, 0), ({"mode": "global"}, None), ({"mode": "replicated-job"}, 1)]
)
def test_how_many_tasks(mode: Json, replicas: int | None) -> None:
    assert one({"deploy": mode}).replicas == replicas


def service(**more: Any) -> Json:
    return {"services": {"web": {"image": "a", **more}}}


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (None, ": the file is no mapping: it needs services:"),
        ({"version": "2.4", **service()}, 'version: is "2.4": docker stack deploys only version 3'),
        ({"version": 3.8}, "services: names no service"),
        ({"name": "x", **service()}, "name: is no key that docker stack knows here"),
        ({"services": {"web": None}}, "services.web: is empty: it needs an image"),
        ({"services": {"web": {"build": "."}}}, "services.web: names no image, and a Swarm builds none"),
        ({"services": ["web"]}, "services: must be a mapping (KEY: VALUE)"),
        ({"services": {80: {"image": "a"}}}, "services: has the key 80, which is no text: write it in quotes"),
        (service(imagee="b"), "services.web.imagee: is no key that docker stack knows here"),
        (
            service(mem_limit="1g"),
            "services.web.mem_limit: cannot be used in a Swarm: use deploy.resources.limits.memory",
        ),
        (service(environment={"A": True}), "services.web.environment.A: must be a text (write it in quotes)"),
        (service(ports="80"), "services.web.ports: must be a list (- VALUE)"),
        (service(deploy={"replicas": "3"}), "services.web.deploy.replicas: must be a whole number, 0 or more"),
        (service(deploy={"replicas": -1}), "services.web.deploy.replicas: must be a whole number, 0 or more"),
        (
            service(deploy={"mode": "all"}),
            'services.web.deploy.mode: is "all", which is none of replicated, global, replicated-job, global-job',
        ),
        (
            service(deploy={"mode": "global", "replicas": 2}),
            "services.web.deploy.replicas: cannot be said of a global service: it has one task on each node",
        ),
        (
            service(networks=["x"]),
            'services.web.networks[0]: names "x", which is not under networks: at the top of the file',
        ),
        (
            service(secrets=["x"]),
            'services.web.secrets[0]: names "x", which is not under secrets: at the top of the file',
        ),
        (
            service(volumes=["x:/x"]),
            'services.web.volumes[0]: names "x", which is not under volumes: at the top of the file',
        ),
        (service(command="a 'b"), "services.web.command: has a quote that is not closed"),
        (
            service(deploy={"resources": {"limits": {"memory": "lots"}}}),
            "services.web.deploy.resources.limits.memory: is no size (512M, 2g)",
        ),
        ({**service(), "secrets": {"pw": None}}, "secrets.pw: says neither file: nor external: true"),
    ],
)
def test_what_cannot_be_deployed_is_told_with_its_key(document: Any, told: str) -> None:
    assert wrong(document) == told


def test_what_docker_stack_leaves_out_and_what_is_not_compared_is_told() -> None:
    made = service(
        restart="always",
        depends_on=["db"],
        healthcheck={},
        deploy={"update_config": {}, "replicas": 1, "resources": {"limits": {"pids": 5, "cpus": 1}}},
    )
    stack = stack_of({**made, "x-people": 1}, "shop")
    assert stack.ignored == ("services.web.restart", "services.web.depends_on")
    assert stack.uncompared == {"shop_web": ("healthcheck", "deploy.update_config", "deploy.resources.limits.pids")}


# -- what runs, and what differs ---------------------------------------------------------------------------------------

RUNNING: Json = {
    "ID": "s1",
    "Spec": {
        "Name": "shop_web",
        "Labels": {"b": "2", "com.docker.stack.namespace": "shop", "com.docker.stack.image": "shop/web:1"},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": "shop/web:1@sha256:0123",
                "Labels": {"com.docker.stack.namespace": "shop"},
                "Env": ["A=1", "B", "C=x=y"],
                "Args": ["serve"],
                "Mounts": [{"Type": "volume", "Source": "shop_data", "Target": "/data"}],
                "Secrets": [{"SecretName": "shop_pw"}],
            },
            "Resources": {"Limits": {"MemoryBytes": 64 << 20}},
            "Placement": {"Constraints": ["node.role==worker"]},
            "Networks": [{"Target": "n1"}],
        },
        "Mode": {"Replicated": {"Replicas": 3}},
        "EndpointSpec": {
            "Ports": [{"Protocol": "tcp", "TargetPort": 8080, "PublishedPort": 80, "PublishMode": "ingress"}]
        },
    },
}
SAME = {
    "image": "shop/web:1",
    "environment": ["A=1", "B", "C=x=y"],
    "command": ["serve"],
    "ports": ["80:8080"],
    "volumes": ["data:/data"],
    "secrets": ["pw"],
    "deploy": {
        "replicas": 3,
        "labels": {"b": "2"},
        "placement": {"constraints": ["node.role==worker"]},
        "resources": {"limits": {"memory": "64M"}},
    },
}
TOP = {"volumes": {"data": None}, "secrets": {"pw": {"file": "x"}}}


def told(**changes: Any) -> list[tuple[str, str]]:
    found = differences(shape_of(RUNNING, {"n1": "shop_default"}), one({**SAME, **changes}, **TOP))
    return [(change.what, change.told) for change in found]


def test_a_service_that_runs_as_the_file_says_differs_in_nothing() -> None:
    assert told() == []
    assert told(image="docker.io/shop/web:1") == []


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({"image": "shop/web:2"}, [("image", "shop/web:1 → shop/web:2")]),
        ({"image": "shop/web@sha256:0123"}, []),
        ({"image": "shop/web@sha256:9999"}, [("image", "shop/web:1 → shop/web@sha256:9999")]),
        ({"environment": {"A": "s3cret", "D": "s3cret"}}, [("environment", "+D, -B, -C, A differs")]),
        ({"command": ["serve", "--password=s3cret"]}, [("command", "differs")]),
        ({"ports": ["81:8080"]}, [("ports", "+81:8080/tcp, -80:8080/tcp")]),
        ({"volumes": ["data:/data:ro"]}, [("mounts", "+shop_data:/data (read-only), -shop_data:/data")]),
        ({"secrets": []}, [("secrets", "-shop_pw")]),
        ({"networks": {"default": None}}, []),
        (
            {"deploy": {**SAME["deploy"], "labels": {"b": "s3cret"}}},  # type: ignore[dict-item]
            [("labels", "b differs")],
        ),
        (
            {"deploy": {"replicas": 1}},
            [
                ("replicas", "3 → 1"),
                ("labels", "-b"),
                ("constraints", "-node.role==worker"),
                ("limits", "64 MiB → none"),
            ],
        ),
        ({"deploy": {**SAME["deploy"], "mode": "global"}}, None),  # type: ignore[dict-item]
    ],
)
def test_what_differs_is_told_without_a_value_that_may_be_secret(
    changes: Json, differs: list[tuple[str, str]] | None
) -> None:
    if differs is None:
        with pytest.raises(ComposeError):
            told(**changes)
        return
    top = {"networks": {"default": None}} if "networks" in changes else {}
    found = differences(shape_of(RUNNING, {"n1": "shop_default"}), one({**SAME, **changes}, **TOP, **top))
    assert [(change.what, change.told) for change in found] == differs


def test_a_deploy_adds_changes_keeps_and_only_with_prune_removes() -> None:
    wanted = stack_of(
        {
            "services": {"new": {"image": "a", "secrets": ["key"]}, "web": {"image": "b"}, "same": {"image": "c:1"}},
            "secrets": {"key": {"file": "k"}, "had": {"file": "h"}, "out": {"external": True}},
        },
        "shop",
    )
    default = frozenset({"shop_default"})
    running = {
        "shop_web": Shape(image="a", networks=default),
        "shop_same": Shape(image="c:1@sha256:1", networks=default),
        "shop_old": Shape(image="d"),
    }
    existing = {"networks": ["shop_default"], "secrets": ["shop_had"], "configs": ()}
    diff = compare(wanted, running, prune=False, existing=existing)
    assert diff.services == (
        ServiceDiff(
            "shop_new",
            "added",
            (
                Change("image", "a"),
                Change("replicas", "1"),
                Change("networks", "shop_default"),
                Change("secrets", "shop_key"),
            ),
        ),
        ServiceDiff("shop_same", "same"),
        ServiceDiff("shop_web", "changed", (Change("image", "a → b"),)),
    )
    assert (diff.left, diff.removed, diff.created) == (("shop_old",), (), (("secret", "shop_key"),))
    pruned = compare(wanted, running, prune=True, existing=existing)
    assert (pruned.left, pruned.removed) == ((), ("shop_old",))
