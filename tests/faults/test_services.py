"""Every step of every runbook on services: the program killed, and the connection cut, at every point of it.

As in test_steps.py; and what becomes of a rollout that the engine itself gives up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from docker import APIClient

from swarmtui.runbooks import registry, service_waits
from swarmtui.runbooks.runner import Outcome
from swarmtui.runbooks.service_waits import ServiceWait
from tests.faults.checks import check_effects, check_journal, check_words
from tests.faults.faulty import POINTS, Fault, Killed
from tests.faults.scenes import plan_of, steps_of
from tests.faults.service_scenes import SERVICE_SCENES, ServiceScene, cache_rolls_back_by_itself, scene, write
from tests.faults.stage import RUN, PutOn, Stage, lines


@pytest.fixture(autouse=True)
def nothing_is_watched_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_waits, "STEADY_SECONDS", 0.0)


def cases(kind: str) -> Iterator[Any]:
    for each in SERVICE_SCENES:
        for place, (name, step) in enumerate(steps_of(each), 1):
            points: tuple[str, ...] = POINTS
            if kind == "cut" and not isinstance(step, ServiceWait):
                points = (*POINTS, "asked")
            for point in points:
                yield pytest.param(each, place, point, id=f"{each}/{name}/{point}/{kind}")


def named(stage: Stage) -> None:
    """The requests name services as people do."""
    names = {made["service_id"]: made["name"] for made in plan_of(stage.scene).facts["services"]}
    for written in stage.writes:
        for service_id, name in names.items():
            written.what = written.what.replace(service_id, name)


async def check_services(stage: Stage) -> None:
    """At once, since the run says it is proved: the services are as written down, as the stock SDK sees them."""
    scene = stage.scene
    assert isinstance(scene, ServiceScene)

    def read(client: APIClient) -> dict[str, Any]:
        services = {made["Spec"]["Name"]: made for made in client.services()}
        tasks = client.tasks()
        found: dict[str, Any] = dict.fromkeys(scene.after)
        for name in scene.after.keys() & services.keys():
            made = services[name]
            template = made["Spec"]["TaskTemplate"]
            runs = [t for t in tasks if t["ServiceID"] == made["ID"] and t["Status"]["State"] == "running"]
            assert {t["DesiredState"] for t in runs} <= {"running"}
            assert {t["Spec"]["ContainerSpec"]["Image"] for t in runs} == {template["ContainerSpec"]["Image"]}
            assert all(t["Spec"]["ContainerSpec"].get("Env", []) == scene.env.get(name, []) for t in runs)
            found[name] = (template["ContainerSpec"]["Image"], len(runs), template["ForceUpdate"])
        known = {made["ID"] for made in services.values()}
        assert not [t for t in tasks if t["ServiceID"] not in known and t["Status"]["State"] == "running"]
        return found

    assert await stage.other_operator(read) == dict(scene.after)


async def check(stage: Stage, point: str) -> None:
    """Everything is as it must be after a run that ended well."""
    named(stage)
    check_effects(stage, point)
    check_journal(stage, stage.journal.read(RUN))
    await check_services(stage)


@pytest.mark.parametrize("scene", SERVICE_SCENES, ids=str)
async def test_undisturbed(scene: ServiceScene, stage: PutOn) -> None:
    """What the others are measured by: it ends as written down, and every step has something to do."""
    async with stage(scene) as on:
        outcome = await on.run()
        assert outcome.ok, outcome
        assert not [line for line in lines(on.journal.path(RUN)) if line["kind"] == "already"]
        await check(on, "intent")


async def kill(stage: Stage) -> None:
    raise Killed


async def cut(stage: Stage) -> None:
    stage.cut()


@pytest.mark.parametrize(("scene", "place", "point"), cases("kill"))
async def test_killed(
    scene: ServiceScene, place: int, point: str, stage: PutOn, capsys: pytest.CaptureFixture[str]
) -> None:
    async with stage(scene) as on:
        with pytest.raises(Killed):
            await on.run(Fault(place, point, kill))
        assert on.journal.read(RUN).outcome == ""
        assert await on.resume() == 0, capsys.readouterr()
        assert capsys.readouterr().out.endswith("Done and verified.\n")
        await check(on, point)


@pytest.mark.parametrize(("scene", "place", "point"), cases("cut"))
async def test_cut_off(scene: ServiceScene, place: int, point: str, stage: PutOn) -> None:
    async with stage(scene) as on:
        outcome = await on.run(Fault(place, point, cut))
        assert on.struck, "the run never came to that point"
        assert outcome.ok, outcome
        await check(on, point)


def test_no_runbook_on_services_is_left_out() -> None:
    """A new one needs a scene of its own."""
    assert {name for name in registry.RUNBOOKS if name.startswith("service.")} == {s.runbook for s in SERVICE_SCENES}


# -- what the engine gives up ------------------------------------------------------------------------------------------

BAD = {"service": "cache", "image": "redis:broken"}
PAUSED = scene("paused", "service.update", BAD, (write("cache"),), {})
ROLLED_BACK = scene("rolled-back", "service.update", BAD, (write("cache"),), {}, before=cache_rolls_back_by_itself)
NOWHERE = scene(
    "nowhere", "service.update", {"service": "cache", "constraint": "node.labels.x==y", "wait": "1"},
    (write("cache"),), {},
)  # fmt: skip


def check_failed(outcome: Outcome, *words: str) -> None:
    assert outcome.result == "failed" and outcome.error is not None, outcome
    check_words(str(outcome.error))
    for part in words:
        assert part in str(outcome.error)


@pytest.mark.parametrize(
    ("scene", "words"),
    [
        (PAUSED, ("The engine paused the rollout of cache: update paused due to", "failed: task: non-zero exit (1)")),
        (ROLLED_BACK, ("The engine rolled cache back: ", "failed: task: non-zero exit (1)", "docker service ps")),
    ],
    ids=str,
)
async def test_a_rollout_the_engine_gives_up_is_a_failed_step_also_after_a_resume(
    scene: ServiceScene, words: tuple[str, ...], stage: PutOn, capsys: pytest.CaptureFixture[str]
) -> None:
    async with stage(scene) as on:
        outcome = await on.run()
        check_failed(outcome, *words)
        assert outcome.step.startswith("rollout-")
        assert await on.resume() == 1
        assert words[0] in capsys.readouterr().err
        named(on)
        assert Counter(on.done) == Counter([write("cache")]), "a resume must not ask for it again"


async def test_what_has_no_place_is_told_while_it_waits_and_when_it_gives_up(stage: PutOn) -> None:
    async with stage(NOWHERE) as on:
        check_failed(await on.run(), "no suitable node (scheduling constraints not satisfied on 7 nodes)")
        assert any("waiting for a place: no suitable node" in event.text for event in on.events)


@pytest.mark.parametrize("point", ["effect", "unrecorded"])
async def test_a_change_the_engine_took_back_before_the_resume_is_not_made_again(
    point: str, stage: PutOn, capsys: pytest.CaptureFixture[str]
) -> None:
    async with stage(ROLLED_BACK) as on:
        with pytest.raises(Killed):
            await on.run(Fault(1, point, kill))
        on.freeze()
        on.demo.world.kernel.advance(300.0)
        assert await on.resume() == 1
        assert "The engine rolled cache back" in capsys.readouterr().err
        named(on)
        assert Counter(on.done) == Counter([write("cache")])


# -- somebody else -----------------------------------------------------------------------------------------------------


async def labelled_by_another(stage: Stage) -> None:
    """Somebody with the stock SDK changes the service that the run is about."""

    def label(client: APIClient) -> None:
        made = client.inspect_service(stage.scene.given["service"].split(",")[0])
        spec = {**made["Spec"], "Labels": {"by": "another"}}
        url, version = client._url("/services/{0}/update", made["ID"]), {"version": made["Version"]["Index"]}
        client._post_json(url, data=spec, params=version).raise_for_status()

    await stage.other_operator(label)


@pytest.mark.parametrize("scene", SERVICE_SCENES, ids=str)
async def test_what_somebody_else_changed_since_the_confirmation_is_left_alone(
    scene: ServiceScene, stage: PutOn
) -> None:
    async with stage(scene) as on:
        outcome = await on.run(Fault(1, "intent", labelled_by_another))
        name = scene.given["service"].split(",")[0]
        check_failed(outcome, f"Somebody else changed {name} after you confirmed.", "decide anew")
        named(on)
        assert on.done == [write(name)], "only the other one may have changed anything"
