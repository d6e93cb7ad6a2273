"""Which replicas a load balancer leads to: what many connections tell, what not, and what is said of it (T3)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from swarmtui.cli.dtr_words import dtr_lines
from swarmtui.link.dtr import asking as asking_module
from swarmtui.link.dtr.asking import Asking, At, Balancer, Login
from swarmtui.link.dtr.errors import DtrAwayError, DtrError, Trouble
from swarmtui.model.dtr.behind import Behind, Turn, begun, looked, words
from swarmtui.model.dtr.seen import BALANCER
from swarmtui.model.finding import Severity
from swarmtui.model.snapshot import Snapshot
from swarmtui.ui.derive import Deriver
from swarmtui.ui.panes.dtr import LB_ROW
from swarmtui.ui.views import Env, view
from swarmtui.vault import Secret
from tests.dtr import seen as s
from tests.dtr.test_status import alarms, found

ONE, TWO, THREE = s.IDS[:3]
ALL = (ONE, TWO, THREE)
URL = "https://dtr.example.org"
AWAY = Turn(trouble="10.0.2.9 refuses connections on port 443.")


def turns(*pattern: str | Turn, count: int = 24) -> list[Turn]:
    """So many turns that repeat a pattern of who answers."""
    every = cycle(one if isinstance(one, Turn) else Turn(one) for one in pattern)
    return [next(every) for _ in range(count)]


def behind(*pattern: str | Turn, count: int = 24) -> Behind:
    return looked(begun(None, URL, ALL), turns(*pattern, count=count), s.NOW)


def seen_so(known: Behind | None, **how: Any) -> Snapshot:
    now = s.under_dtr(**how)
    assert now.dtr is not None
    return replace(now, dtr=replace(now.dtr, behind=known))


# -- what is concluded -------------------------------------------------------------------------------------------------


def test_nobody_is_missed_before_there_were_enough_turns() -> None:
    few = behind(ONE, TWO, count=23)
    assert few.enough == few.wanted == 24 and not few.missed and few.leads_to == {ONE, TWO}
    enough = looked(few, turns(ONE, count=1), s.NOW)
    assert enough.missed == {THREE} and enough.wanted == 6
    assert not looked(enough, turns(THREE, count=1), s.NOW).missed, "it answered once: it is there"
    assert looked(behind(*ALL), turns(ONE, TWO), s.NOW).missed == {THREE}, "it was taken out, and is missed again"


def test_turns_that_do_not_tell_count_for_nothing() -> None:
    mixed = behind(ONE, Turn(), count=24)
    assert len(mixed.told) == 12 and not mixed.missed
    silent = behind(Turn())
    assert silent.trouble == "DTR does not tell there which replica answers." and not silent.missed
    assert looked(behind(*ALL), turns(AWAY, count=3), s.NOW).lost == (), "nothing answered: it is the way there"
    assert looked(behind(*ALL), [], s.NOW).trouble == "it did not answer in time."


def test_of_other_replicas_or_another_address_it_is_begun_anew() -> None:
    known = behind(*ALL)
    assert begun(known, URL, ALL) is known
    assert begun(known, URL, (*ALL, s.IDS[3])).turns == () == begun(known, "https://other", ALL).turns


# -- what is said ------------------------------------------------------------------------------------------------------


def test_one_that_is_left_out_is_told_and_a_whole_list_is_no_finding() -> None:
    now = seen_so(behind(ONE, THREE))
    assert alarms(now) == {"dtr-balancer-lacks"}
    (told,) = found(now)["dtr-balancer-lacks"]
    assert f"never led to {TWO} on dtr2 in 24 new connections" in told.what and "affinity" not in told.what
    assert not alarms(seen_so(behind(*ALL))) and not alarms(seen_so(None))


def test_where_always_the_same_one_answers_it_is_not_said_to_be_wrong() -> None:
    now = seen_so(behind(ONE))
    assert not alarms(now)
    (told,) = found(now)["dtr-balancer-lacks"]
    assert told.severity is Severity.ADVICE and "source affinity" in told.what
    assert f"{TWO} on dtr2, {THREE} on dtr3" in told.what and f"only to {ONE} on dtr1" in told.what


def test_one_that_is_ill_is_rightly_left_out_and_one_that_is_no_replica_is_told() -> None:
    ids = dict(zip(ALL, ("dtr1", "dtr2", "dtr3"), strict=True))
    says = s.told(s.document(ALL, {TWO: "registry is down"}), s.settings(ids))
    assert "dtr-balancer-lacks" not in found(seen_so(behind(ONE, THREE), says=says))
    now = seen_so(behind(*ALL, s.IDS[4]))
    assert alarms(now) == {"dtr-balancer-stranger"} and s.IDS[4] in found(now)["dtr-balancer-stranger"][0].what


def test_one_that_leads_nowhere_now_and_then_is_told_with_why() -> None:
    now = seen_so(behind(*ALL, AWAY))
    assert alarms(now) == {"dtr-balancer-nowhere"}
    assert "6 of 24 new connections through" in found(now)["dtr-balancer-nowhere"][0].what
    assert "10.0.2.9 refuses" in found(now)["dtr-balancer-nowhere"][0].what
    # Where it does not answer at all, that is said, and nothing of its list.
    down = seen_so(behind(*ALL, AWAY), doors={BALANCER: s.door("dtr.example.org", 502)})
    assert alarms(down) == {"dtr-balancer"}


NAMES = dict(zip(ALL, ("a", "b", "c"), strict=True))


@pytest.mark.parametrize(
    ("known", "told"),
    [
        (None, "not known yet"),
        (replace(begun(None, URL, ALL), trouble="nobody keeps the password."), "not known: nobody keeps the password."),
        (behind(Turn()), "not known: DTR does not tell there which replica answers."),
        (behind(ONE, TWO, count=6), "a, b, by 6 new connections so far; 24 tell whether one is missing"),
        (behind(*ALL), "a, b, c, by the newest 24 connections from here"),
    ],
)
def test_what_is_known_of_it_is_said_with_what_that_is_worth(known: Behind | None, told: str) -> None:
    assert words(known, NAMES) == told


def test_the_pane_and_the_doctor_tell_it() -> None:
    now = seen_so(behind(ONE, THREE))
    made = Deriver()(now, Env(now=s.NOW), ["dtr"])
    row = [cell.text for cell in made.rows["dtr"][LB_ROW]]
    assert "never led to dtr2" in row and "healthy" in row
    told = [line for _, line in view("dtr").describe(made, LB_ROW)]
    assert any("leads to" in line and f"{ONE} on dtr1" in line for line in told), told
    assert any(f"never led to {TWO} on dtr2 in 24 new connections" in line for line in told), told
    assert [line for line in dtr_lines(now) if "leads to" in line] == [
        f"  Replicas that it leads to: {ONE} on dtr1, {THREE} on dtr3, by the newest 24 connections from here."
    ]


# -- asking ------------------------------------------------------------------------------------------------------------


class Client:
    """In place of `DtrClient`: answers by turns, by the way it is asked."""

    answers: dict[bool, Iterator[Any]] = {}
    made: list[Path | None] = []

    def __init__(self, url: str, pem: str, *, username: str, password: Secret, via: Path | None, external: str) -> None:
        assert (url, pem, external) == (URL, "CA of dtr1", "dtr.example.org")
        self.via = via
        Client.made.append(via)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    async def settings(self) -> dict[str, Any]:
        told = next(Client.answers[self.via is not None])
        if isinstance(told, Exception):
            raise told
        if told is None:
            await asyncio.Event().wait()
        return {"replicaID": told}


class Host:
    def __init__(self) -> None:
        self.forwarded: list[tuple[str, int]] = []

    async def forward_port(self, host: str, port: int) -> Path:
        self.forwarded.append((host, port))
        return Path("/tmp/via")


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    async def login() -> Login:
        return Login("admin", Secret("planted-4711"))

    async def authority(*_: Any) -> str:
        return "CA of dtr1"

    Client.answers, Client.made = {}, []
    monkeypatch.setattr(asking_module, "DtrClient", Client)
    monkeypatch.setattr(asking_module, "read_authority", authority)
    asking, host = Asking(login, lambda: "", tmp_path), Host()

    async def opened() -> Any:
        return host

    async def run(count: int, *, inside: bool = True, seconds: float = 5.0) -> list[Turn]:
        there = Balancer(URL, opened if inside else None)
        return await asking.behind(
            "c", [At("dtr1", "https://d1", 443, opened)], there, "dtr.example.org", count, seconds
        )

    run.host = host  # type: ignore[attr-defined]
    return run


def away() -> DtrError:
    return DtrAwayError(Trouble.AWAY, "It cannot be reached.", "")


async def test_each_turn_is_one_call_and_what_is_no_id_tells_nothing(ask: Any) -> None:
    answers = [ONE, TWO, "no id\n", 7, DtrError(Trouble.FAILED, "500", ""), away(), THREE]
    Client.answers = {False: iter(answers)}
    assert await ask(7) == [
        Turn(ONE), Turn(TWO), Turn(), Turn(), Turn(), Turn(trouble="It cannot be reached."), Turn(THREE),
    ]  # fmt: skip
    assert Client.made == [None], "with a client each time, one that tries two names would take two turns"


async def test_where_it_is_not_reached_from_here_a_host_of_the_cluster_leads_there(ask: Any) -> None:
    Client.answers = {False: iter(lambda: away(), None), True: cycle((ONE, TWO))}
    assert await ask(4) == turns(ONE, TWO, count=4)
    assert await ask(4) == turns(ONE, TWO, count=4)
    assert ask.host.forwarded == [("dtr.example.org", 443)]
    assert Client.made == [None, Path("/tmp/via"), Path("/tmp/via")], "the way that led there is taken first"
    assert len(await ask(4, inside=False)) == asking_module.IN_VAIN


async def test_a_password_that_is_refused_is_tried_once_and_one_that_never_answers_is_given_up(
    ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking_module, "TURN_SECONDS", 0.05)
    Client.answers = {False: cycle((ONE, None)), True: cycle((None,))}
    began = asyncio.get_running_loop().time()
    assert [bool(turn.trouble) for turn in await ask(4)] == [False, True, False, True]
    Client.answers[False] = cycle((None,))
    assert all(turn.trouble for turn in await ask(24, seconds=0.4))
    assert asyncio.get_running_loop().time() - began < 3.0
    refused = DtrError(Trouble.LOGIN, "DTR refused the login of admin.", "")
    Client.answers[False] = iter([refused])
    with pytest.raises(DtrError, match="refused the login"):
        await ask(4)
    with pytest.raises(DtrError, match="not tried again by itself"):
        await ask(4)
