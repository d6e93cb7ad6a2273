"""What is concluded from what answers behind a load balancer, and that one connection is made each time (T3, T4)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, repeat
from typing import Any

import pytest

from swarmtui.link.dtr.client import DtrClient
from swarmtui.link.dtr.errors import DtrError, Trouble
from swarmtui.link.https import Ping
from swarmtui.runbooks.dtr import waits
from swarmtui.runbooks.dtr.found import DtrAccess
from swarmtui.runbooks.dtr.waits import TRIES, WaitBalancer
from swarmtui.runbooks.runbook import StepError, Voice
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
