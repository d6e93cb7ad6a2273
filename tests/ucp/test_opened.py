"""Which manager of a simulated UCP is asked, by whose authority, and what is said where none will do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from swarmtui import config
from swarmtui.config import state_dir
from swarmtui.demo.serve import Demo
from swarmtui.errors import RefusedError
from swarmtui.link import trust
from swarmtui.link.person import Nobody
from swarmtui.link.ucp.errors import Trouble, UcpError
from swarmtui.opening import find
from swarmtui.runbooks.ucp.access import Access, access, opened, pings
from swarmtui.runbooks.ucp.logins import password_of
from swarmtui.session import Session
from swarmtui.vault import Kind, Secret, Vault
from tests.ucp.tls import Authority

SECONDS = 60.0


class Typist(Nobody):
    """Somebody who can be asked for passwords."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def secret(self, what: str) -> str | None:
        self.asked.append(what)
        return self.answers.pop(0) if self.answers else None


@contextlib.asynccontextmanager
async def looking(demo: Demo, folder: Path) -> AsyncIterator[Session]:
    opening = find("cluster:simulated", config.load(demo.config), bundles=folder)
    async with Session(opening, Nobody(), Vault.in_memory()).opened() as session:
        await session.until_live(SECONDS)
        await session.refresh()
        yield session


def _ill(demo: Demo, *managers: str) -> None:
    assert demo.world.ucp is not None
    demo.world.ucp.sick = dict.fromkeys(managers, "RethinkDB Health check timed out")


async def test_a_healthy_manager_is_found_by_an_authority_that_its_own_host_told(tmp_path: Path) -> None:
    async with Demo("platform", speed=20, seed=1) as demo, looking(demo, tmp_path) as session:
        known = await access(session)
        assert (known.version, known.ca_from) == ("2.2.5", "mgr1") and known.instance == known.cluster_id
        assert trust.recall(state_dir() / "ucp", known.cluster_id) == known.ca
        assert (await access(session)).ca_from == "remembered"

        _ill(demo, "mgr1")
        assert {name: ping.status for name, ping in (await pings(known)).items()} == {
            "mgr1": 500,
            "mgr2": 200,
            "mgr3": 200,
        }
        async with await opened(session, known) as client:
            assert client.url == known.door("mgr2").url
        async with await opened(session, known, node="mgr1") as client:
            assert client.url == known.door("mgr1").url, "it was asked for by name"

        await _an_older_authority_is_replaced(session, known)
        await _nobody_is_well(demo, session, known)
        await _passwords(session, known)


async def _an_older_authority_is_replaced(session: Session, known: Access) -> None:
    trust.remember(state_dir() / "ucp", known.cluster_id, Authority().pem)
    stale = await access(session)
    assert stale.ca != known.ca
    async with await opened(session, stale) as client:
        assert (await client.ping()).ok
    assert trust.recall(state_dir() / "ucp", known.cluster_id) == known.ca


async def _nobody_is_well(demo: Demo, session: Session, known: Access) -> None:
    _ill(demo, "mgr1", "mgr2", "mgr3")
    with pytest.raises(UcpError) as caught:
        await opened(session, known)
    assert caught.value.trouble is Trouble.FAILED
    assert "mgr1: its /_ping says 500; mgr2: its /_ping says 500; mgr3: its /_ping says 500" in caught.value.what
    _ill(demo)


async def _passwords(session: Session, known: Access) -> None:
    person = Typist("typed", "of-bob")
    session.person = person
    assert (await password_of(session, known, "admin")).reveal() == "typed"
    assert (await password_of(session, known, "admin")).reveal() == "typed"
    assert (await password_of(session, known, "bob")).reveal() == "of-bob"
    assert person.asked == ["Password of admin on the UCP of simulated", "Password of bob on the UCP of simulated"]
    await session.vault.put(Kind.UCP_PASSWORD, "simulated", Secret("kept by name"))
    assert (await password_of(session, known, "admin")).reveal() == "kept by name"
    await session.vault.put(Kind.UCP_PASSWORD, known.cluster_id, Secret("kept by id"))
    assert (await password_of(session, known, "admin")).reveal() == "kept by id"


async def test_where_no_ucp_runs_that_is_said(tmp_path: Path) -> None:
    async with Demo("calm", speed=20, seed=1) as demo, looking(demo, tmp_path) as session:
        with pytest.raises(RefusedError, match="No UCP runs on simulated"):
            await asyncio.wait_for(access(session), SECONDS)
