"""What is concluded from what answers behind a load balancer, and that one connection is made each time (T3, T4)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, repeat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from swarmtui.link.dtr.client import DtrClient
from swarmtui.link.dtr.errors import DtrError, Trouble
from swarmtui.link.https import Ping
from swarmtui.link.reasons import LinkError, Reason
from swarmtui.runbooks.dtr import leaving, waits
from swarmtui.runbooks.dtr.found import DtrAccess
from swarmtui.runbooks.dtr.leaving import ForgetBalancer
from swarmtui.runbooks.dtr.waits import TRIES, WaitBalancer
from swarmtui.runbooks.runbook import StepError, Voice
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.vault import Secret
from tests.dtr.test_install_plans import ONE, TWO, URL, work
from tests.dtr.test_join_plans import member

KNOWN = DtrAccess(cluster="prod", cluster_id="c", version="2.4.1", replicas=(member(ONE, 1), member(TWO, 2)))
STEP = WaitBalancer(
    id="balancer", title="See", why="", at=work().at, url=URL, replica_id=TWO, name="dtr2", address="fd00::2",
    https=8443,
)  # fmt: skip


class Behind:
    """A load balancer: what its answers are, one a connection."""

    def __init__(self, answers: Iterator[str | DtrError], ping: Ping) -> None:
        self.answers, self.pinged = answers, ping
        self.connections = 0

    async def settings(self, client: DtrClient) -> dict[str, Any]:
        self.connections += 1
        answer = next(self.answers)
        if isinstance(answer, DtrError):
            raise answer
        return {"replicaID": answer}

    async def ping(self, client: DtrClient, timeout: float = 0.0) -> Ping:
        self.connections += 1
        return self.pinged


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Any:
    async def run(answers: Iterator[Any], ping: Ping | None = None) -> tuple[Behind, list[str]]:
        behind = Behind(answers, ping or Ping(ok=True, status=200, text=""))

        async def known(*_: Any, **__: Any) -> DtrAccess:
            return KNOWN

        async def password(*_: Any) -> Secret:
            return Secret("planted-4711")

        monkeypatch.setattr(waits, "access", known)
        monkeypatch.setattr(waits, "password_of", password)
        monkeypatch.setattr(DtrClient, "settings", lambda self: behind.settings(self))
        monkeypatch.setattr(DtrClient, "ping", lambda self: behind.ping(self))
        said: list[str] = []
        await STEP.run(None, {}, Voice(said.append, lambda *_: None))  # type: ignore[arg-type]
        return behind, said

    return run


async def test_it_is_there_as_soon_as_it_answers_once(look: Any) -> None:
    behind, said = await look(cycle((ONE, TWO)))
    assert behind.connections == 2, "with two a turn, strict turns would show only one of them"
    assert any("Add [fd00::2]:8443 (dtr2) to the load balancer of https://dtr.example.com" in line for line in said)


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        (repeat(ONE), f"led {2 * TRIES} times to {ONE} on dtr1, and never to {TWO} on dtr2"),
        (repeat(""), "does not tell which replica it was"),
        (repeat("no id\n"), "does not tell which replica it was"),
        (repeat(DtrError(Trouble.FAILED, "It failed.", "")), "does not tell which replica it was"),
    ],
)
async def test_what_cannot_be_seen_is_said(look: Any, answers: Iterator[Any], why: str) -> None:
    with pytest.raises(StepError) as raised:
        await look(answers)
    assert why in raised.value.what and "Add [fd00::2]:8443" in raised.value.next_step


async def test_one_that_leads_nowhere_well(look: Any) -> None:
    sick = Ping(ok=False, status=503, text="registry is away")
    with pytest.raises(StepError, match="does not lead to a healthy replica: registry is away"):
        await look(repeat(DtrError(Trouble.FAILED, "It failed.", "")), sick)


@pytest.mark.parametrize("inside", [True, False], ids=["by-a-host", "by-nobody"])
async def test_one_that_is_not_reached_from_here_is_asked_by_a_host_of_the_cluster(
    inside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path | None] = []

    class Client:
        def __init__(self, via: Path | None) -> None:
            self.via = via

        async def __aenter__(self) -> Client:
            return self

        async def __aexit__(self, *_: object) -> None: ...

        async def ping(self) -> Ping:
            asked.append(self.via)
            away = Ping(ok=False, status=0, text="nobody answers", trouble=Trouble.AWAY)
            return away if self.via is None else Ping(ok=True, status=200, text="")

    async def known(*_: Any, **__: Any) -> DtrAccess:
        return replace(KNOWN, balancer=URL)

    async def reach(*_: Any) -> Any:
        if not inside:
            raise LinkError(Reason.UNREACHABLE, "m1", what="nobody answers.")
        return SimpleNamespace(forward_port=forward_port)

    async def forward_port(host: str, port: int) -> Path:
        assert (host, port) == ("dtr.example.com", 443)
        return Path("/there")

    monkeypatch.setattr(leaving, "access", known)
    monkeypatch.setattr(Where, "reach", reach)
    monkeypatch.setattr(DtrAccess, "client", lambda self, via=None: Client(via))
    gone = (member(TWO, 2),)
    step = ForgetBalancer(id="balancer", title="See", why="", at=work().at, url=URL, gone=gone, left=1)
    session: Any = None
    if inside:
        await step.run(session, {}, Voice(lambda line: None, lambda *_: None))
        assert asked == [None] + [Path("/there")] * step.tries
    else:
        with pytest.raises(StepError, match="did not lead to a healthy replica at try 1: nobody answers"):
            await step.run(session, {}, Voice(lambda line: None, lambda *_: None))
