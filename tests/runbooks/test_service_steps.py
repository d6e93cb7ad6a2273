"""The steps on services: what they ask of the engine, what they refuse, and when they hold something for proved."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from swarmtui.errors import EngineError
from swarmtui.runbooks import node_steps, service_waits
from swarmtui.runbooks.runbook import ConflictError, Plan, Step, StepError
from swarmtui.runbooks.service_waits import WaitGone, WaitRollout
from tests import builders as b
from tests.runbooks.service_support import MANAGERS, WORKERS, Heard, Services, spread

WEB = b.service("web", replicas=2, image="shop/web:1")
ID = WEB["ID"]
WEB["Spec"]["FieldOfTomorrow"] = {"x": [1]}
WEB["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"] = ["A=1"]
BEFORE = {**WEB["Spec"], "TaskTemplate": {**WEB["Spec"]["TaskTemplate"], "ContainerSpec": {"Image": "shop/web:0"}}}
WAIT: dict[str, Any] = {"id": "x", "title": "t", "why": "w", "service_id": ID, "name": "web"}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_steps, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(service_waits, "STEADY_SECONDS", 0.0)


def with_web(**more: Any) -> Services:
    made = {**WEB, **more}
    return Services([*MANAGERS, *WORKERS], [made], spread(made, 2))


async def go(on: Services, step: Step, before: dict[str, Any] | None = None) -> Heard:
    """Runs and proves a step."""
    heard = Heard()
    facts = await step.before(on.session) if before is None else before
    await step.run(on.session, facts, heard.voice)
    await step.verify(on.session, facts, heard.voice)
    return heard


async def first(on: Services, name: str, **given: str) -> Step:
    made: Plan = await on.plan(name, service="web", **given)
    return made.steps[0]


def out_of_sequence() -> EngineError:
    return EngineError("changed meanwhile", status=500, message="rpc error: update out of sequence")


# -- writing a Spec ----------------------------------------------------------------------------------------------------


async def test_the_engines_own_spec_goes_back_with_what_we_change_and_its_version() -> None:
    on = with_web()
    step = await first(on, "service.update", image="shop/web:2")
    assert not await step.already_done(on.session, await step.before(on.session))
    await go(on, step)
    wanted = json.loads(json.dumps(WEB["Spec"]))
    wanted["TaskTemplate"]["ContainerSpec"]["Image"] = "shop/web:2"
    assert on.posted == [(f"/services/{ID}/update", {"version": "20"}, wanted)]
    assert await step.already_done(on.session, {})


async def test_what_the_engine_warns_of_is_said() -> None:
    on = with_web()
    on.warnings = ["unable to pin image x to digest"]
    heard = await go(on, await first(on, "service.restart"))
    assert heard.lines[0] == "The engine warns: unable to pin image x to digest"


@pytest.mark.parametrize("name", ["service.restart", "service.rollback", "service.remove"])
async def test_a_spec_that_somebody_else_changed_is_left_alone(name: str) -> None:
    on = with_web(PreviousSpec=BEFORE)
    step = await first(on, name)
    on.services[ID] = {**on.services[ID], "Spec": {**WEB["Spec"], "FieldOfTomorrow": {"x": [2]}}}
    with pytest.raises(ConflictError, match="Somebody else changed web"):
        await step.run(on.session, {}, Heard().voice)
    assert on.posted == [] and on.deleted == []


async def test_a_service_that_somebody_removed_is_a_conflict_too() -> None:
    on = with_web()
    step = await first(on, "service.restart")
    del on.services[ID]
    with pytest.raises(ConflictError, match="no service any more"):
        await step.before(on.session)


async def test_a_version_that_grew_by_itself_is_no_conflict_and_out_of_sequence_is_tried_again() -> None:
    on = with_web()
    step = await first(on, "service.restart")
    on.services[ID] = {**on.services[ID], "Version": {"Index": 77}}
    on.refusals = [out_of_sequence(), out_of_sequence()]
    await go(on, step)
    assert [query for _, query, _ in on.posted] == [{"version": "77"}]
    on = with_web()
    on.refusals = [out_of_sequence() for _ in range(99)]
    with pytest.raises(EngineError):
        await go(on, await first(on, "service.restart"))
    assert 3 <= 99 - len(on.refusals) <= 20 and on.posted == []


async def test_a_restart_whose_answer_was_lost_is_found_done_and_not_done_twice() -> None:
    on = with_web()
    step = await first(on, "service.restart")
    before = await step.before(on.session)
    await step.run(on.session, before, Heard().voice)  # and here the program dies
    assert await step.already_done(on.session, before)
    assert len(on.posted) == 1


async def test_a_rollback_is_asked_of_the_engine_and_a_resume_never_leads_forward_again() -> None:
    on = with_web(PreviousSpec=BEFORE)
    step = await first(on, "service.rollback")
    before = await step.before(on.session)
    assert not await step.already_done(on.session, before)
    await go(on, step, before)
    assert on.posted == [(f"/services/{ID}/update", {"version": "20", "rollback": "previous"}, WEB["Spec"])]
    assert await step.already_done(on.session, before)


async def test_a_rollback_to_another_spec_than_the_one_shown_is_refused() -> None:
    on = with_web(PreviousSpec=BEFORE)
    step = await first(on, "service.rollback")
    on.services[ID] = {**on.services[ID], "PreviousSpec": {**BEFORE, "Labels": {"x": "y"}}}
    with pytest.raises(ConflictError, match="another Spec"):
        await step.run(on.session, {}, Heard().voice)
    assert on.posted == []


async def test_what_the_engine_has_taken_back_meanwhile_is_not_done_again() -> None:
    """Killed after the effect; the new image failed, and the engine rolled back by itself before the resume."""
    on = with_web(UpdateStatus={"State": "completed", "StartedAt": "2024-01-01T00:00:00Z"})
    step = await first(on, "service.update", image="shop/web:2")
    before = await step.before(on.session)
    await step.run(on.session, before, Heard().voice)
    status = {"State": "rollback_completed", "StartedAt": "2024-05-05T00:00:00Z", "Message": "task x failed"}
    on.services[ID] = {**WEB, "UpdateStatus": status}
    with pytest.raises(StepError, match="rolled web back: task x failed"):
        await step.already_done(on.session, before)
    # But one that was rolled back before we came is no reason not to try.
    fresh = await step.before(on.session)
    assert not await step.already_done(on.session, fresh)


async def test_an_update_that_did_not_take_effect_does_not_verify() -> None:
    on = with_web()
    step = await first(on, "service.restart")
    with pytest.raises(StepError, match="not as asked"):
        await step.verify(on.session, {}, Heard().voice)


async def test_an_answer_about_another_service_is_none() -> None:
    on = with_web()
    step = await first(on, "service.restart")
    on.services[ID] = b.service("other")
    with pytest.raises(EngineError, match="another one"):
        await step.run(on.session, {}, Heard().voice)


async def test_an_environment_that_is_no_list_of_texts_is_an_error_for_a_person() -> None:
    broken = json.loads(json.dumps(WEB))
    broken["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"] = [1]
    with pytest.raises(EngineError, match="cannot be read"):
        await Services(MANAGERS, [broken]).plan("service.restart", service="web")


# -- removing ----------------------------------------------------------------------------------------------------------


async def test_a_service_is_removed_by_its_id_and_looked_for_afterwards() -> None:
    on = with_web()
    step = await first(on, "service.remove")
    assert not await step.already_done(on.session, {})
    with pytest.raises(StepError, match="still there"):
        await step.verify(on.session, {}, Heard().voice)
    await go(on, step)
    assert on.deleted == [(f"/services/{ID}", {})]
    assert await step.already_done(on.session, {})


async def test_an_engine_in_trouble_is_no_proof_that_a_service_is_gone() -> None:
    on = with_web()
    step = await first(on, "service.remove")

    async def broken(*_: Any, **__: Any) -> bytes:
        raise EngineError("No leader.", status=503, message="The swarm does not have a leader")

    on.get = broken  # type: ignore[method-assign]
    with pytest.raises(EngineError):
        await step.already_done(on.session, {})


async def test_gone_is_when_nothing_of_it_runs_on_a_node_that_answers() -> None:
    dead, step = b.node("dead", state="down"), WaitGone(**WAIT)
    on = Services([*MANAGERS, *WORKERS, dead], [], [b.task(WEB, WORKERS[0], desired="remove"), b.task(WEB, dead, 2)])
    assert not await step.already_done(on.session, {})
    with pytest.raises(StepError, match=r"1 task of web still there, on wrk1\."):
        await step.verify(on.session, {}, Heard().voice)
    on.tasks.pop(0)
    assert await step.already_done(on.session, {})


def test_an_id_that_is_no_id_stays_a_word_in_sh() -> None:
    (shown,) = WaitGone(**{**WAIT, "service_id": "x'; touch /tmp/owned; '"}).shown
    assert "touch" in shown.line
    words = shlex.split(shown.line)
    assert [word for word in words if "touch" in word] == [next(word for word in words if word.startswith("^x"))]


# -- following a rollout -----------------------------------------------------------------------------------------------


def wait(**options: Any) -> WaitRollout:
    return WaitRollout(**{**WAIT, "replicas": 2, "seconds": 0, **options})


async def missing(on: Services, step: WaitRollout | None = None) -> str:
    return (await (step or wait()).look(on.session))[0].what


async def test_converged_is_when_all_tasks_are_of_the_newest_spec_and_run() -> None:
    on = with_web()
    assert await missing(on) == ""
    on.newest = {on.tasks[0]["ID"]}
    assert await missing(on) == "web is converging: 1 of 2 tasks run as they shall; 1 still as before."
    on.tasks.pop()
    assert await missing(on) == "web is converging: 1 of 2 tasks run as they shall."


async def test_what_runs_on_a_node_that_is_down_does_not_count() -> None:
    on = with_web()
    on.nodes = [{**n, "Status": {"State": "down"}} if n["Description"]["Hostname"] == "wrk1" else n for n in on.nodes]
    assert "1 of 2" in await missing(on)


async def test_too_many_are_not_converged_either() -> None:
    on = with_web()
    on.tasks += [b.task(WEB, WORKERS[0], 3)]
    on.newest = {task["ID"] for task in on.tasks}
    assert await missing(on) == "web is converging: 2 of 2 tasks run as they shall; 1 too many still run."


async def test_what_was_to_stop_must_have_stopped_where_anybody_can_tell() -> None:
    """Scaled to 0, the database still holds its volume until its grace period is over."""
    on = with_web()
    on.tasks += [
        b.task(WEB, WORKERS[0], 3, desired="remove"),
        b.task(WEB, WORKERS[1], 4, state="failed", desired="shutdown"),
    ]
    assert await missing(on) == "web is converging: 2 of 2 tasks run as they shall; 1 still stopping."
    on.nodes = [{**n, "Status": {"State": "down"}} if n["Description"]["Hostname"] == "wrk1" else n for n in on.nodes]
    assert "stopping" not in await missing(on)


async def test_the_engine_has_the_last_word_while_it_watches() -> None:
    on = with_web(UpdateStatus={"State": "updating"})
    assert await missing(on) == "web is updating: 2 of 2 tasks run as they shall; the engine watches them."
    on.services[ID]["UpdateStatus"] = {"State": "completed"}
    assert await missing(on) == ""
    on.services[ID]["UpdateStatus"] = {"State": "rollback_started"}
    assert "web is rolling back" in await missing(on, wait(rollback=True))
    on.services[ID]["UpdateStatus"] = {"State": "rollback_completed"}
    assert await missing(on, wait(rollback=True)) == ""


@pytest.mark.parametrize(
    ("state", "rollback", "words"),
    [
        ("paused", False, r"paused the rollout of web: failure of task t1 \(web.1 on wrk1 failed: exit 7\)"),
        ("rollback_paused", True, "paused the rollback of web"),
        ("rollback_started", False, "rolled web back: failure of task t1"),
        ("rollback_completed", False, "rolled web back: failure of task t1"),
    ],
)
async def test_a_rollout_the_engine_gave_up_has_failed_with_its_words(state: str, rollback: bool, words: str) -> None:
    on = with_web(UpdateStatus={"State": state, "Message": "failure of task t1"})
    failed = b.task(WEB, WORKERS[0], 1, id="t1", state="failed", desired="shutdown")
    failed["Status"]["Err"] = "exit 7"
    on.tasks.append(failed)
    with pytest.raises(StepError, match=words):
        await missing(on, wait(rollback=rollback))


async def test_why_a_task_does_not_run_is_told() -> None:
    on = with_web()
    waiting = b.task(WEB, None, 1, state="pending")
    waiting["Status"]["Err"] = "no suitable node (insufficient resources on 5 nodes)"
    failed = {**b.task(WEB, WORKERS[0], 2, state="failed", desired="shutdown"), "CreatedAt": "2024-05-02T10:00:01Z"}
    failed["Status"]["Err"] = "task: non-zero exit (1)"
    again = {**b.task(WEB, WORKERS[0], 2, state="ready", desired="ready"), "CreatedAt": "2024-05-02T10:00:02Z"}
    on.tasks = [waiting, failed, again]
    on.newest = {task["ID"] for task in on.tasks}
    assert await missing(on) == (
        "web is converging: 0 of 2 tasks run as they shall; 1 task waiting for a place: no suitable node "
        "(insufficient resources on 5 nodes); 1 task failed: task: non-zero exit (1)."
    )


async def test_a_global_service_runs_wherever_it_may() -> None:
    agent = b.service("agent", mode="global", constraints=["node.hostname!=mgr1"])
    nodes = [*MANAGERS[:2], *WORKERS]
    on = Services(nodes, [agent], [b.task(agent, node, 0) for node in nodes[1:]])
    step = WaitRollout(**{**WAIT, "service_id": agent["ID"], "name": "agent"})
    assert await missing(on, step) == ""
    on.nodes.append(b.node("wrk9"))
    assert await missing(on, step) == "agent is converging: 3 of 4 tasks run as they shall."


async def test_what_is_wanted_now_counts_and_not_what_was_wanted_then() -> None:
    on = with_web()
    on.services[ID] = {**WEB, "Spec": {**WEB["Spec"], "Mode": {"Replicated": {"Replicas": 1}}}}
    on.tasks.pop()
    assert await missing(on) == ""


async def test_old_data_proves_nothing_and_a_removed_service_is_not_waited_for() -> None:
    on = with_web()
    on.troubles = {"tasks": "no answer"}
    with pytest.raises(StepError, match="no answer"):
        await missing(on)
    gone = Services([*MANAGERS, *WORKERS], [])
    with pytest.raises(StepError, match="somebody removed it"):
        await missing(gone)


async def test_a_wait_tells_each_task_and_how_far_it_is() -> None:
    on, heard = with_web(), Heard()
    for task in on.tasks:
        task["Status"]["State"] = "preparing"
    states = iter([[], ["running"], ["running", "running"]])

    async def refresh() -> Any:
        for task, state in zip(on.tasks, next(states), strict=False):
            task["Status"]["State"] = state
        return on.see()

    on.refresh = refresh  # type: ignore[method-assign]
    await wait(seconds=9).run(on.session, {}, heard.voice)
    assert [line.split(" on ")[0] for line in heard.lines] == ["web.1", "web.2"]
    assert all(line.endswith(": running") for line in heard.lines)
    assert [(done, total) for done, total, _ in heard.shown] == [(0, 2), (1, 2), (2, 2)]


async def test_tasks_nobody_watches_must_go_on_running(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash loop looks converged for a moment at each turn."""
    monkeypatch.setattr(service_waits, "STEADY_SECONDS", 60.0)
    on, heard, looks = with_web(), Heard(), 0

    async def refresh() -> Any:
        nonlocal looks
        looks += 1
        on.tasks[0]["Status"] = {"State": "running" if looks % 2 else "failed", "Err": "exit 1"}
        if looks > 5:
            monkeypatch.setattr(service_waits, "STEADY_SECONDS", 0.0)
        return on.see()

    on.refresh = refresh  # type: ignore[method-assign]
    await wait(seconds=30, unwatched=True).run(on.session, {}, heard.voice)
    assert looks == 7
    assert any("watching whether they go on" in text for _, _, text in heard.shown)


async def test_a_wait_gives_up_and_says_what_is_missing() -> None:
    on = with_web()
    on.tasks.pop()
    with pytest.raises(StepError, match=r"1 of 2 tasks run as they shall\. This was waited for 0 seconds"):
        await wait().run(on.session, {}, Heard().voice)
