"""Collections that are only read while somebody wants them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from swarmtui.errors import EngineError
from swarmtui.link import pace
from swarmtui.link import watch as watch_module
from swarmtui.link.reasons import LinkError, Reason
from swarmtui.model.objects import Secret
from swarmtui.model.snapshot import ON_DEMAND, Reading, Snapshot
from tests.link.watching import INFO, Engine, until, watching

ALL: dict[str, Any] = {
    "networks": [{"Name": "back", "Id": "n1", "Scope": "swarm"}],
    "secrets": [{"ID": "s1", "Spec": {"Name": "password"}}],
    "configs": [{"ID": "c1", "Spec": {"Name": "nginx", "Data": "eA=="}}],
    "volumes": {"Volumes": [{"Name": "db", "Driver": "local"}], "Warnings": None},
}


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "PARTIAL_SECONDS", 0.05)
    monkeypatch.setattr(watch_module, "HINT_SECONDS", 0.01)


async def test_nothing_of_it_is_asked_for_while_nobody_wants_it() -> None:
    engine = Engine(**ALL)
    async with watching(engine, poll_seconds=0.01) as watched:
        await watched.polls(5)
        assert not {name for name, _ in engine.asked} & set(ON_DEMAND)
        assert not watched.last.readings.keys() & set(ON_DEMAND) and watched.last.complete


async def test_what_is_wanted_is_read_at_once_and_again_after_each_poll() -> None:
    engine = Engine(**ALL)
    async with watching(engine) as watched:
        await watched.polls(1)
        watched.watch.want(ON_DEMAND)
        await until(lambda: watched.last.readings.keys() >= set(ON_DEMAND))
        assert watched.watch.polls == 1  # the next poll is not due for long
        now = watched.last
        assert now.networks["n1"].name == "back" and now.secrets["s1"].name == "password"
        assert now.configs["c1"].name == "nginx" and now.volumes["db"].driver == "local"
        engine.answers["secrets"] = [{"ID": "s2", "Spec": {"Name": "other"}}]
        engine.event()
        await until(lambda: watched.last.secrets.keys() == {"s2"})
        assert watched.last.networks is now.networks


async def test_what_is_wanted_from_the_start_is_read_from_the_start() -> None:
    async with watching(Engine(**ALL), wanted=("secrets",)) as watched:
        await until(lambda: bool(watched.published) and "secrets" in watched.last.readings)
        assert watched.last.secrets.keys() == {"s1"}


async def test_what_is_wanted_no_more_is_left_alone_and_keeps_its_last_value() -> None:
    engine = Engine(**ALL)
    async with watching(engine, poll_seconds=0.01, wanted=("secrets", "configs")) as watched:
        await until(lambda: bool(watched.published) and watched.last.readings.keys() >= {"secrets", "configs"})
        watched.watch.want(["configs"])
        await asyncio.sleep(0)
        asked, read = engine.count("secrets"), watched.last.readings["secrets"]
        await watched.polls(watched.watch.polls + 5)
        assert engine.count("secrets") == asked and engine.count("configs") > 2
        assert watched.last.secrets.keys() == {"s1"} and watched.last.readings["secrets"] == read
        watched.watch.want(["secrets"])
        await until(lambda: watched.last.readings["secrets"].at > read.at)


async def test_one_that_fails_keeps_its_value_with_age_and_trouble_and_the_others_go_on() -> None:
    engine = Engine(**ALL)
    async with watching(engine, poll_seconds=0.01, wanted=ON_DEMAND) as watched:
        await until(lambda: bool(watched.published) and watched.last.readings.keys() >= set(ON_DEMAND))
        before = watched.last
        engine.answers["volumes"] = EngineError("The list of volumes was refused.", status=500)
        engine.answers["secrets"] = {"message": "no list"}
        await until(lambda: all(watched.last.readings[name].trouble for name in ("volumes", "secrets")))
        now = watched.last
        assert now.volumes is before.volumes and now.secrets is before.secrets
        assert 0 < now.readings["volumes"].at <= now.readings["networks"].at
        assert now.readings["volumes"].trouble == "The list of volumes was refused."
        assert "list of secrets cannot be read" in now.readings["secrets"].trouble
        assert now.complete and not now.readings["networks"].trouble
        engine.answers |= ALL
        await until(lambda: not any(reading.trouble for reading in watched.last.readings.values()))
        assert watched.last.readings["volumes"].at > before.readings["volumes"].at


async def test_the_trouble_of_what_nobody_wants_any_more_is_no_news() -> None:
    engine = Engine(**{**ALL, "secrets": EngineError("No.")})
    async with watching(engine, poll_seconds=0.01, wanted=("secrets",)) as watched:
        await until(lambda: bool(watched.published) and "secrets" in watched.last.readings)
        assert watched.last.readings["secrets"] == Reading(0.0, "No.")
        watched.watch.want([])
        polls = watched.watch.polls
        await watched.polls(polls + 2)
        assert watched.last.readings["secrets"] == Reading()


async def test_one_that_hangs_holds_up_neither_the_polls_nor_the_others() -> None:
    async def hang() -> Any:
        await asyncio.Event().wait()

    engine = Engine(**{**ALL, "volumes": hang})
    async with watching(engine, poll_seconds=0.01, wanted=ON_DEMAND) as watched:
        await watched.polls(5)
        await until(lambda: all(engine.count(name) > 3 for name in ("networks", "secrets", "configs")))
        assert engine.count("volumes") == 1 and "volumes" not in watched.last.readings


async def test_a_hanging_engine_has_no_more_than_two_of_these_to_answer() -> None:
    async def hang() -> Any:
        await asyncio.Event().wait()

    engine = Engine(**dict.fromkeys(ON_DEMAND, hang))
    async with watching(engine, poll_seconds=0.01, wanted=ON_DEMAND) as watched:
        await watched.polls(5)
        assert sum(engine.count(name) for name in ON_DEMAND) == 2


async def test_a_slow_one_is_read_less_often_unless_somebody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "LOAD", 1000.0)

    async def slowly() -> Any:
        await asyncio.sleep(0.02)
        return ALL["volumes"]

    # The polls themselves must not rest: they are never slow here, and rest by the clock of their own.
    engine = Engine(**{**ALL, "volumes": slowly})
    async with watching(engine, poll_seconds=0.01, wanted=("volumes",)) as watched:
        await until(lambda: bool(watched.published) and "volumes" in watched.last.readings)
        engine.event()
        await asyncio.sleep(0.1)
        assert engine.count("volumes") == 1
        watched.watch.look_now()
        await until(lambda: engine.count("volumes") == 2)


async def test_what_a_plugin_does_not_tell_is_said() -> None:
    """The engine answers with what it has, and warns about a plugin that does not answer."""
    some = {"Volumes": [{"Name": "db"}], "Warnings": ["list nfs: plugin \u202e\x1b[31m does not answer"]}
    async with watching(Engine(**{**ALL, "volumes": some}), wanted=("volumes",)) as watched:
        await until(lambda: bool(watched.published) and "volumes" in watched.last.readings)
        reading = watched.last.readings["volumes"]
        assert watched.last.volumes.keys() == {"db"} and reading.known
        assert "does not answer" in reading.trouble and not {"\x1b", "\u202e"} & set(reading.trouble)


@pytest.mark.parametrize("answer", [{"Volumes": None}, {}, {"Volumes": []}])
async def test_an_engine_without_volumes(answer: Any) -> None:
    async with watching(Engine(**{**ALL, "volumes": answer}), wanted=("volumes",)) as watched:
        await until(lambda: bool(watched.published) and "volumes" in watched.last.readings)
        assert watched.last.volumes == {} and watched.last.readings["volumes"].known
        assert not watched.last.readings["volumes"].trouble


async def test_a_link_error_of_one_of_these_alone_is_its_own_trouble() -> None:
    """A proxy that knows no such path and sends people elsewhere: the connection is fine, the polls go on."""
    engine = Engine(**{**ALL, "secrets": LinkError(Reason.NOT_DOCKER, "mgr1", "mgr1 points somewhere else.")})
    async with watching(engine, poll_seconds=0.01, wanted=("secrets",)) as watched:
        await until(lambda: bool(watched.published) and "secrets" in watched.last.readings)
        assert watched.last.readings["secrets"].trouble == "mgr1 points somewhere else."
        await watched.polls(watched.watch.polls + 2)
        assert not watched.task.done()


async def test_a_lost_connection_is_not_published_as_a_trouble_of_one_list() -> None:
    engine = Engine(**ALL)
    async with watching(engine, wanted=("secrets",)) as watched:
        await until(lambda: bool(watched.published) and "secrets" in watched.last.readings)
        engine.answers |= dict.fromkeys(engine.answers, LinkError(Reason.CONNECTION_LOST, "mgr1"))
        watched.watch.look_now()
        with pytest.raises(LinkError):
            await asyncio.wait_for(asyncio.shield(watched.task), 5.0)
        assert not any(snapshot.readings["secrets"].trouble for snapshot in watched.published[-1:])


OWN = [{"Name": "bridge", "Id": "b1", "Scope": "local"}, {"Name": "ingress", "Id": "i1", "Scope": "swarm"}]
LEADERLESS = {"Name": "mgr1", "Swarm": {"NodeID": "n1", "Error": "The swarm does not have a leader.", "Cluster": {}}}


async def test_networks_of_the_swarm_are_not_taken_for_gone_when_it_cannot_be_asked() -> None:
    """Without a leader an engine lists its own networks, as if that were all."""
    engine = Engine(**{**ALL, "networks": [*ALL["networks"], *OWN]})
    async with watching(engine, poll_seconds=0.01, wanted=("networks",)) as watched:
        await until(lambda: bool(watched.published) and "networks" in watched.last.readings)
        before = watched.last.networks
        assert before.keys() == {"n1", "b1", "i1"}
        engine.answers |= {"networks": OWN, "info": LEADERLESS}
        await until(lambda: bool(watched.last.readings["networks"].trouble))
        assert watched.last.networks is before and "only its own networks" in watched.last.readings["networks"].trouble
        engine.answers["info"] = INFO
        await until(lambda: watched.last.networks.keys() == {"b1", "i1"})
        assert not watched.last.readings["networks"].trouble


async def test_the_first_list_of_networks_is_doubted_as_well() -> None:
    async with watching(Engine(**{**ALL, "networks": OWN, "info": LEADERLESS}), wanted=("networks",)) as watched:
        await until(lambda: bool(watched.published) and "networks" in watched.last.readings)
        assert watched.last.networks == {} and not watched.last.readings["networks"].known


async def test_a_local_network_that_goes_raises_no_doubt() -> None:
    engine = Engine(**{**ALL, "networks": [*ALL["networks"], *OWN]})
    async with watching(engine, wanted=("networks",)) as watched:
        await until(lambda: bool(watched.published) and "networks" in watched.last.readings)
        await watched.polls(1)
        engine.answers |= {"networks": [*ALL["networks"], OWN[1]], "info": LEADERLESS}
        watched.watch.look_now()
        await until(lambda: watched.last.networks.keys() == {"n1", "i1"})


async def test_what_was_known_through_another_manager_stays_until_it_is_read_anew() -> None:
    old = Snapshot(secrets={"s9": Secret(id="s9")}, readings={"secrets": Reading(5.0)})
    engine = Engine(**{**ALL, "secrets": EngineError("No.")})
    async with watching(engine, start=old, wanted=("secrets",)) as watched:
        await until(lambda: bool(watched.published) and bool(watched.last.readings["secrets"].trouble))
        assert watched.last.secrets is old.secrets and watched.last.readings["secrets"] == Reading(5.0, "No.")


async def test_an_error_nobody_foresaw_is_not_swallowed() -> None:
    engine = Engine(**{**ALL, "secrets": ZeroDivisionError()})
    async with watching(engine, poll_seconds=0.01, wanted=("secrets",)) as watched:
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(asyncio.shield(watched.task), 5.0)


async def test_cancelling_leaves_nothing_behind() -> None:
    before = asyncio.all_tasks()

    async def hang() -> Any:
        await asyncio.Event().wait()

    async with watching(Engine(**{**ALL, "volumes": hang}), poll_seconds=0.01, wanted=ON_DEMAND) as watched:
        await watched.polls(2)
        assert asyncio.all_tasks() - before
    assert asyncio.all_tasks() == before
