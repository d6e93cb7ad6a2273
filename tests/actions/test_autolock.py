"""Locks, tokens and the root CA on real engines of both versions; read back with the docker CLI."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from swarmtui.config import load
from swarmtui.link.person import Nobody
from swarmtui.opening import find
from swarmtui.runbooks import params, registry
from swarmtui.runbooks.journal import Journal, new_run_id
from swarmtui.runbooks.runbook import Plan
from swarmtui.runbooks.runner import Event, Runner
from swarmtui.session import Session
from swarmtui.vault import Vault
from tests.actions.cli import PROGRAM, Cli
from tests.actions.truth import Truth
from tests.lab import Host, Lab
from tests.lab.machine import wait_for
from tests.runbooks.locked import MANAGERS, durable_vault


def _is_locked(host: Host) -> bool:
    return host.swarm_state() == "locked"


class Operator:
    """Somebody with a keyring, who opens the cluster through mgr1 alone; and what the runs said."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.vault: Vault = durable_vault()
        self.journal = Journal(folder / "journal")
        self.said: list[str] = []
        self._bundles = folder / "bundle"

    @contextlib.asynccontextmanager
    async def session(self, *, live: bool = True) -> AsyncIterator[Session]:
        opening = find(self.lab["mgr1"].target, load(), bundles=self._bundles)
        async with Session(opening, Nobody(), self.vault).opened() as session:
            if live:
                await session.until_live(60)
            yield session

    async def do(self, session: Session, name: str, **given: str) -> Plan:
        runbook = registry.runbook(name)
        plan = await runbook.prepare(session, params.parse(name, runbook.params, given))
        assert not plan.nothing, plan.nothing
        self.said.clear()

        def observe(event: Event) -> None:
            if event.kind in ("said", "progress"):
                self.said.append(event.text)

        begun = time.monotonic()
        with self.journal.writer(new_run_id(name)) as writer:
            outcome = await Runner(session, plan, writer, observe=observe).run()
        assert outcome.ok, (outcome.error, self.said)
        print(f"{name} {given}: {time.monotonic() - begun:.1f} s; {self.said}")
        return plan

    async def keys(self, session: Session) -> list[tuple[str, str]]:
        found = await self.vault.unlock_keys(session.snapshot.cluster_id)
        return [(key.state, key.secret.reveal()) for key in found]

    async def locked(self, *names: str) -> None:
        """Waits until these managers are locked."""
        for name in names:
            host = self.lab[name]
            await asyncio.to_thread(wait_for, f"{name} is locked", partial(_is_locked, host), 60)

    async def each(self, what: str, *names: str) -> None:
        """Has all these hosts do something at once."""
        await asyncio.gather(*(asyncio.to_thread(getattr(self.lab[name], what)) for name in names))


@pytest.fixture
def operator(swarm: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Operator:
    monkeypatch.setenv("HOME", str(swarm.home))
    return Operator(swarm, tmp_path)


async def test_managers_are_locked_restarted_and_unlocked_from_the_vault(
    swarm: Lab, operator: Operator, truth: Truth, cli: Cli
) -> None:
    def key() -> str:
        return truth.docker("swarm", "unlock-key", "-q")

    async with operator.session() as session:
        await operator.do(session, "swarm.autolock", enable="true")
        first = key()
        assert await operator.keys(session) == [("current", first)]

        # Every manager in turn.
        for name in MANAGERS:
            await operator.each("restart_docker", name)
            await operator.locked(name)
            await operator.do(session, "swarm.unlock", node=name)
            truth.by = "mgr2" if name == "mgr1" else "mgr1"
            assert truth.reachability(name) == "reachable"

        # One is down during a rotation: it needs the key from before.
        truth.by = "mgr1"
        await operator.each("stop_docker", "mgr3")
        await asyncio.to_thread(wait_for, "mgr3 is missed", lambda: truth.reachability("mgr3") == "unreachable", 60)
        # After an election every node is unknown for some seconds (swarm-dr.md §2).
        there = lambda: {truth.node(name)["Status"]["State"] for name in ("mgr1", "mgr2")} == {"ready"}  # noqa: E731
        await asyncio.to_thread(wait_for, "mgr1 and mgr2 are heard", there, 60)
        plan = await operator.do(session, "swarm.rotate-key")
        assert [warning.split()[0] for warning in plan.warnings] == ["mgr3"]
        second = key()
        assert second != first
        assert await operator.keys(session) == [("current", second), ("previous", first)]
        await operator.each("start_docker", "mgr3")
        await operator.locked("mgr3")
        await operator.do(session, "swarm.unlock", node="mgr3")
        assert operator.said[0].startswith("mgr3 refuses the current key")
        assert operator.said[1].startswith("mgr3 took the previous key")
        assert truth.reachability("mgr3") == "reachable"

    # All at once: nobody is there to ask, and only mgr1 is named; it leads to the others.
    await operator.each("restart_docker", *MANAGERS)
    await operator.locked(*MANAGERS)
    async with operator.session(live=False) as session:
        plan = await operator.do(session, "swarm.unlock")
        assert len(plan.steps) == 4, [step.title for step in plan.steps]
        await session.until_live(60)
    assert [truth.reachability(name) for name in MANAGERS] == ["reachable"] * 3

    # Without a keyring, a key on standard input; never an argument.
    await operator.each("restart_docker", "mgr2")
    await operator.locked("mgr2")
    command = [*PROGRAM, "run", "swarm.unlock", "--target", cli.target, "--yes"]
    done = await asyncio.to_thread(
        subprocess.run, command, input=second.encode() + b"\n", capture_output=True, timeout=90, env=cli.environment
    )
    assert done.returncode == 0, done
    assert second.encode() not in done.stdout + done.stderr
    assert truth.reachability("mgr2") == "reachable"

    async with operator.session() as session:
        await operator.do(session, "swarm.autolock", enable="false")
        assert [state for state, _ in await operator.keys(session)] == ["previous", "previous"]
    assert "no unlock key is set" in swarm["mgr1"].docker("swarm", "unlock-key", check=False).stderr.lower()
    await operator.each("restart_docker", "mgr3")
    await asyncio.to_thread(wait_for, "mgr3 is back alone", lambda: truth.reachability("mgr3") == "reachable", 60)
    written = "".join(operator.journal.path(run_id).read_text() for run_id in operator.journal.ids())
    assert "SWMKEY" not in written


async def test_tokens_and_the_root_ca_are_rotated(operator: Operator, truth: Truth, cli: Cli) -> None:
    def tokens() -> list[str]:
        return [truth.docker("swarm", "join-token", "-q", role) for role in ("worker", "manager")]

    def roots() -> set[str]:
        return {node["Description"]["TLSInfo"]["TrustRoot"].strip() for node in truth.nodes().values()}

    before, root = tokens(), truth.docker("swarm", "ca")
    async with operator.session() as session:
        await operator.do(session, "swarm.rotate-tokens", role="worker")
        worker, manager = tokens()
        assert (worker != before[0], manager == before[1]) == (True, True)
        await operator.do(session, "swarm.rotate-tokens", role="both")
        assert all(new != old for new, old in zip(tokens(), (worker, manager), strict=True))

        await operator.do(session, "swarm.rotate-ca")
        new = truth.docker("swarm", "ca")
        assert new != root
        assert roots() == {new}
        assert {node["Status"]["State"] for node in truth.nodes().values()} == {"ready"}
        assert tokens()[0].split("-")[2] != worker.split("-")[2], "the tokens name the new CA"
    written = "".join(operator.journal.path(run_id).read_text() for run_id in operator.journal.ids())
    assert "SWMTKN" not in written

    # The same from the printed scripts, without us.
    before = tokens()
    for name, *given in (("swarm.rotate-tokens", "role=both"), ("swarm.rotate-ca", "wait=60")):
        done = await asyncio.to_thread(cli.sh, await asyncio.to_thread(cli.script, name, *given))
        assert done.code == 0, done
        assert "SWMTKN" not in done.out + done.err
        assert all(new != old for new, old in zip(tokens(), before, strict=True))
        before = tokens()
    assert roots() == {truth.docker("swarm", "ca")} != {new}
