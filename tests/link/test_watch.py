"""The watch over an engine in memory: what is published when, and what ends it."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any

import pytest

from swarmtui.errors import EngineError
from swarmtui.link import watch as watch_module
from swarmtui.link.reasons import LinkError, Reason
from tests import builders as b
from tests.link.watching import Engine, until, watching


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "PARTIAL_SECONDS", 0.05)
    monkeypatch.setattr(watch_module, "HINT_SECONDS", 0.01)


async def test_the_nodes_come_first_and_the_first_poll_gives_a_whole_snapshot() -> None:
    api, one = b.service("api"), b.node("one", id="1")
    async with watching(Engine(nodes=[one], services=[api], tasks=[b.task(api, one)])) as watched:
        await watched.polls(1)
        first, snapshot = watched.published
    assert first.readings.keys() == {"nodes"} and len(first.nodes) == 1
    assert snapshot.complete and (len(snapshot.nodes), len(snapshot.services), len(snapshot.tasks)) == (1, 1, 1)
    assert (snapshot.source, snapshot.cluster_id, snapshot.info.name, snapshot.seq) == ("mgr1", "c1", "mgr1", 2)
    assert abs(snapshot.taken_at - time.time()) < 60 and snapshot.oldest() == snapshot.taken_at
    assert watched.told == 1


async def test_what_hangs_does_not_hold_up_the_rest() -> None:
    release = asyncio.Event()

    async def hang() -> Any:
        await release.wait()
        return []

    async with watching(Engine(nodes=[b.node("one", id="1")], tasks=hang)) as watched:
        await until(lambda: bool(watched.published))
        partial = watched.last
        assert partial.nodes.keys() == {"1"} and partial.nodes_known and not partial.complete
        assert "tasks" not in partial.readings
        assert (watched.watch.polls, watched.told) == (0, 0)  # the poll is not over
        release.set()
        await watched.polls(1)
        assert watched.last.complete and watched.last.nodes is partial.nodes


async def test_a_list_that_fails_keeps_its_last_value_with_its_age_and_the_reason() -> None:
    engine = Engine(nodes=[b.node("one", id="1")])
    async with watching(engine) as watched:
        await watched.polls(1)
        before = watched.last
        engine.answers["nodes"] = EngineError("The list of nodes was refused.", status=500)
        engine.answers["services"] = [b.service("api")]
        watched.watch.look_now()
        await watched.polls(2)
        after = watched.last
        assert after.nodes is before.nodes and after.nodes_known and not after.complete
        assert after.readings["nodes"].at == before.readings["nodes"].at
        assert after.readings["nodes"].trouble == "The list of nodes was refused."
        assert len(after.services) == 1 and after.readings["services"].trouble == ""
        engine.answers["nodes"] = [b.node("two", id="2")]
        watched.watch.look_now()
        await watched.polls(3)
        assert watched.last.complete and watched.last.nodes.keys() == {"2"}
        assert watched.last.readings["nodes"].at > before.readings["nodes"].at


async def test_an_answer_that_cannot_be_decoded_is_a_failure_of_that_list_only() -> None:
    async with watching(Engine(tasks={"message": "not a list"})) as watched:
        await watched.polls(1)
        assert "list of tasks cannot be read" in watched.last.readings["tasks"].trouble
        assert not watched.last.readings["tasks"].known and watched.last.nodes_known


async def test_what_was_known_before_stays_until_it_is_read_anew() -> None:
    start = b.snapshot([b.node("old", id="9")], [b.service("api")])
    engine = Engine(nodes=EngineError("No."), info=EngineError("No."))
    async with watching(engine, start=start) as watched:
        await watched.polls(1)
        assert watched.last.nodes is start.nodes and watched.last.services == {}
        assert (watched.last.cluster_id, watched.last.info, watched.last.seq) == (b.CLUSTER, start.info, 2)


async def test_the_cluster_id_stays_when_an_engine_in_trouble_does_not_tell_it() -> None:
    engine = Engine()
    async with watching(engine) as watched:
        await watched.polls(1)
        engine.answers["info"] = {"Name": "mgr1", "Swarm": {"NodeID": "n1", "Error": "no leader", "Cluster": None}}
        watched.watch.look_now()
        await watched.polls(2)
        assert (watched.last.cluster_id, watched.last.info.swarm.error) == ("c1", "no leader")


async def test_what_did_not_change_stays_the_same_object() -> None:
    async with watching(Engine(nodes=[b.node("one", id="1")]), poll_seconds=0.01) as watched:
        await watched.polls(3)
        first, *others = watched.published
        assert all(other.nodes is first.nodes for other in others)
        assert [snapshot.seq for snapshot in watched.published] == list(range(1, len(watched.published) + 1))


# -- when it polls ---------------------------------------------------------------------------------------------------


async def test_an_event_asks_for_a_poll_long_before_the_next_one_is_due() -> None:
    engine = Engine()
    async with watching(engine) as watched:
        await watched.polls(1)
        assert engine.filters == {"scope": ["swarm"]}
        engine.event()
        await watched.polls(2)


async def test_a_burst_of_events_is_one_poll() -> None:
    engine = Engine()
    async with watching(engine) as watched:
        await watched.polls(1)
        for _ in range(200):
            engine.event()
        await watched.polls(2)
        await asyncio.sleep(0.05)
        assert watched.watch.polls == 2


async def test_a_quiet_cluster_is_polled_at_its_pace() -> None:
    started = time.monotonic()
    async with watching(Engine(), poll_seconds=0.15) as watched:
        await watched.polls(3)
    assert time.monotonic() - started >= 0.3


async def test_a_slow_manager_is_asked_less_often_however_many_events_there_are() -> None:
    """A poll that took t seconds is not repeated before LOAD·t: during a rollout there are events all the time."""
    engine = Engine()

    async def slowly() -> Any:
        engine.event()
        await asyncio.sleep(0.05)
        engine.event()
        return []

    engine.answers["tasks"] = slowly
    async with watching(engine, poll_seconds=0.01):
        while engine.count() < 3:
            engine.event()
            await asyncio.sleep(0.02)
    begun = [at for name, at in engine.asked if name == "tasks"]
    assert min(later - earlier for earlier, later in itertools.pairwise(begun)) >= 0.05 + 5 * 0.05


async def test_a_hint_during_a_poll_is_not_lost() -> None:
    """What the poll under way has read may be older than the event."""
    engine, begun, release = Engine(), asyncio.Event(), asyncio.Event()

    async def slow() -> Any:
        begun.set()
        await release.wait()
        return []

    engine.answers["tasks"] = slow
    async with watching(engine) as watched:
        await begun.wait()
        engine.event()
        await asyncio.sleep(0.02)
        release.set()
        await watched.polls(2)


async def test_asking_counts_to_a_poll_that_began_afterwards() -> None:
    engine, begun, release = Engine(nodes=[b.node("old", id="1")]), asyncio.Event(), asyncio.Event()

    async def slow() -> Any:
        begun.set()
        await release.wait()
        return []

    async with watching(engine) as watched:
        await watched.polls(1)
        assert watched.watch.ask() == 2  # nothing under way: the next one
        await watched.polls(2)
        engine.answers["tasks"] = slow
        watched.watch.look_now()
        await begun.wait()
        # The nodes were read already by the poll under way: only the one after it can see this.
        engine.answers["nodes"] = [b.node("new", id="1")]
        number = watched.watch.ask()
        assert number == 4
        release.set()
        await watched.polls(number)
        assert watched.last.nodes["1"].name == "new"


async def test_everybody_is_told_after_every_poll_also_after_one_that_failed() -> None:
    engine = Engine(**dict.fromkeys(("nodes", "services", "tasks", "info"), EngineError("No.")))
    async with watching(engine, poll_seconds=0.01) as watched:
        await watched.polls(3)
        assert watched.told == watched.watch.polls and not watched.last.nodes_known


# -- what ends it ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["info", "nodes", "services", "tasks"])
async def test_a_lost_connection_ends_it(name: str) -> None:
    engine = Engine()
    async with watching(engine) as watched:
        await watched.polls(1)
        engine.answers[name] = LinkError(Reason.CONNECTION_LOST, "mgr1")
        number = watched.watch.ask()
        with pytest.raises(LinkError):
            await asyncio.wait_for(asyncio.shield(watched.task), 5.0)
        # A poll that was cut off answers nobody: the session wakes whoever waits for it, with the reason.
        assert watched.watch.polls < number and watched.told == watched.watch.polls
    assert engine.followed == 0


async def test_a_lost_stream_of_events_ends_it() -> None:
    engine = Engine()
    async with watching(engine, poll_seconds=0.02) as watched:
        await watched.polls(1)
        engine.event(LinkError(Reason.CONNECTION_LOST, "mgr1"))
        with pytest.raises(LinkError):
            await asyncio.wait_for(asyncio.shield(watched.task), 5.0)


async def test_an_engine_that_knows_no_swarm_events_is_polled_all_the_same() -> None:
    engine = Engine()
    async with watching(engine, poll_seconds=0.02) as watched:
        engine.event(EngineError("Invalid filter 'scope'.", status=400))
        await watched.polls(4)
        assert engine.followed <= 1 and not watched.task.done()


async def test_cancelling_leaves_nothing_behind() -> None:
    before = asyncio.all_tasks()

    async def hang() -> Any:
        await asyncio.Event().wait()

    engine = Engine(tasks=hang)
    async with watching(engine) as watched:
        await until(lambda: bool(watched.published))
        assert asyncio.all_tasks() - before
    assert asyncio.all_tasks() == before
    assert engine.followed == 0


async def test_answers_that_take_long_to_decode_are_asked_for_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A manager may answer 10,000 tasks faster than it is good for the machine on which they are shown."""
    engine = Engine(tasks=[b.task(b.service("api"), b.node("one", id="1"))])
    async with watching(engine, poll_seconds=0.01) as watched:
        await watched.polls(1)
        # The clock of a thread that decodes: every call is a hundredth of a second later.
        ticks = itertools.count()
        monkeypatch.setattr(watch_module.time, "thread_time", lambda: next(ticks) / 100)
        await watched.polls(4)
    begun = [at for name, at in engine.asked if name == "tasks"]
    # Three lists are decoded: 0.03 s at least, and 25 times that is waited.
    assert min(later - earlier for earlier, later in itertools.pairwise(begun[-2:])) >= 0.03 * 25
