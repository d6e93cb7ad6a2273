"""Servers that lie: yes without doing it, answers cut short, pages in place of data, data of the wrong shape.

Every lie ends in a clear sentence, the last data stays with its age, and nothing is believed to be done that is not.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from swarmtui.demo.api.http import Request, Response
from swarmtui.errors import SwarmtuiError
from swarmtui.link.reasons import LinkError
from swarmtui.runbooks.node_steps import MoveConnection, WaitStep
from swarmtui.runbooks.runbook import StepError
from swarmtui.session import Session
from tests.faults.checks import check_journal, check_state, check_words
from tests.faults.scenes import SCENES, Scene, plan_of, steps_of
from tests.faults.stage import RUN, Fault, PutOn, Stage, lines

BY_NAME = {scene.name: scene for scene in SCENES}
HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egpj.exe\u2066\r\n\x00"


def raw(body: bytes, status: int = 200, content_type: str = "application/json") -> Response:
    return Response(status, body, content_type)


def hostile_list() -> bytes:
    """2 MB of objects every string of which wants something of the terminal."""
    one = {
        "ID": HOSTILE,
        "Spec": {"Name": HOSTILE, "Labels": {HOSTILE: HOSTILE * 3}, "Role": HOSTILE, "Availability": HOSTILE},
        "Description": {"Hostname": HOSTILE},
        "Status": {"State": HOSTILE, "Message": HOSTILE},
    }
    objects = [{**one, "ID": f"{number:025d}{HOSTILE}"} for number in range(3200)]
    return json.dumps(objects).encode()


LIES: dict[str, Callable[[], Response]] = {
    "truncated": lambda: raw(b'[{"ID":"x","Spec":{"Na'),
    "html": lambda: raw(b"<html><body><h1>502 Bad Gateway</h1>\n<script>alert(1)</script>", content_type="text/html"),
    "nothing": lambda: raw(b""),
    "text": lambda: raw(b'"yes"'),
    "number": lambda: raw(b"17"),
    "types": lambda: raw(b'[{"ID":17,"Spec":[],"Status":"up","Description":7,"Swarm":[]}]'),
    "other-types": lambda: raw(b'{"ID":{"a":1},"Spec":"no","Swarm":{"LocalNodeState":5,"ControlAvailable":"yes"}}'),
    "huge-number": lambda: raw(b'[{"ID":"x","Version":{"Index":1e999}}]'),
    "not-utf8": lambda: raw(b'[{"ID":"\xff\xfe\xc3\x28","Description":{"Hostname":"\xed\xa0\x80"}}]'),
    "deep": lambda: raw(b"[" * 200_000),
    "deep-inside": lambda: raw(b'[{"ID":"x","Unknown":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}]"),
    "500": lambda: raw(json.dumps({"message": f"broken {HOSTILE}"}).encode(), 500),
    "500-raw": lambda: raw(b"broken \x1b[2J\x9b31m\x00\r\n\xff", 500, "text/plain"),
    "500-empty": lambda: raw(b"", 500),
    "302": lambda: Response(302, b"", headers={"Location": "http://127.0.0.1:9/"}),
}


def lying(path: str, lie: str) -> Callable[[Request], Response | None]:
    """Tells this lie to every question for this path, without its version."""
    pattern = re.compile(rf"^/v[0-9.]+{path}$")

    def answer(request: Request) -> Response | None:
        return LIES[lie]() if request.method == "GET" and pattern.match(request.path) else None

    return answer


# -- yes without doing it ----------------------------------------------------------------------------------------------


def says_yes(request: Request) -> Response | None:
    return Response() if request.method in ("POST", "DELETE") else None


def writing_steps() -> Iterator[Any]:
    for scene in SCENES:
        for place, (name, step) in enumerate(steps_of(scene), 1):
            if not isinstance(step, WaitStep | MoveConnection):
                yield pytest.param(scene, place, id=f"{scene}/{name}")


@pytest.mark.parametrize(("scene", "place"), writing_steps())
async def test_a_yes_without_the_deed_is_not_believed(
    scene: Scene, place: int, stage: PutOn, capsys: pytest.CaptureFixture[str]
) -> None:
    """A step that ran but did not verify is a failed step; told the truth again, a resume finishes the run."""
    step = plan_of(scene).steps[place - 1]

    async def begin(on: Stage) -> None:
        on.lie = says_yes

    async with stage(scene) as on:
        start = await on.state()
        outcome = await on.run(Fault(place, "intent", begin))
        assert (outcome.result, outcome.step) == ("failed", step.id)
        assert isinstance(outcome.error, StepError)
        check_words(str(outcome.error))
        kinds = [line["kind"] for line in lines(on.journal.path(RUN)) if line.get("step") == step.id]
        assert kinds == ["intent", "effect", "failed"]
        on.lie = lambda request: None
        assert await on.resume() == 0, capsys.readouterr()
        check_journal(on, on.journal.read(RUN))
        await check_state(on, start)


# -- lies to a session -------------------------------------------------------------------------------------------------


async def told_again(session: Session) -> None:
    """Lets the session ask for everything, whatever it is told."""
    try:
        async with asyncio.timeout(10):
            await session.refresh()
    except LinkError as error:
        check_words(error.what)


@pytest.mark.parametrize("lie", LIES)
async def test_what_was_known_stays_with_its_age(lie: str, stage: PutOn) -> None:
    """Nothing of a lie gets into the snapshot; what it was told about is marked, with a reason; the truth mends it."""
    async with stage(BY_NAME["pause"]) as on:
        on.thaw()
        async with on.session() as session:
            await session.until_complete(10)
            known = {name: getattr(session.snapshot, name) for name in ("nodes", "services", "tasks")}
            for name in known:
                before = session.snapshot.readings[name]
                on.lie = lying(f"/{name}", lie)
                await told_again(session)
                reading = session.snapshot.readings[name]
                assert getattr(session.snapshot, name) == known[name]
                assert reading.at <= before.at or not session.live, "a lie counts as fresh data"
                assert reading.trouble or not session.live
                if reading.trouble:
                    check_words(reading.trouble)
                for attempt in session.connection.attempts:
                    check_words(attempt.what)
                on.lie = lambda request: None
                await session.until_live(10)
                await session.refresh()
                assert session.snapshot.readings[name].at > before.at and not session.snapshot.readings[name].trouble


@pytest.mark.parametrize("lie", LIES)
async def test_a_manager_that_lies_about_itself(lie: str, stage: PutOn) -> None:
    """The session keeps what it knows, tells why it cannot be used, and comes back with the truth."""
    async with stage(BY_NAME["pause"]) as on:
        on.thaw()
        async with on.session() as session:
            await session.until_complete(10)
            nodes = session.snapshot.nodes
            on.lie = lying("/info", lie)
            await told_again(session)
            assert session.snapshot.nodes == nodes
            trouble = session.snapshot.readings["info"].trouble
            assert trouble or not session.live
            if trouble:
                check_words(trouble)
            for attempt in session.connection.attempts:
                check_words(attempt.what)
            on.lie = lambda request: None
            await session.until_live(10)
            await session.refresh()
            assert not session.snapshot.readings["info"].trouble


async def test_no_nodes_at_all_is_a_lie(stage: PutOn) -> None:
    """A Swarm has at least the manager that answers: an empty list never stands in for "could not ask"."""
    async with stage(BY_NAME["pause"]) as on:
        on.thaw()
        async with on.session() as session:
            await session.until_complete(10)
            nodes, at = session.snapshot.nodes, session.snapshot.readings["nodes"].at
            for nothing in (b"[]", b"null"):
                on.lie = lambda request, body=nothing: raw(body) if request.path.endswith("/nodes") else None
                await told_again(session)
                reading = session.snapshot.readings["nodes"]
                assert session.snapshot.nodes == nodes
                assert reading.at == at
                check_words(reading.trouble)


async def test_two_megabytes_of_hostile_strings(stage: PutOn, capsys: pytest.CaptureFixture[str]) -> None:
    """They are data: kept, made harmless, quickly, and no terminal is told any of it."""
    async with stage(BY_NAME["pause"]) as on:
        on.thaw()
        body = hostile_list()
        assert len(body) > 2_000_000 and b"\\u001b" in body
        on.lie = lambda request: raw(body) if re.search(r"/(nodes|services|tasks)$", request.path) else None
        async with on.session() as session:
            await session.until_complete(20)
            beats: list[float] = []

            async def beat() -> None:
                while True:
                    beats.append(time.monotonic())
                    await asyncio.sleep(0.005)

            heart = asyncio.create_task(beat())
            await session.refresh()
            heart.cancel()
            assert len(session.snapshot.nodes) == 3200
            for node in (*session.snapshot.nodes.values(),):
                for text in (node.id, node.hostname, node.status.state, *node.labels, *node.labels.values()):
                    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
        capsys.readouterr()
        assert await on.command("status", "simulated") in (0, 1, 2)
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", capsys.readouterr().out)


# -- lies to a run -----------------------------------------------------------------------------------------------------

POINTS = {
    "update": (1, "intent", r"/nodes/\w+"),
    "verify": (1, "unrecorded", r"/nodes/\w+"),
    "wait": (2, "effect", "/tasks"),
}


@pytest.mark.parametrize("where", POINTS)
@pytest.mark.parametrize("lie", LIES)
async def test_a_run_that_is_lied_to_fails_plainly(
    lie: str, where: str, stage: PutOn, capsys: pytest.CaptureFixture[str]
) -> None:
    place, point, path = POINTS[where]

    async def begin(on: Stage) -> None:
        on.lie = lying(path, lie)

    async with stage(BY_NAME["drain"]) as on:
        start = await on.state()
        outcome = await on.run(Fault(place, point, begin))
        assert outcome.result == "failed" and isinstance(outcome.error, SwarmtuiError)
        check_words(str(outcome.error))
        on.lie = lambda request: None
        assert await on.resume() == 0, capsys.readouterr()
        check_journal(on, on.journal.read(RUN))
        await check_state(on, start)


@pytest.mark.parametrize("body", [b"{}", b'{"ID":"x"}', b'{"ID":"x","Spec":null}', b'{"Spec":{"Role":"worker"}}'])
async def test_a_node_without_a_spec_is_not_changed(body: bytes, stage: PutOn) -> None:
    """Nothing to go on: what is missing must not be taken for what was confirmed."""

    async def begin(on: Stage) -> None:
        on.lie = lambda request: raw(body) if re.search(r"/nodes/\w+$", request.path) else None

    async with stage(BARE) as on:
        outcome = await on.run(Fault(1, "intent", begin))
        assert outcome.result == "failed" and isinstance(outcome.error, SwarmtuiError)
        check_words(str(outcome.error))
        assert not on.done


def without_labels(world: Any) -> None:
    from tests.faults.scenes import update

    update(world, "wrk5", Labels={})


BARE = Scene("bare", "node.pause", {"node": "wrk5"}, {}, (), before=without_labels)


# -- lies to the command line ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/nodes", "/info"])
@pytest.mark.parametrize("lie", LIES)
async def test_the_command_line_tells_a_sentence(
    lie: str, path: str, stage: PutOn, capsys: pytest.CaptureFixture[str]
) -> None:
    async with stage(BY_NAME["drain"]) as on:
        on.thaw()
        on.lie = lying(path, lie)
        code = await on.command("run", "node.drain", "node=wrk1", "--yes", "--target", "simulated")
        told = capsys.readouterr()
        assert code in (1, 3), told
        assert not on.writes
        for line in told.err.splitlines():
            assert line.startswith("swarmtui: ")
            check_words(line)
