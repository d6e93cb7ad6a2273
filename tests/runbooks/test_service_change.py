"""A change of a service: in the engine's own Spec, as a docker command, in words. Parameters as people type them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from swarmtui.errors import UsageError
from swarmtui.runbooks import params, registry
from swarmtui.runbooks.service_change import Change, differences, digest_of, restarts_all, tagged

SPEC: dict[str, Any] = {
    "Name": "web",
    "Labels": {"team": "a"},
    "FieldOfTomorrow": {"x": [1, 2.5]},
    "TaskTemplate": {
        "ContainerSpec": {"Image": "nginx:1.25@sha256:0123", "Env": ["A=1", "B=two=2"], "Healthcheck": {"Retries": 3}},
        "Resources": {"Limits": {"NanoCPUs": 500000000, "Pids": 7}, "Reservations": {}},
        "Placement": {"Constraints": ["node.role == worker"], "Platforms": [{"OS": "linux"}]},
        "ForceUpdate": 4,
        "Runtime": "container",
    },
    "Mode": {"Replicated": {"Replicas": 3}},
    "EndpointSpec": {"Mode": "vip"},
}


def changed(**asked: Any) -> dict[str, Any]:
    """The Spec after a change; the change must leave alone what it was made from."""
    before = copy.deepcopy(SPEC)
    after = Change(**asked).applied(before)
    assert before == SPEC
    return after


def expected(path: str, value: Any) -> dict[str, Any]:
    """The Spec with only this different; a value of None for what is gone."""
    spec = copy.deepcopy(SPEC)
    *parents, last = path.split("/")
    at = spec
    for key in parents:
        at = at[key]
    if value is None:
        at.pop(last, None)
    else:
        at[last] = value
    return spec


CONTAINER, RESOURCES = "TaskTemplate/ContainerSpec", "TaskTemplate/Resources"
CONFIG = {"Parallelism": 1, "FailureAction": "pause", "Monitor": 5 * 10**9, "MaxFailureRatio": 0, "Order": "stop-first"}


@pytest.mark.parametrize(
    ("asked", "path", "value"),
    [
        ({"replicas": 5}, "Mode/Replicated/Replicas", 5),
        ({"replicas": 0}, "Mode/Replicated/Replicas", 0),
        ({"image": "nginx:1.26"}, f"{CONTAINER}/Image", "nginx:1.26"),
        ({"env": (("A", "9"), ("C", ""))}, f"{CONTAINER}/Env", ["A=9", "B=two=2", "C="]),
        ({"env": (("A", None), ("gone", None))}, f"{CONTAINER}/Env", ["B=two=2"]),
        ({"labels": (("team", None), ("x", "y"))}, "Labels", {"x": "y"}),
        ({"constraints": (("node.role==worker", False),)}, "TaskTemplate/Placement/Constraints", []),
        (
            {"constraints": (("node.labels.zone==a", True),)},
            "TaskTemplate/Placement/Constraints",
            ["node.role == worker", "node.labels.zone==a"],
        ),
        ({"limit_cpu": 0}, f"{RESOURCES}/Limits/NanoCPUs", None),
        ({"limit_memory": 1 << 30}, f"{RESOURCES}/Limits/MemoryBytes", 1 << 30),
        ({"reserve_cpu": 10**9}, f"{RESOURCES}/Reservations/NanoCPUs", 10**9),
        ({"force": 5}, "TaskTemplate/ForceUpdate", 5),
        # Without these defaults a delay alone would mean: all tasks at once.
        ({"delay": 10**9}, "UpdateConfig", {**CONFIG, "Delay": 10**9}),
        (
            {"parallelism": 0, "order": "start-first"},
            "UpdateConfig",
            {**CONFIG, "Parallelism": 0, "Order": "start-first"},
        ),
    ],
)  # fmt: skip
def test_only_what_is_asked_is_different(asked: dict[str, Any], path: str, value: Any) -> None:
    assert changed(**asked) == expected(path, value)


@pytest.mark.parametrize(
    "asked",
    [
        {"replicas": 3},
        {"image": "nginx:1.25@sha256:0123"},
        {"env": (("A", "1"), ("gone", None))},
        {"labels": (("team", "a"), ("gone", None))},
        {"constraints": (("node.role==worker", True), ("node.role==manager", False))},
        {"limit_cpu": 500000000, "limit_memory": 0, "reserve_memory": 0},
        {"force": 4},
    ],
)
def test_what_is_so_already_changes_nothing_and_is_not_asked_again(asked: dict[str, Any]) -> None:
    assert changed(**asked) == SPEC
    assert not Change(**asked).needed(SPEC)


def test_a_spec_without_the_parts_gets_only_those_it_needs() -> None:
    bare = {"Name": "x", "TaskTemplate": {"ContainerSpec": {"Image": "a"}, "Placement": None}, "Mode": {"Global": {}}}
    done = Change(reserve_memory=4 << 20, constraints=(("node.role==worker", True),)).applied(bare)
    assert done["TaskTemplate"] == {
        "ContainerSpec": {"Image": "a"},
        "Placement": {"Constraints": ["node.role==worker"]},
        "Resources": {"Reservations": {"MemoryBytes": 4 << 20}},
    }
    assert Change(limit_cpu=0, reserve_memory=0).applied(bare) == bare


def test_an_existing_configuration_keeps_what_is_not_asked() -> None:
    spec = {**SPEC, "UpdateConfig": {"Parallelism": 7, "FailureAction": "rollback", "Order": "stop-first"}}
    assert Change(order="start-first").applied(spec)["UpdateConfig"] == {
        "Parallelism": 7,
        "FailureAction": "rollback",
        "Order": "start-first",
    }
    assert not Change(parallelism=7, delay=0).needed(spec)


def test_only_what_is_missing_is_asked_for_and_a_constraint_goes_by_its_own_text() -> None:
    asked = Change(
        replicas=3,
        image="nginx:2",
        env=(("A", "1"), ("C", "3")),
        constraints=(("node.role==worker", False), ("node.labels.a==b", False)),
    )
    assert asked.needed(SPEC) == Change(
        image="nginx:2", env=(("C", "3"),), constraints=(("node.role == worker", False),)
    )


def test_what_an_engine_says_of_a_constraint_never_controls_a_terminal() -> None:
    hostile = {"TaskTemplate": {"Placement": {"Constraints": ["node.role\x1f==worker"]}}}
    needed = Change(constraints=(("node.role==worker", False),)).needed(hostile)
    assert needed.command("web").isprintable()
    assert needed.applied(hostile)["TaskTemplate"]["Placement"]["Constraints"] == []


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ({"replicas": 5}, "docker service scale --detach web=5"),
        ({"force": 5}, "docker service update --detach --force web"),
        ({"image": "a/b:1"}, "docker service update --detach --no-resolve-image --image a/b:1 web"),
        (
            {"env": (("A", "x y"), ("B", None)), "labels": (("l", "it's"), ("m", None))},
            "docker service update --detach --env-rm B --env-add 'A=x y' --label-rm m --label-add "
            """'l=it'"'"'s' web""",
        ),
        (
            {"constraints": (("node.labels.a!=b", True), ("node.role == worker", False))},
            "docker service update --detach --constraint-add 'node.labels.a!=b' "
            "--constraint-rm 'node.role == worker' web",
        ),
        (
            {"limit_cpu": 1_500_000_000, "reserve_cpu": 0, "limit_memory": 1 << 30, "reserve_memory": 300 << 20},
            "docker service update --detach --limit-cpu 1.5 --reserve-cpu 0 "
            "--limit-memory 1g --reserve-memory 300m web",
        ),
        (
            {"parallelism": 0, "delay": 1_500_000_000, "order": "start-first", "replicas": 2},
            "docker service update --detach --replicas 2 --update-parallelism 0 --update-delay 1500ms "
            "--update-order start-first web",
        ),
    ],
)
def test_changes_as_commands(asked: dict[str, Any], line: str) -> None:
    assert Change(**asked).command("web") == line


@pytest.mark.parametrize(
    ("asked", "everyone"),
    [
        ({"labels": (("a", "b"),)}, False),
        ({"replicas": 9}, False),
        ({"delay": 10**9}, False),
        ({"constraints": (("node.role==manager", True),)}, False),
        ({"image": "nginx:1.26"}, True),
        ({"env": (("C", "1"),)}, True),
        ({"limit_cpu": 10**9}, True),
        ({"force": 5}, True),
    ],
)
def test_who_is_outdated_by_a_change(asked: dict[str, Any], everyone: bool) -> None:
    """swarmkit, orchestrator/task.go: constraints alone outdate only what they no longer allow."""
    assert restarts_all(SPEC, changed(**asked)) is everyone


def test_differences_are_told_without_a_value_of_the_environment() -> None:
    after = changed(
        image="nginx:1.26", replicas=5, env=(("A", "s3cret"), ("B", None), ("C", "s3cret")), labels=(("x", "y"),),
        constraints=(("node.labels.zone==a", True),), limit_cpu=0, reserve_memory=512 << 20, order="start-first",
        force=5,
    )  # fmt: skip
    after["TaskTemplate"]["ContainerSpec"]["Healthcheck"] = {"Retries": 9}
    assert differences(SPEC, after) == [
        "image nginx:1.25@sha256:0123 → nginx:1.26",
        "replicas 3 → 5",
        "environment +C, -B, A changed",
        "labels +x",
        "constraint node.labels.zone==a added",
        "limit 0.5 CPU → no CPU",
        "reservation no MiB → 512 MiB",
        "updates: as the engine does by itself → 1 at a time, 0s apart, start-first",
        "every task anew (ForceUpdate)",
        "healthcheck changed",
    ]
    assert differences(SPEC, SPEC) == []
    pids = copy.deepcopy(SPEC)
    pids["TaskTemplate"]["Resources"]["Limits"]["Pids"] = 8
    assert differences(SPEC, pids) == ["resources changed"]
    other = copy.deepcopy(SPEC)
    other["EndpointSpec"] = {"Ports": [{"TargetPort": 80, "PublishedPort": 8080}]}
    other["TaskTemplate"]["Networks"] = [{"Target": "n1"}]
    other["TaskTemplate"]["ContainerSpec"] |= {"StopGracePeriod": 10**9, "Configs": [{"ConfigID": "c1"}]}
    assert differences(SPEC, other) == [
        "published ports changed",
        "networks changed",
        "configs changed",
        "stop grace period changed",
    ]


def test_a_digest_sees_every_change_and_no_order() -> None:
    tomorrow = copy.deepcopy(SPEC)
    tomorrow["FieldOfTomorrow"]["x"][1] = 2.6
    assert digest_of(tomorrow) != digest_of(SPEC) == digest_of(dict(reversed(SPEC.items())))


@pytest.mark.parametrize(
    ("image", "sent"),
    [
        ("nginx", "nginx:latest"),
        ("nginx:1", "nginx:1"),
        ("host:5000/a/b", "host:5000/a/b:latest"),
        ("a@sha256:00", "a@sha256:00"),
    ],
)
def test_a_reference_without_a_tag_means_the_latest(image: str, sent: str) -> None:
    assert tagged(image) == sent


# -- as people type them -----------------------------------------------------------------------------------------------


def given(name: str, **text: str) -> dict[str, Any]:
    return params.parse(name, registry.runbook(name).params, {k.replace("_", "-"): v for k, v in text.items()})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ({"env": r"A=1,B=x\,y,C-,D="}, (("A", "1"), ("B", "x,y"), ("C", None), ("D", ""))),
        ({"label": "a.b=c=d"}, (("a.b", "c=d"),)),
        ({"limit_cpu": "0.5"}, 500_000_000),
        ({"limit_cpu": "0"}, 0),
        ({"reserve_cpu": "12.000000001"}, 12_000_000_001),
        ({"limit_memory": "512M"}, 512 << 20),
        ({"limit_memory": "1.5GiB"}, 1536 << 20),
        ({"reserve_memory": "4194304"}, 4 << 20),
        ({"reserve_memory": "0"}, 0),
        ({"delay": "1m30s"}, 90 * 10**9),
        ({"delay": "500ms"}, 500 * 10**6),
        ({"delay": "10"}, 10 * 10**9),
        ({"parallelism": "0"}, 0),
        ({"order": "start-first"}, "start-first"),
        (
            {"constraint": "node.labels.zone==a,node.role!=manager-"},
            (("node.labels.zone==a", True), ("node.role!=manager", False)),
        ),
    ],
)
def test_parameters_are_read_as_they_are_meant(text: dict[str, str], value: Any) -> None:
    (name,) = text
    assert given("service.update", service="web", **text)[name.replace("_", "-")] == value


@pytest.mark.parametrize(
    "text",
    [
        {"env": "A=1,b"}, {"env": "=x"}, {"env": "A=1,A-"}, {"label": "a b=c"}, {"env": "A=x\ny"},
        {"limit_cpu": "0.0001"}, {"limit_cpu": "-1"}, {"limit_cpu": "1e3"}, {"limit_memory": "3M"},
        {"limit_memory": "lots"}, {"delay": "soon"}, {"delay": "-5s"}, {"order": "first"}, {"parallelism": "-1"},
        {"parallelism": "1.5"}, {"constraint": "node.role=worker"}, {"constraint": "zone"}, {"image": " "},
        {"constraint": "a==b,a==b-"}, {"wait": "0"},
    ],
)  # fmt: skip
def test_parameters_that_cannot_be_meant_are_refused(text: dict[str, str]) -> None:
    (name,) = text
    with pytest.raises(UsageError, match=f"service.update: {name.replace('_', '-')}="):
        given("service.update", service="web", **text)


@pytest.mark.parametrize("replicas", ["", "-1", "two", "1.5", "1000001", "٣"])
def test_replicas_are_a_whole_number(replicas: str) -> None:
    with pytest.raises(UsageError):
        given("service.scale", service="web", replicas=replicas)
