"""Autolock, rotation and unlocking on the simulator: whose key is where, and at which moment."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swarmtui import session as sessions
from swarmtui.cli.ask import Piped
from swarmtui.cli.main import main as command_line
from swarmtui.demo.world.membership import unlock
from swarmtui.errors import RefusedError, UsageError
from swarmtui.runbooks.runner import Event
from swarmtui.runbooks.swarm import cluster_steps, unlock_steps
from swarmtui.runbooks.swarm.unlock_steps import after_restart
from swarmtui.vault import Kind, Secret, UnlockKey, Vault, VaultError, fingerprint
from swarmtui.vault.keeper import Keeper
from swarmtui.vault.store import StoreError
from tests.runbooks.locked import MANAGERS, Durable, Locked, Typist, durable_vault, locked_swarm


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    # The simulator's ids and keys are the same each time: no test may find another's in the program's own vault.
    monkeypatch.setattr(sessions, "shared", Vault.in_memory)
    monkeypatch.setattr(cluster_steps, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(unlock_steps, "POLL_SECONDS", 0.1)


@pytest.fixture
async def on(tmp_path: Path) -> AsyncIterator[Locked]:
    async with locked_swarm(tmp_path) as locked:
        yield locked


async def states(on: Locked) -> list[tuple[str, str]]:
    """(state, key) of what the vault has, the newest first."""
    return [(key.state, key.secret.reveal()) for key in await on.vault.unlock_keys(on.cluster.id)]


async def test_the_key_is_kept_before_autolock_counts_as_on_and_is_never_written_down(on: Locked) -> None:
    async with on.session() as session:
        plan = await on.do(session, "swarm.autolock", enable="true")
        assert on.cluster.spec["EncryptionConfig"] == {"AutoLockManagers": True}
        assert await states(on) == [("current", on.key)]
        assert plan.rules == ()
        again = await on.plan(session, "swarm.autolock", enable="true")
        assert (
            again.nothing
            == f"Autolock is on, and its key {fingerprint(Secret(on.key))} is kept in a keyring of a test."
        )
        first = on.key
        rotated = await on.do(session, "swarm.rotate-key")
        assert on.key != first
        assert await states(on) == [("current", on.key), ("previous", first)]
        assert any("key that encrypts the raft data on disk stays the same" in note for note in rotated.notes)
        second = on.key
        await on.do(session, "swarm.autolock", enable="false")
        assert on.key == ""
        assert await states(on) == [("previous", second), ("previous", first)]
        assert (await on.plan(session, "swarm.autolock", enable="false")).nothing == "Nothing to do: autolock is off."
        with pytest.raises(RefusedError, match="no unlock key to rotate"):
            await on.plan(session, "swarm.rotate-key")
    for key in (first, second):
        assert fingerprint(Secret(key)) in on.written
        assert key not in on.written
    assert "SWMKEY" not in on.written


async def test_what_else_is_in_the_spec_stays(on: Locked) -> None:
    on.cluster.spec["Labels"] = {"owner": "ops"}
    on.cluster.spec["TaskHistoryRetentionLimit"] = 3
    async with on.session() as session:
        await on.do(session, "swarm.autolock", enable="true")
    assert on.cluster.spec["Labels"] == {"owner": "ops"}
    assert on.cluster.spec["TaskHistoryRetentionLimit"] == 3


async def test_out_of_sequence_is_tried_again_and_nobodys_change_is_lost(
    on: Locked, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with on.session() as session:
        post = session.post

        async def meddled(path: str, *arguments: Any) -> bytes:
            # Another operator is a little faster, once.
            monkeypatch.setattr(session, "post", post)
            control = on.demo.world.control(on.cluster)
            control.update_cluster(on.cluster.version, {**on.cluster.spec, "Labels": {"by": "another"}}, {})
            return await post(path, *arguments)

        monkeypatch.setattr(session, "post", meddled)
        await on.do(session, "swarm.autolock", enable="true")
    assert on.cluster.spec["Labels"] == {"by": "another"}
    assert on.cluster.spec["EncryptionConfig"] == {"AutoLockManagers": True}


async def test_the_command_line_refuses_a_key_without_custody(on: Locked, capsys: pytest.CaptureFixture[str]) -> None:
    async def command(*words: str) -> int:
        line = ["run", *words, "--target", "simulated", "--yes", "--config", str(on.demo.config)]
        return await asyncio.to_thread(command_line, line)

    assert await command("swarm.autolock", "enable=true") == 4
    assert "--accept key-without-custody=simulated" in capsys.readouterr().err
    assert on.key == ""
    accepted = ("--accept", "key-without-custody=simulated")
    assert await command("swarm.autolock", "enable=true", *accepted) == 0
    assert on.key
    told = capsys.readouterr()
    assert fingerprint(Secret(on.key)) in told.out
    assert on.key not in told.out + told.err


async def test_a_vault_that_cannot_be_read_does_not_keep_a_person_from_typing_the_key(
    on: Locked, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with on.session() as session:
        await on.do(session, "swarm.autolock", enable="true")
    on.restart("mgr2")

    async def unreadable(*_: str) -> tuple[UnlockKey, ...]:
        raise VaultError("The keyring is locked.", "Unlock it.")

    async with on.session(Typist(on.key)) as session:
        monkeypatch.setattr(on.vault, "unlock_keys", unreadable)
        plan = await on.do(session, "swarm.unlock")
        assert plan.warnings == ("The vault's keys cannot be read: The keyring is locked. Unlock it.",)
    assert on.locked() == []


async def test_a_key_that_somebody_else_made_is_taken_into_the_vault_first(on: Locked) -> None:
    async with on.session() as session:
        await on.do(session, "swarm.autolock", enable="true")
        known = on.key
        on.vault = Vault.in_memory()
    async with on.session() as session:
        plan = await on.plan(session, "swarm.rotate-key")
        assert [step.id for step in plan.steps] == ["keep-key", "rotate-key"]
        assert [str(rule) for rule in plan.rules] == ["key-without-custody=simulated"]
        assert (await on.run(session, plan)).ok
        assert await states(on) == [("current", on.key), ("previous", known)]


async def test_a_key_that_somebody_else_made_after_the_plan_is_kept_before_it_goes(on: Locked) -> None:
    async with on.session() as session:
        await on.do(session, "swarm.autolock", enable="true")
        known = on.key
        plan = await on.plan(session, "swarm.rotate-key")
        assert [step.id for step in plan.steps] == ["rotate-key"]
        now = await cluster_steps.read_swarm(session)
        parameters = {"version": str(now.version), "rotateManagerUnlockKey": "true"}
        await session.post("/swarm/update", parameters, dict(now.spec))
        between = on.key
        assert between != known
        assert (await on.run(session, plan)).ok
        assert on.key not in (known, between)
        # Within one second their order is not told.
        assert set(await states(on)) == {("current", on.key), ("previous", known), ("previous", between)}


class Failing(Durable):
    """A keyring that can be locked; `writes` alone fail where it is only full, or taken away in the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = self.writes = False

    def read(self, name: str) -> str | None:
        if self.reads:
            raise StoreError("it is locked")
        return super().read(name)

    def write(self, name: str, text: str) -> None:
        if self.writes:
            raise StoreError("it is locked")
        super().write(name, text)


@pytest.mark.parametrize("reads", [True, False])
async def test_a_keyring_that_fails_after_the_plan_is_no_custody(on: Locked, reads: bool) -> None:
    store = Failing()
    on.vault = Vault(Keeper(lambda: store))
    async with on.session() as session:
        plan = await on.plan(session, "swarm.autolock", enable="true")
        assert plan.rules == ()
        store.reads, store.writes = reads, True
        outcome = await on.run(session, plan)
        assert outcome.error is not None
        assert "this session's memory only (it is locked), and be lost with this program" in outcome.error.what
        # One that fails before anything is changed keeps the Swarm as it is.
        assert bool(on.key) is not reads
        store.reads = store.writes = False
        assert (await on.run(session, plan)).ok
        assert await states(on) == [("current", on.key)]
        assert on.vault.durable
        plan = await on.plan(session, "swarm.rotate-key")
        before = on.key
        store.reads, store.writes = reads, True
        assert not (await on.run(session, plan)).ok
        assert (on.key == before) is reads
        store.reads = store.writes = False
        assert (await on.run(session, plan)).ok
        assert ("current", on.key) in await states(on)
        assert ("previous", before) in await states(on)
    assert on.key not in on.written


async def test_without_a_durable_vault_it_is_a_safety_rule(on: Locked) -> None:
    on.vault = Vault.in_memory()
    async with on.session() as session:
        plan = await on.plan(session, "swarm.autolock", enable="true")
    assert [rule.id for rule in plan.rules] == ["key-without-custody"]


async def test_every_manager_restarted_at_once_is_found_and_unlocked_from_the_vault(on: Locked) -> None:
    async with on.session() as session:
        await on.do(session, "swarm.autolock", enable="true")
    on.restart(*MANAGERS)
    assert on.locked() == list(MANAGERS)
    async with on.session() as session:
        assert not session.live, "nobody answers"
        plan = await on.do(session, "swarm.unlock")
        assert plan.warnings == ()
        assert [step.title for step in plan.steps] == [
            "Unlock mgr1",
            "Unlock mgr2",
            "Unlock mgr3",
            "Wait until mgr1, mgr2, mgr3 work again",
        ]
        assert on.locked() == []
        assert "SWMKEY" not in on.written
        done = await on.plan(session, "swarm.unlock")
        assert done.nothing == ("Nothing to do: no manager is locked (mgr1 is active, mgr2 is active, mgr3 is active).")


async def test_a_connection_that_is_cut_is_made_anew_although_no_manager_of_the_swarm_answers(on: Locked) -> None:
    async with on.session() as session:
        await on.do(session, "swarm.autolock", enable="true")
    on.restart(*MANAGERS)
    async with on.session() as session:

        def cut(event: Event) -> None:
            if event.step == "unlock-mgr2" and event.point in ("intent", "effect"):
                for server in on.demo._servers.values():
                    for connection in list(server.connections):
                        connection.abort()

        outcome = await on.run(session, await on.plan(session, "swarm.unlock"), watch=cut)
        assert outcome.ok, outcome
    assert on.locked() == []


async def test_one_that_missed_a_rotation_is_named_and_gets_the_key_from_before(on: Locked) -> None:
    world = on.demo.world
    async with on.session() as session:
        await on.do(session, "swarm.autolock", enable="true")
        old = fingerprint(Secret(on.key))
        world.stop_docker(world.hosts["mgr3"])
        await on.until(session, "swarm.rotate-key", away=["mgr3"])
        plan = await on.do(session, "swarm.rotate-key")
        assert plan.warnings == (
            f"mgr3 cannot be reached now: down, cut off or locked. To come back it needs the key {old} once, which "
            "stays in the vault.",
        )
        new = fingerprint(Secret(on.key))
        world.start_docker(world.hosts["mgr3"])
        assert on.locked() == ["mgr3"]
        plan = await on.do(session, "swarm.unlock", node="mgr3")
        assert plan.notes == (f"Tried in this order: the vault's keys {new}, {old}.",)
        assert on.said[:2] == [
            f"mgr3 refuses the current key {new}: it is not the key that this manager was locked with; next: the "
            f"previous key {old}.",
            f"mgr3 took the previous key {old}.",
        ]
        assert on.locked() == []


async def test_a_key_that_the_vault_lacks_is_asked_for_and_kept_once_it_has_worked(on: Locked) -> None:
    async with on.session() as session:
        await on.do(session, "swarm.autolock", enable="true")
    on.vault = Vault.in_memory()
    on.restart("mgr2")
    typist = Typist("nonsense", "SWMKEY-1-" + "A" * 43, on.key)
    async with on.session(typist) as session:
        await on.do(session, "swarm.unlock", node="mgr2")
        assert typist.asked == [
            "mgr2: the vault has no key for it",
            "mgr2: it is no unlock key (those begin with SWMKEY-1-)",
            "mgr2: it is not the key that this manager was locked with",
        ]
        assert await states(on) == [("current", on.key)]
    assert on.key not in on.written
    assert on.key not in "".join(on.said)


async def test_what_is_typed_while_somebody_else_unlocks_it_is_not_kept(on: Locked) -> None:
    class Beaten(Typist):
        async def unlock_key(self, about: str) -> str | None:
            await unlock(on.demo.world, on.demo.world.hosts["mgr2"], on.key)
            return await super().unlock_key(about)

    async with on.session() as session:
        await on.do(session, "swarm.autolock", enable="true")
    on.vault = durable_vault()
    on.restart("mgr2")
    typist = Beaten("SWMKEY-1-" + "A" * 43)
    async with on.session(typist) as session:
        await on.do(session, "swarm.unlock", node="mgr2")
    assert len(typist.asked) == 1
    assert await states(on) == []
    assert "mgr2 is not locked any more; what was typed is not kept, nobody tried it." in on.said


async def test_with_nobody_to_ask_it_says_what_to_do(on: Locked) -> None:
    async with on.session() as session:
        await on.do(session, "swarm.autolock", enable="true")
        on.vault = Vault.in_memory()
        await on.vault.put(Kind.UNLOCK_KEY, on.cluster.id, Secret("SWMKEY-1-" + "A" * 43))
        on.restart("mgr2")
    async with on.session() as session:
        outcome = await on.run(session, await on.plan(session, "swarm.unlock"))
        assert outcome.error is not None
        assert outcome.error.what.startswith("mgr2 stays locked: none of the vault's keys is right (")
        assert "docker swarm unlock-key" in outcome.error.next_step
        with pytest.raises(UsageError, match='"wrk1" is no manager'):
            await on.plan(session, "swarm.unlock", node="wrk1")


async def test_what_follows_every_restart_finds_out_by_itself_whether_there_is_a_lock(on: Locked) -> None:
    async with on.session() as session:

        async def restarted(*, takes_key: bool) -> None:
            on.restart("mgr3")
            node = next(node for node in session.snapshot.nodes.values() if node.name == "mgr3")
            steps = after_restart(
                "mgr3", str(session.host_label(node)), node_id=node.id, cluster_id=on.cluster.id, patience=5
            )
            outcome = await on.run(session, replace(plan, steps=steps))
            assert outcome.ok, outcome
            assert any("mgr3 took the current key" in line for line in on.said) == takes_key
            assert on.locked() == []

        plan = await on.plan(session, "swarm.autolock", enable="true")
        await restarted(takes_key=False)
        assert (await on.run(session, plan)).ok
        await restarted(takes_key=True)


async def test_the_session_tells_whether_the_vault_has_the_clusters_key(on: Locked) -> None:
    async with on.session() as session:

        async def state() -> tuple[str, str, bool]:
            await session.refresh()
            await session.compare_key()
            known = session.snapshot.unlock_key
            return (known.state, known.fingerprint, known.durable) if known is not None else ("", "", False)

        await on.do(session, "swarm.autolock", enable="true")
        assert await state() == ("held", fingerprint(Secret(on.key)), True)
        control = on.demo.world.control(on.cluster)
        control.update_cluster(on.cluster.version, dict(on.cluster.spec), {"rotateManagerUnlockKey": True})
        assert await state() == ("differs", "", True)
        await on.do(session, "swarm.autolock", enable="true")
        assert await state() == ("held", fingerprint(Secret(on.key)), True)
        await on.vault.remove(Kind.UNLOCK_KEY, on.cluster.id)
        assert await state() == ("missing", "", True)
        assert on.key not in repr(session.snapshot)


async def test_a_key_on_standard_input_is_one_line_and_what_follows_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"SWMKEY-1-first\nsecond\n")
    os.close(writer)
    with os.fdopen(reader) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert [await Piped().unlock_key("mgr1") for _ in range(3)] == ["SWMKEY-1-first", "second", None]


async def test_a_majority_that_is_gone_is_told_before_and_ends_the_wait(on: Locked) -> None:
    world = on.demo.world
    async with on.session() as session:
        await on.do(session, "swarm.autolock", enable="true")
    on.restart("mgr1")
    for name in ("mgr2", "mgr3"):
        world.crash(world.hosts[name])
    async with on.session() as session:
        plan = await on.plan(session, "swarm.unlock", node="mgr1", wait="2")
        assert any("too few for a majority" in warning for warning in plan.warnings), plan.warnings
        outcome = await on.run(session, plan)
        assert outcome.error is not None
        assert outcome.step == "unlocked"
        assert "Unlocked, but after 2 s not back in the Swarm: mgr1" in outcome.error.what
        assert "waits for ever" in outcome.error.next_step
    assert on.locked() == []
