"""Accounts deleted on a healthy cluster: noticed, told, and led to a restore of UCP that leaves the Swarm alone."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from swarmtui import config
from swarmtui.backups.manifest import Manifest, UcpAccount, UcpManifest
from swarmtui.cli.ucp_words import ucp_lines, ucp_object, ucp_words
from swarmtui.demo.serve import Demo
from swarmtui.link.person import Nobody
from swarmtui.model.health import findings
from swarmtui.model.recovery import Advice, Diagnosis, Way, with_lost_accounts
from swarmtui.opening import Opening, find
from swarmtui.runbooks import registry
from swarmtui.runbooks.swarm.recovery.recover import happened
from swarmtui.runbooks.ucp.missing import Missing, look_for_missing
from swarmtui.session import Session
from swarmtui.vault import Kind, Secret, Vault
from tests.ucp import seen as s

NOTHING = Diagnosis("s", "t", Advice(Way.NOTHING, "Every manager works."), holds=True)


def test_the_way_out_is_ucp_alone_and_only_while_the_quorum_holds() -> None:
    found = with_lost_accounts(NOTHING, "20260101T000000Z-ucp", ["mia", "jon"], target="prod")
    assert found.best.way is Way.UCP and found.exit_code == 2 and "mia, jon" in found.best.because
    assert found.best.command == "swarmtui run ucp.restore backup=20260101T000000Z-ucp --target prod"
    assert "the Swarm and its services are left alone" in found.best.because
    assert found.best.runbook in registry.RUNBOOKS and [one.way for one in found.others] == [Way.NOTHING]
    assert with_lost_accounts(NOTHING, "b", []) is NOTHING
    start = Diagnosis("s", "t", Advice(Way.START, "Start it."), holds=True)
    after = with_lost_accounts(start, "b", ["mia"])
    assert after.best.way is Way.START and [one.way for one in after.then] == [Way.UCP]
    broken = Diagnosis("s", "t", Advice(Way.FORCE, "x"))
    assert with_lost_accounts(broken, "b", ["mia"]) is broken


def keep_backup(session: Session, cluster_id: str, accounts: list[str]) -> str:
    told = tuple(UcpAccount(name) for name in accounts)
    ucp = UcpManifest(version="2.2.5", instance_id=cluster_id, sealed=True, accounts=told)
    manifest = Manifest(cluster_id=cluster_id, node="mgr2", taken_at=time.time() - 60, cold=None, kind="ucp", ucp=ucp)
    with session.backups.begin(cluster_id, "20260101T000000Z-ucp") as draft:
        draft.write(b"\x8c" + bytes(64))
        return draft.commit(manifest).id


def made(demo: Demo, folder: Path, vault: Vault) -> Session:
    opening: Opening = find("simulated", config.load(demo.config), bundles=folder / "bundle")
    return Session(opening, Nobody(), vault)


async def test_what_was_deleted_is_noticed_by_doctor_and_by_recover(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    vault = Vault.in_memory()
    async with Demo("platform", speed=20, seed=1) as demo:
        ucp = demo.world.ucp
        assert ucp is not None
        cluster_id = ucp.cluster.id
        async with made(demo, tmp_path, vault).opened() as session:
            await session.until_live(20)
            await session.until_complete(10)
            assert (await look_for_missing(session)).why == "no backup of UCP has its accounts noted"
            backup = keep_backup(session, cluster_id, [*ucp.accounts.by_name])
            unasked = await look_for_missing(session)
            assert unasked.names is None and "has no password of admin" in unasked.why
            await vault.put(Kind.UCP_PASSWORD, cluster_id, Secret(demo.platform["admin"]["password"]))
            assert await look_for_missing(session) == Missing(backup, ())
            for name in ("mia", "jon"):
                del ucp.accounts.by_name[name]
            assert await look_for_missing(session) == Missing(backup, ("jon", "mia"))
            rules = {one.rule for one in findings(session.snapshot, now=time.time())}
            assert "ucp-accounts-missing" in rules
            await session.look_at_ucp(everything=True)
            words = "\n".join(ucp_lines(session.snapshot, Missing(backup, ("jon", "mia"))))
            assert f"in its backup {backup} 2 are missing" in words and "\n  UCP on wrk1 is healthy, 3 of 3" in words
            assert "ucp.shop.example" in words and "the load balancer" in words
            assert ucp_words(session.snapshot) == f"UCP 2.2.5 (instance {cluster_id}): 3/3 managers healthy."
            told = ucp_object(session.snapshot)
            assert told is not None and told["version"] == "2.2.5" and told["balancer"]["status"] == 200
            mgr1 = next(node for node in told["nodes"] if node["name"] == "mgr1")
            assert mgr1["ping"]["status"] == 200 and "ucp-controller" in mgr1["components"]
        # `recover` begins with no connection at all.
        unbegun = made(demo, tmp_path, vault)
        try:
            _, found = await happened(unbegun, products=True)
            assert found.best.way is Way.UCP and found.best.params == {"backup": backup}, found
        finally:
            await unbegun.close()


def test_without_ucp_the_command_line_says_nothing_of_it() -> None:
    plain = s.under_ucp(services=[])
    assert ucp_words(plain) == "" and ucp_object(plain) is None and list(ucp_lines(plain, Missing())) == []
