"""swarm.renew-certificates: its plan, and the same by hand. On real engines: tests/actions/test_disasters.py."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from cryptography import x509

from swarmtui.backups.raft.certificates import NODE
from swarmtui.cli import secrets
from swarmtui.demo.serve import Demo
from swarmtui.errors import UsageError
from swarmtui.runbooks import registry
from swarmtui.runbooks.runbook import Danger, Plan
from swarmtui.runbooks.swarm.recovery.certificates import Expired, RenewFacts
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.vault import Secret
from tests.actions.cli import Cli
from tests.backups.generations import generations
from tests.backups.tars import tar_of
from tests.runbooks.locked import durable_vault
from tests.runbooks.test_key_file import CLUSTER, Piped

NAMES = ("mgr1", "mgr2", "mgr3")
LOCKED = next(each for each in generations().values() if each.key)


def expired(name: str, *, locked: bool = False, index: int = 5) -> Expired:
    at = Where(name, f"ssh://root@{name}", f"root@{name}")
    return Expired(id=f"id-{name}", name=name, at=at, remote=f"{name}:2377", ca="c" * 64, locked=locked, index=index)


def plan_of(*found: Expired, voters: int = 3) -> Plan:
    known = RenewFacts(
        cluster="prod",
        cluster_id=CLUSTER,
        job="20261121T000000Z-00000000",
        situation="The quorum is lost.",
        expired=found,
        voters=voters,
        until="until 2027-02-20",
    )
    return registry.runbook("swarm.renew-certificates").plan({"wait": 60}, msgspec.to_builtins(known))


def kinds(plan: Plan) -> list[str]:
    return [step.id.partition("-id-")[0] for step in plan.steps]


def test_all_are_signed_before_any_is_started_and_nothing_is_forced() -> None:
    plan = plan_of(*map(expired, NAMES))
    assert kinds(plan) == ["sign"] * 3 + ["start"] * 3 + ["leader", "compare", "one-leader"] + ["clear"] * 3
    assert plan.danger is Danger.DISRUPTIVE and plan.rules == () and plan.warnings == ()
    assert plan.exclusive_hosts == tuple(f"ssh://root@{name}" for name in NAMES)
    lines = [shown.as_sh for step in plan.steps for shown in step.shown]
    assert not any("force" in line or "date -s" in line for line in lines)
    assert any(f"swarmtui secrets renew-certificate {CLUSTER}" in line for line in lines)
    assert all(step.undo for step in plan.steps[:3])


def test_locked_ones_are_unlocked_and_the_most_advanced_one_is_asked() -> None:
    plan = plan_of(expired("mgr1", locked=True), expired("mgr2", locked=True, index=9))
    assert kinds(plan) == ["sign", "sign", "start", "start", "unlock", "unlock", "unlocked", *kinds(plan)[7:]]
    assert next(step for step in plan.steps if step.id == "leader").title == "Wait until mgr2 sees a leader"


def test_too_few_are_told_and_none_is_nothing_to_do() -> None:
    assert "too few for a quorum" in plan_of(expired("mgr1")).warnings[0]
    nothing = plan_of()
    assert nothing.steps == () and nothing.nothing.startswith("Nothing to do: no manager that can be reached")


async def test_where_none_has_expired_nothing_is_done(tmp_path: Path) -> None:
    async with Demo("calm", speed=20, seed=1) as demo:
        cli = Cli({"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}, "simulated")
        words = ("run", "swarm.renew-certificates", "--yes", "--config", str(demo.config), "--target", "simulated")
        done = await asyncio.to_thread(cli, *words)
        assert done.code == 0 and "Nothing to do: no manager that can be reached" in done.out, done


# -- by hand: what the plan's commands say ---------------------------------------------------------------------------


async def by_hand(monkeypatch: pytest.MonkeyPatch, given: Piped, key: str = "") -> bytes:
    vault, out = durable_vault(), Piped()
    if key:
        await vault.store_unlock_key(CLUSTER, Secret(key), "previous", 1.0)
    monkeypatch.setattr(secrets, "shared", lambda: vault)
    monkeypatch.setattr(sys, "stdin", given)
    monkeypatch.setattr(sys, "stdout", out)
    try:
        code = await secrets._renew(SimpleNamespace(about=CLUSTER), SimpleNamespace(clusters={}))  # type: ignore[arg-type]
        assert code == 0
        return out.getvalue()
    finally:
        monkeypatch.undo()


def piped(files: Mapping[str, bytes]) -> Piped:
    return Piped(tar_of(files, "swarm/"))


async def test_by_hand_a_tar_becomes_a_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    (old,) = x509.load_pem_x509_certificates(LOCKED.files[NODE])
    (new,) = x509.load_pem_x509_certificates(await by_hand(monkeypatch, piped(LOCKED.files), LOCKED.key))
    assert (new.subject, new.public_key()) == (old.subject, old.public_key())
    assert new.not_valid_after_utc > old.not_valid_after_utc


async def test_by_hand_it_is_read_from_a_pipe_and_must_hold_a_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="standard input"):
        await by_hand(monkeypatch, Piped(terminal=True))
    without = {name: data for name, data in LOCKED.files.items() if name != NODE}
    with pytest.raises(UsageError, match="no certificate in it"):
        await by_hand(monkeypatch, piped(without), LOCKED.key)
