"""The plans of the runbooks on services: which steps in which order, and what is said (procedures.md S2)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from swarmtui.errors import RefusedError, SwarmtuiError, UsageError
from swarmtui.runbooks import registry, render
from swarmtui.runbooks.runbook import Danger, Plan
from swarmtui.runbooks.service_waits import WaitRollout
from tests import builders as b
from tests.runbooks.service_support import MANAGERS, WORKERS, Services, spread
from tests.runbooks.support import commands

WEB = b.service("web", replicas=2, image="shop/web:1")


def with_web(made: b.Json = WEB, *others: b.Json, nodes: list[b.Json] | None = None, **options: Any) -> Services:
    replicas = made["Spec"]["Mode"].get("Replicated", {}).get("Replicas", 0)
    return Services(nodes or [*MANAGERS, *WORKERS], [made, *others], spread(made, replicas, **options))


def spec(made: b.Json, **changes: Any) -> b.Json:
    """The same service with other parts of its Spec."""
    return {**made, "Spec": {**made["Spec"], **changes}}


def kinds(made: Plan) -> list[str]:
    return [type(step).__name__ for step in made.steps]


def wait_of(made: Plan) -> WaitRollout:
    (wait,) = [step for step in made.steps if isinstance(step, WaitRollout)]
    return wait


def told(made: Plan) -> str:
    return "\n".join(line for _, line in render.plan_lines(made))


async def test_a_scale_starts_tasks_and_watches_them() -> None:
    made = await with_web().plan("service.scale", service="web", replicas="4")
    assert kinds(made) == ["UpdateService", "WaitRollout"]
    assert commands(made) == ["docker service scale --detach web=4"]
    assert (made.title, made.danger, made.typed, made.touches) == ("Scale web to 4", Danger.SAFE, "", ("web",))
    assert (wait_of(made).unwatched, wait_of(made).replicas, wait_of(made).seconds) == (True, 4, 600)
    assert made.changes == (("plain", "web: replicas 2 → 4."), ("plain", "web: 2 tasks start."))
    assert [shown.line for shown in made.steps[0].undo] == ["docker service rollback --detach web"]


async def test_a_scale_to_nothing_says_so_and_stops_tasks() -> None:
    made = await with_web().plan("service.scale", service="web", replicas="0")
    assert made.danger is Danger.DISRUPTIVE and not wait_of(made).unwatched
    assert ("bad", "  web: DROPS TO ZERO") in list(render.plan_lines(made))


async def test_what_is_so_already_needs_no_steps() -> None:
    on = with_web()
    assert (await on.plan("service.scale", service="web", replicas="2")).nothing.endswith("has 2 replicas already.")
    assert (await on.plan("service.update", service="web", image="shop/web:1")).nothing.endswith("already is so.")


async def test_global_services_and_jobs_are_not_scaled() -> None:
    agent, batch = b.service("agent", mode="global"), b.service("batch", mode="job")
    on = Services([*MANAGERS, *WORKERS], [agent, batch])
    with pytest.raises(RefusedError, match="global"):
        await on.plan("service.scale", service="agent", replicas="3")
    for name in ("service.restart", "service.rollback"):
        with pytest.raises(RefusedError, match="is a job"):
            await on.plan(name, service="batch")
    assert kinds(await on.plan("service.remove", service="batch")) == ["RemoveService", "WaitGone"]


async def test_an_update_says_what_restarts_in_which_order_and_what_a_failure_does() -> None:
    rolling = {"Parallelism": 2, "Delay": 10 * 10**9, "Order": "start-first", "FailureAction": "rollback"}
    made = await with_web(spec(b.service("web", replicas=5), UpdateConfig=rolling)).plan(
        "service.update", service="web", image="shop/web:2", wait="60"
    )
    assert commands(made) == ["docker service update --detach --no-resolve-image --image shop/web:2 web"]
    assert made.changes == (
        ("plain", "web: image shop/api:1.2@sha256:0123 → shop/web:2."),
        (
            "plain",
            "web: 5 tasks restart, 2 at a time, 10 s apart; each new one runs before the old one stops. "
            "If a new one fails, the engine rolls it back by itself.",
        ),
    )
    # The service's own delays come on top of the patience: three batches, two pauses, and the engine's watch.
    assert wait_of(made).seconds == 60 + 2 * 10 + 5
    assert made.danger is Danger.DISRUPTIVE


async def test_that_a_tag_is_not_resolved_is_said() -> None:
    pinned = b.service("web", image="shop/web:1@sha256:0123")
    made = await with_web(pinned).plan("service.update", service="web", image="shop/web")
    assert "image shop/web:1@sha256:0123 → shop/web:latest" in made.steps[0].why
    (note,) = [note for note in made.notes if "registry" in note]
    assert "shop/web:latest" in note and note.endswith("The digest it is pinned to now goes.")
    exact = await with_web(pinned).plan("service.update", service="web", image="shop/web@sha256:4567")
    assert not any("registry" in note for note in exact.notes)


async def test_settings_alone_restart_nothing() -> None:
    made = await with_web().plan("service.update", service="web", delay="10s", label="a=b")
    assert made.danger is Danger.SAFE
    assert ("plain", "web: no task restarts.") in made.changes
    assert wait_of(made).seconds == 600


async def test_values_of_the_environment_that_are_there_are_kept_from_facts_and_words() -> None:
    secret = b.service("web", replicas=2)
    secret["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"] = ["DB_PASSWORD=s3cr3t", "A=1"]
    on = with_web(secret)
    secret["PreviousSpec"] = {**secret["Spec"], "TaskTemplate": {"ContainerSpec": {"Env": ["DB_PASSWORD=0ld"]}}}
    for name, given in (
        ("service.update", {"env": "DB_PASSWORD-,A=2"}),
        ("service.restart", {}),
        ("service.rollback", {}),
        ("service.remove", {}),
    ):
        made = await on.plan(name, service="web", **given)
        text = json.dumps([made.facts, render.plan_json(made)]) + told(made) + render.script(made)
        assert "s3cr3t" not in text and "0ld" not in text, name
    assert (
        "environment -DB_PASSWORD, A changed"
        in (await on.plan("service.update", service="web", env="DB_PASSWORD-,A=2")).steps[0].why
    )


async def test_a_value_that_sounds_secret_is_warned_of() -> None:
    made = await with_web().plan("service.update", service="web", env="API_TOKEN=x,LEVEL=debug")
    (warning,) = made.warnings
    assert "API_TOKEN can be read" in warning and "LEVEL" not in warning


async def test_what_has_no_place_holds_up_the_rollout_and_is_told() -> None:
    made = await with_web().plan("service.update", service="web", constraint="node.labels.x==y")
    assert "constraint node.labels.x==y not satisfied on 5 nodes" in told(made)
    assert made.warnings == ("The rollout of web waits for what has nowhere to go, and never comes to 1 task more.",)
    (service,) = render.plan_json(made)["services"]
    assert (service["service"], service["stuck"], service["to_zero"]) == ("web", 1, False)


async def test_an_only_replica_blinks_unless_the_new_one_starts_first() -> None:
    one = with_web(b.service("web", replicas=1))
    assert "its only replica: a short outage" in told(await one.plan("service.restart", service="web"))
    made = await one.plan("service.update", service="web", image="a:2", order="start-first")
    assert "short outage" not in told(made)


async def test_all_at_once_is_warned_of() -> None:
    made = await with_web().plan("service.update", service="web", image="a:2", parallelism="0")
    assert made.warnings == ("All 2 tasks of web stop at the same time: nothing of it runs until the new ones do.",)


async def test_an_update_of_nothing_is_no_update() -> None:
    with pytest.raises(UsageError, match="told nothing to change"):
        await with_web().plan("service.update", service="web")


async def test_a_restart_asks_for_one_more_of_the_counter() -> None:
    forced = b.service("web", replicas=2)
    forced["Spec"]["TaskTemplate"]["ForceUpdate"] = 7
    made = await with_web(forced).plan("service.restart", service="web")
    assert commands(made) == ["docker service update --detach --force web"]
    assert made.facts["services"][0]["change"]["force"] == 8


async def test_several_are_restarted_one_after_the_other() -> None:
    api = b.service("api")
    made = await with_web(WEB, api).plan("service.restart", service="web,api,web")
    assert [step.id.partition("-")[0] for step in made.steps] == ["update", "rollout", "update", "rollout"]
    assert made.touches == ("web", "api") and made.title == "Restart web, api"


async def test_a_rollback_says_what_it_goes_back_to() -> None:
    before = {**WEB["Spec"], "TaskTemplate": {**WEB["Spec"]["TaskTemplate"], "ContainerSpec": {"Image": "shop/web:0"}}}
    made = await with_web({**WEB, "PreviousSpec": before}).plan("service.rollback", service="web")
    assert kinds(made) == ["RollBackService", "WaitRollout"]
    assert commands(made) == ["docker service rollback --detach web"]
    assert wait_of(made).rollback
    assert made.steps[0].why.startswith("image shop/web:1 → shop/web:0. ")
    assert made.impact is None and any("2 tasks restart" in line for _, line in made.changes)


async def test_there_must_be_something_to_go_back_to() -> None:
    with pytest.raises(RefusedError, match="never updated"):
        await with_web().plan("service.rollback", service="web")
    same = {**WEB, "PreviousSpec": dict(WEB["Spec"])}
    assert "is the same" in (await with_web(same).plan("service.rollback", service="web")).nothing


async def test_a_removal_is_typed_and_says_what_goes_and_what_stays() -> None:
    shown = spec(b.service("web", replicas=2, ports=[b.port(80)]), Labels={"com.docker.stack.namespace": "shop"})
    made = await with_web(shown).plan("service.remove", service="web")
    assert kinds(made) == ["RemoveService", "WaitGone"]
    assert (made.danger, made.typed) == (Danger.DESTRUCTIVE, "web")
    assert commands(made) == ["docker service rm web"]
    text = told(made)
    for words in ("DROPS TO ZERO", "2 tasks stop", "80/tcp", "volumes", "stack shop"):
        assert words in text


@pytest.mark.parametrize(("state", "words"), [("updating", "in the middle"), ("paused", "stands still (bad image)")])
async def test_an_earlier_rollout_is_told(state: str, words: str) -> None:
    earlier = {**WEB, "UpdateStatus": {"State": state, "Message": "bad image"}}
    made = await with_web(earlier).plan("service.scale", service="web", replicas="3")
    assert any(words in warning for warning in made.warnings)
    completed = {**WEB, "UpdateStatus": {"State": "completed", "Message": "x"}}
    assert (await with_web(completed).plan("service.scale", service="web", replicas="3")).warnings == ()


@pytest.mark.parametrize("name", ["service.restart", "service.remove"])
async def test_ucps_own_services_are_behind_a_rule(name: str) -> None:
    agent = b.service("ucp-agent", mode="global")
    made = await with_web(WEB, agent).plan(name, service="ucp-agent,web")
    assert [str(rule) for rule in made.rules] == ["ucp-service=ucp-agent"]
    assert made.typed == "ucp-agent"


async def test_nothing_is_planned_without_quorum_or_from_old_data() -> None:
    lost = [b.node("m1", manager="leader"), b.node("m2", manager="unreachable")]
    with pytest.raises(RefusedError, match="no quorum"):
        await with_web(nodes=lost).plan("service.restart", service="web")
    on = with_web()
    on.troubles = {"services": "no answer."}
    with pytest.raises(SwarmtuiError, match="services cannot be read now: no answer"):
        await on.plan("service.restart", service="web")


async def test_without_the_tasks_the_plan_says_that_it_does_not_know() -> None:
    on = with_web()
    on.troubles = {"tasks": "no answer."}
    made = await on.plan("service.restart", service="web")
    assert made.danger is Danger.DISRUPTIVE
    assert "is not known" in told(made) and made.changes == ()


@pytest.mark.parametrize(
    ("wanted", "words"),
    [("wbe", 'no service "wbe". Did you mean "web"'), ("zzz", "The services are: web"), ("abcd", "beginning of 2 ids")],
)
async def test_a_name_that_is_nobodys_is_told(wanted: str, words: str) -> None:
    twins = [{**b.service(name), "ID": f"abcd{name}"} for name in ("x", "y")] if wanted == "abcd" else []
    with pytest.raises(UsageError, match=words):
        await with_web(WEB, *twins).plan("service.restart", service=wanted)


async def test_services_go_by_id_too_and_a_hostile_name_never_into_a_command() -> None:
    made = await with_web().plan("service.restart", service=WEB["ID"][:8])
    assert made.touches == ("web",)
    hostile = spec(b.service("x"), Name="--help; reboot \x1b[2J")
    plan = await with_web(hostile).plan("service.restart", service=hostile["ID"])
    assert plan.touches == (hostile["ID"],)
    assert not [line for line in render.script(plan).splitlines() if "reboot" in line and not line.startswith("# ")]


async def test_a_confirmation_holds_as_long_as_spec_and_consequences_do() -> None:
    on = with_web()
    made = await on.plan("service.restart", service="web")
    made_again = await on.plan("service.restart", service="web")
    assert made.binding == made_again.binding
    # A version grows by itself, and tasks move all the time.
    on.services[WEB["ID"]] = {**WEB, "Version": {"Index": 99}}
    on.tasks = spread(WEB, 2, [MANAGERS[0]])
    assert (await on.plan("service.restart", service="web")).binding == made.binding
    # A part of the Spec that the model knows nothing of, and a consequence that is another:
    on.services[WEB["ID"]] = spec(WEB, FieldOfTomorrow=1)
    assert (await on.plan("service.restart", service="web")).binding != made.binding
    on.services[WEB["ID"]] = WEB
    on.nodes = [{**node, "Spec": {**node["Spec"], "Availability": "drain"}} for node in on.nodes]
    assert (await on.plan("service.restart", service="web")).binding != made.binding


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("service.scale", {"replicas": "5"}),
        ("service.update", {"image": "a:2", "env": "A=1,B-", "constraint": "node.role==worker", "delay": "1s"}),
        ("service.restart", {}),
        ("service.rollback", {}),
        ("service.remove", {}),
    ],
)
async def test_a_plan_made_again_from_its_journal_is_the_same(name: str, given: dict[str, str]) -> None:
    before = {**WEB["Spec"], "Labels": {"old": "1"}}
    made = await with_web({**WEB, "PreviousSpec": before}).plan(name, service="web", **given)
    kept = json.loads(json.dumps({"params": made.params, "facts": made.facts}))
    again = registry.runbook(name).plan(kept["params"], kept["facts"])
    assert [step.id for step in again.steps] == [step.id for step in made.steps]
    assert [step.shown for step in again.steps] == [step.shown for step in made.steps]
    assert (again.binding, again.warnings, again.changes) == (made.binding, made.warnings, made.changes)
