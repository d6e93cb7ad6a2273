"""Servers that lie to whoever only looks: a clear sentence each time, and the last data stays, with its age."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from swarmtui import config
from swarmtui.cli import opened
from swarmtui.contact import line
from swarmtui.link.reasons import LinkError
from swarmtui.opening import find
from swarmtui.session import Session
from swarmtui.ui import header
from tests.driver import driven
from tests.faults.checks import check_words
from tests.faults.lies import FEW, LIES, OBEYED, hostile_list, lying, saying, truth
from tests.faults.scenes import SCENES
from tests.faults.stage import PutOn, Stage

PAUSE = next(scene for scene in SCENES if scene.name == "pause")
COLLECTIONS = ("nodes", "services", "tasks")
BACK_OFF_SECONDS = (0.4, 0.8, 1.6)
LOGINS = 12
"""So many logins in a second and a half are no storm: with those pauses, three managers are tried four times
at most."""


async def asked_again(session: Session) -> None:
    """Lets the session ask for everything, whatever it is told."""
    try:
        async with asyncio.timeout(10):
            await session.refresh()
    except LinkError as error:
        check_words(str(error))


def check_marked(session: Session, name: str) -> None:
    """What cannot be had is marked, in plain words: the collection, or the whole connection."""
    trouble = session.snapshot.readings[name].trouble
    assert trouble or not session.live
    if trouble:
        check_words(trouble)
    for attempt in session.connection.attempts:
        check_words(attempt.what)


async def told_the_truth(on: Stage, session: Session, name: str, before: float) -> None:
    on.lie = truth
    await session.until_live(10)
    await session.refresh()
    assert session.snapshot.readings[name].at > before
    assert not session.snapshot.readings[name].trouble


@pytest.mark.parametrize("lie", LIES)
async def test_what_was_known_stays_with_its_age(lie: str, stage: PutOn) -> None:
    """Nothing of a lie gets into the snapshot; what it was told about is marked, with a reason; the truth mends it."""
    async with stage(PAUSE) as on:
        on.thaw()
        async with on.session() as session:
            await session.until_complete(10)
            known = {name: getattr(session.snapshot, name) for name in COLLECTIONS}
            for name in COLLECTIONS:
                before = session.snapshot.readings[name].at
                on.lie = lying(f"/{name}", lie)
                await asked_again(session)
                assert getattr(session.snapshot, name) == known[name]
                assert session.snapshot.readings[name].at <= before, "a lie counts as fresh data"
                check_marked(session, name)
                await told_the_truth(on, session, name, before)


@pytest.mark.parametrize("lie", LIES)
async def test_a_manager_that_lies_about_itself(lie: str, stage: PutOn) -> None:
    """The session keeps what it knows, tells why it cannot be used, and comes back with the truth."""
    async with stage(PAUSE) as on:
        on.thaw()
        async with on.session() as session:
            await session.until_complete(10)
            nodes, before = session.snapshot.nodes, session.snapshot.readings["info"].at
            on.lie = lying("/info", lie)
            await asked_again(session)
            assert session.snapshot.nodes == nodes
            check_marked(session, "info")
            await told_the_truth(on, session, "info", before)


@pytest.mark.parametrize("nothing", [b"[]", b"null", b" [ ] "])
async def test_no_nodes_at_all_is_a_lie(nothing: bytes, stage: PutOn) -> None:
    """A Swarm has at least the manager that answers: an empty list never stands in for "could not ask"."""
    async with stage(PAUSE) as on:
        on.thaw()
        async with on.session() as session:
            await session.until_complete(10)
            nodes, before = session.snapshot.nodes, session.snapshot.readings["nodes"].at
            on.lie = saying("/nodes", nothing)
            await asked_again(session)
            assert session.snapshot.nodes == nodes
            assert session.snapshot.readings["nodes"].at == before
            check_words(session.snapshot.readings["nodes"].trouble)
            await told_the_truth(on, session, "nodes", before)


@pytest.mark.parametrize("path", ["/info", "/nodes", "/tasks"])
async def test_reconnects_are_no_storm(path: str, stage: PutOn, monkeypatch: pytest.MonkeyPatch) -> None:
    """A manager that lets us in and breaks at a question is not asked again and again without a pause."""
    monkeypatch.setattr(line, "BACK_OFF_SECONDS", BACK_OFF_SECONDS)
    async with stage(PAUSE) as on:
        on.thaw()
        async with on.session() as session:
            await session.until_complete(10)
            on.lie = lying(path, "302")
            before = on.logins
            await asked_again(session)
            await asyncio.sleep(1.5)
            assert on.logins - before <= LOGINS
            check_marked(session, path.removeprefix("/"))


async def test_two_megabytes_of_hostile_strings(stage: PutOn, capsys: pytest.CaptureFixture[str]) -> None:
    """They are data: kept, made harmless, and no terminal is told any of it."""
    body = hostile_list()
    assert len(body) > 2_000_000 and b"\\u001b" in body
    async with stage(PAUSE) as on:
        on.thaw()
        on.lie = saying("/nodes", body)
        async with on.session() as session:
            assert len(session.snapshot.nodes) == 3200
            for node in session.snapshot.nodes.values():
                for text in (node.id, node.hostname, node.status.state, *node.labels, *node.labels.values()):
                    assert not OBEYED.search(text)
        assert await on.command("status", "simulated") in (0, 1, 2)
        assert not OBEYED.search(capsys.readouterr().out)


async def test_the_screen_keeps_what_it_knew(stage: PutOn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows stay, the header tells how old they are, and the truth is shown as soon as it is told."""
    monkeypatch.setattr(header, "STALE_SECONDS", 1.0)
    async with stage(PAUSE) as on:
        on.thaw()
        opening = find("simulated", config.load(on.demo.config), bundles=tmp_path / "bundle")
        async with driven(opening, tmp_path / "journal") as console:
            await console.nodes().live().contains("mgr1", "wrk1")
            on.lie = lying("/nodes", "html")
            await console.nodes().header("data 5 s old").contains("mgr1", "wrk1", "wrk4")
            assert "<h1>" not in console.text
            on.lie = truth
            await console.nodes().live().contains("mgr1", "wrk1")


@pytest.mark.parametrize("path", ["/nodes", "/info"])
@pytest.mark.parametrize("lie", FEW)
async def test_the_command_line_tells_a_sentence(
    lie: str, path: str, stage: PutOn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(opened, "CONNECT_SECONDS", 5.0)
    async with stage(PAUSE) as on:
        on.thaw()
        on.lie = lying(path, lie)
        code = await on.command("run", "node.pause", "node=wrk1", "--yes", "--target", "simulated")
        told = capsys.readouterr()
        assert code in (1, 3), told
        assert not on.writes
        assert told.err
        for line in told.err.splitlines():
            assert line.startswith("swarmtui: ")
            check_words(line)
