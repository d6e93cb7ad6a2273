"""`recover` on a Swarm that is well, whose DTR is not: it alone is mended, by the gentlest way."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from swarmtui.cli.main import main
from swarmtui.demo.serve import Demo
from swarmtui.model.dtr import ways
from swarmtui.model.dtr.leading import with_dtr
from swarmtui.model.recovery import Advice, Diagnosis, Way
from swarmtui.runbooks import registry

WELL = Diagnosis("s", "t", Advice(Way.NOTHING, "Every manager works."), holds=True)
LOST = ways.Diagnosis(
    state="quorum-lost",
    what="One of three is up.",
    ways=(
        ways.Advice(way=ways.Way.START, why="Two are down.", what="Start them.", about=("aa", "bb")),
        ways.Advice(way=ways.Way.REPAIR, why="cc has volumes.", runbook="dtr.repair", params={"replica": "cc"}),
        ways.Advice(way=ways.Way.RESTORE, why="Nothing else.", runbook="dtr.restore", params={"backup": "b 1"}),
    ),
)
FINE = ways.Diagnosis(state="healthy", what="x", ways=(ways.Advice(way=ways.Way.NOTHING, why="x"),))


def test_the_gentlest_way_of_dtr_is_the_way_out_and_the_others_are_told_behind_it() -> None:
    found = with_dtr(WELL, LOST, target="prod")
    assert found.best == Advice(Way.DTR, "One of three is up. Two are down. Start them.", ("aa", "bb"))
    assert found.exit_code == 1
    assert [one.way for one in found.others] == [Way.NOTHING, Way.DTR_LOSING, Way.DTR_LOSING]
    repair, restore = found.others[1:]
    assert repair.command == "swarmtui run dtr.repair replica=cc --target prod"
    assert restore.command == "swarmtui run dtr.restore 'backup=b 1' --target prod"
    assert restore.because == "Where that cannot be: Nothing else."
    assert {repair.runbook, restore.runbook} <= set(registry.RUNBOOKS)


def test_what_loses_something_says_so_by_its_exit_code() -> None:
    lost = ways.Diagnosis(state="lost", what="x", ways=LOST.ways[2:])
    assert with_dtr(WELL, lost).exit_code == 2


def test_a_swarm_in_trouble_comes_first() -> None:
    start = Diagnosis("s", "t", Advice(Way.START, "Start it."), holds=True)
    after = with_dtr(start, LOST)
    assert after.best.way is Way.START and [one.way for one in after.then] == [Way.DTR]
    broken = Diagnosis("s", "t", Advice(Way.FORCE, "x"))
    assert with_dtr(broken, LOST) is broken and with_dtr(WELL, FINE) is WELL


@pytest.mark.parametrize(
    ("scenario", "code", "words"),
    [
        ("platform", 0, "Every manager works."),
        ("dtr-replica-lost", 1, "mend DTR alone"),
        ("dtr-quorum-lost", 1, "Bring back dtr2, dtr3"),
        ("dtr-lost", 2, "repair or restore DTR alone"),
    ],
)
async def test_recover_tells_of_dtr(
    scenario: str,
    code: int,
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    async with Demo(scenario, speed=20, seed=1) as demo:
        (tmp_path / "swarmtui.ucp-password.simulated").write_text(demo.platform["admin"]["password"])
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
        found = await asyncio.to_thread(main, ["recover", "simulated", "--config", str(demo.config)])
        told = capsys.readouterr()
        assert found == code, told
        assert words in " ".join(told.out.split())
        assert await asyncio.to_thread(main, ["recover", "simulated", "--json", "--config", str(demo.config)]) == code
        answer = json.loads(capsys.readouterr().out)
        ways_told = {one["way"] for one in (answer["best"], *answer["then"])}
        assert bool(ways_told & {"mend-dtr", "restore-dtr"}) is bool(code), answer
