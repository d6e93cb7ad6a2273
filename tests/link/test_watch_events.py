"""The engine's events as people see them: cleaned, bounded, and with a mark where some may be missing."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from swarmtui.errors import EngineError
from swarmtui.link import watch as watch_module
from swarmtui.link.events import LAGGED
from swarmtui.link.heard import KEPT, Heard
from swarmtui.link.reasons import LinkError, Reason
from tests.link.watching import Engine, until, watching


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "HINT_SECONDS", 0.01)


def event(number: int = 1, *, scope: str = "swarm", **changes: Any) -> bytes:
    message = {
        "Type": "node",
        "Action": "update",
        "Actor": {"ID": f"id{number}", "Attributes": {"name": f"wrk{number}", "state.old": "ready"}},
        "scope": scope,
        "time": 1_700_000_000 + number,
        "timeNano": (1_700_000_000 + number) * 10**9 + 500_000_000,
        **changes,
    }
    return json.dumps(message).encode()


async def test_an_event_is_kept_with_all_it_tells() -> None:
    engine = Engine()
    async with watching(engine) as watched:
        engine.event(event())
        await until(lambda: bool(watched.heard.all))
        (heard,) = watched.heard.all
        assert (heard.type, heard.action, heard.name, heard.id) == ("node", "update", "wrk1", "id1")
        assert (heard.at, heard.attributes, heard.through) == (1_700_000_001.5, {"state.old": "ready"}, "mgr1")
        assert heard.gap == ""
        await until(lambda: watched.rang == 1)
        await watched.polls(2)  # it is a hint as well


async def test_what_is_none_of_the_swarms_is_left_out_and_is_a_hint_all_the_same() -> None:
    engine = Engine()
    async with watching(engine) as watched:
        await watched.polls(1)
        engine.event(event(1, scope="local"), event(2, scope=""), b"{}", b"no JSON", b'{"Type": 5}', event(3))
        await watched.polls(2)
        await until(lambda: bool(watched.heard.all))
        assert [heard.id for heard in watched.heard.all] == ["id3"]


async def test_nothing_hostile_gets_in() -> None:
    engine = Engine()
    bad = {"ID": "a", "Attributes": {"name": "web\u202egnp\x1b[2J", "\x07": "\x9b31m", "image": "x\r\ny"}}
    async with watching(engine) as watched:
        engine.event(event(Action="up\x1bdate", Actor=bad), event(Actor=bad).replace(b"\\u202e", "\u202e".encode()))
        await until(lambda: len(watched.heard.all) == 2)
        for heard in watched.heard.all:
            text = heard.name + heard.action + "".join(heard.attributes) + "".join(heard.attributes.values())
            assert not set(text) & set("\x1b\x07\x9b\r\u202e") and heard.name.startswith("web")


async def test_an_old_event_without_times_or_names() -> None:
    engine = Engine()
    async with watching(engine) as watched:
        engine.event(b'{"Type":"secret","Action":"remove","Actor":{"ID":"abcdefghijklmnop"},"scope":"swarm"}')
        engine.event(event(timeNano=0))
        await until(lambda: len(watched.heard.all) == 2)
        first, second = watched.heard.all
        assert first.name == "abcdefghijkl" and abs(first.at - time.time()) < 60 and first.attributes == {}
        assert second.at == 1_700_000_001.0


async def test_the_newest_thousand_are_kept() -> None:
    heard = Heard(lambda: None)
    for number in range(KEPT + 5):
        heard.add(event(number), "mgr1")
    assert len(heard.all) == KEPT and (heard.all[0].id, heard.all[-1].id) == ("id5", f"id{KEPT + 4}")
    assert heard.all is heard.all
    before = heard.all
    heard.add(b"{}", "mgr1")
    assert heard.all is before
    heard.close()


async def test_a_burst_is_told_once() -> None:
    engine = Engine()
    async with watching(engine) as watched:
        engine.event(*(event(number) for number in range(50)))
        await until(lambda: watched.rang > 0)
        assert watched.rang == 1 and len(watched.heard.all) == 50
        engine.event(event())
        await until(lambda: watched.rang == 2)


async def test_nobody_is_told_after_the_end() -> None:
    told = []
    heard = Heard(lambda: told.append(1))
    heard.add(event(), "mgr1")
    heard.close()
    await asyncio.sleep(0.15)
    assert not told


# -- gaps ------------------------------------------------------------------------------------------------------------


async def test_a_lost_connection_leaves_a_mark_and_the_events_before_it_stay() -> None:
    engine = Engine()
    async with watching(engine, poll_seconds=0.02) as watched:
        engine.event(event(), LinkError(Reason.CONNECTION_LOST, "mgr1"))
        with pytest.raises(LinkError):
            await asyncio.wait_for(asyncio.shield(watched.task), 5.0)
        before, gap = watched.heard.all
        assert before.id == "id1" and "The connection to mgr1 ended." in gap.gap
        assert gap.through == "mgr1" and gap.type == "" and abs(gap.at - time.time()) < 60


async def test_an_engine_that_tells_no_events_says_so_once() -> None:
    engine = Engine()
    async with watching(engine, poll_seconds=0.001) as watched:
        engine.event(*[EngineError("The engine refused: Invalid filter 'scope'.", status=400)] * 3)
        await until(lambda: engine.queue.empty() and bool(watched.heard.all))
        (gap,) = watched.heard.all
        assert gap.gap.startswith("The engine refused: Invalid filter 'scope'.")


async def test_dropped_events_are_marked_between_those_that_were_not() -> None:
    engine = Engine()
    async with watching(engine) as watched:
        engine.event(event(1), LAGGED, LAGGED, event(2))
        await until(lambda: len(watched.heard.all) == 3)
        assert [heard.id for heard in watched.heard.all] == ["id1", "", "id2"]
        assert "dropped" in watched.heard.all[1].gap
