"""A load balancer that takes strict turns, over real TLS, before replicas whose certificate is for another name only.

A client that tries two names makes two connections, and would be led to every other replica only.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace

from swarmtui.link.dtr.asking import Asking, At, Balancer, Login
from swarmtui.model.dtr.behind import Turn
from swarmtui.runbooks.dtr import leaving, waits
from swarmtui.runbooks.dtr.found import DtrAccess
from swarmtui.runbooks.dtr.leaving import ForgetBalancer
from swarmtui.runbooks.dtr.waits import WaitBalancer
from swarmtui.runbooks.runbook import StepError, Voice
from swarmtui.vault import Secret
from tests.dtr.test_install_plans import ONE, TWO, work
from tests.dtr.test_join_plans import member
from tests.ucp.tls import Asked, Authority, answer, serving

NAME = "dtr.example.com"
SECRET = Secret("planted-4711")


@contextlib.asynccontextmanager
async def in_turns(*targets: str) -> AsyncIterator[str]:
    """Passes each new connection on to the next of them; gives its URL."""
    turn = 0

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal turn
        to = urlsplit(targets[turn % len(targets)])
        turn += 1
        with contextlib.suppress(OSError):
            inner, outer = await asyncio.open_connection(to.hostname, to.port)
            await asyncio.gather(_pass(reader, outer), _pass(inner, writer))
        writer.close()

    async with await asyncio.start_server(client, "127.0.0.1", 0) as server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


def replica(identity: str, *, healthy: bool = True) -> Any:
    async def speaks(asked: Asked, writer: asyncio.StreamWriter) -> None:
        told = {"replicaID": identity} if asked.path.startswith("/api/") else {"Error": "", "Healthy": healthy}
        writer.write(answer(200 if healthy else 503, json.dumps(told).encode()))

    return speaks


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("DTR CA")


@pytest.fixture
async def balancer(authority: Authority, tmp_path: Path) -> AsyncIterator[str]:
    certificate = authority.server(tmp_path, NAME)
    async with (
        serving(replica(ONE), certificate) as one,
        serving(replica(TWO), certificate) as two,
        in_turns(one, two) as url,
    ):
        yield url


def known(url: str, authority: Authority) -> DtrAccess:
    found = DtrAccess(cluster="prod", cluster_id="c", version="2.4.1", replicas=(member(ONE, 1), member(TWO, 2)))
    return replace(found, balancer=url, ca=authority.pem, name=NAME, username="admin")


def voice(said: list[str]) -> Voice:
    return Voice(said.append, lambda *_: None)


async def test_who_is_behind_it_is_seen(balancer: str, authority: Authority, tmp_path: Path) -> None:
    async def login() -> Login:
        return Login("admin", SECRET)

    file = tmp_path / "ca.pem"
    file.write_text(authority.pem)
    asking = Asking(login, lambda: str(file), tmp_path)
    turns = await asking.behind("c", [At("dtr1", "https://d1")], Balancer(balancer), NAME, 8, 10.0)
    assert turns == [Turn(TWO), Turn(ONE)] * 4, "the first try's first name took the first turn"


@pytest.mark.parametrize("wanted", [ONE, TWO])
async def test_a_new_replica_is_found_behind_it(
    balancer: str, authority: Authority, monkeypatch: pytest.MonkeyPatch, wanted: str
) -> None:
    async def access(*_: Any, **__: Any) -> DtrAccess:
        return known(balancer, authority)

    async def password(*_: Any) -> Secret:
        return SECRET

    monkeypatch.setattr(waits, "access", access)
    monkeypatch.setattr(waits, "password_of", password)
    step = WaitBalancer(
        id="balancer", title="See", why="", at=work().at, url=balancer, replica_id=wanted, name="d", address="10.0.0.2"
    )
    await step.run(None, {}, voice([]))  # type: ignore[arg-type]


@pytest.mark.parametrize("sick_first", [True, False])
async def test_one_that_is_gone_is_not_overlooked(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sick_first: bool
) -> None:
    certificate = authority.server(tmp_path, NAME)
    async with (
        serving(replica(ONE), certificate) as one,
        serving(replica(TWO, healthy=False), certificate) as two,
        in_turns(*((two, one) if sick_first else (one, two))) as url,
    ):

        async def access(*_: Any, **__: Any) -> DtrAccess:
            return known(url, authority)

        monkeypatch.setattr(leaving, "access", access)
        step = ForgetBalancer(id="balancer", title="See", why="", at=work().at, url=url, gone=(member(TWO, 2),), left=1)
        with pytest.raises(StepError, match="did not lead to a healthy replica"):
            await step.run(None, {}, voice([]))  # type: ignore[arg-type]
