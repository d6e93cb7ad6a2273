"""Disasters on real engines that need more than one way out: a key that was rotated since, an archive made by hand,
managers that do not hear each other, certificates that have all expired. Read back with the docker CLI."""

from __future__ import annotations

import subprocess
import time
from datetime import timedelta
from pathlib import Path

import pytest

from swarmtui.config import load
from swarmtui.link.person import Nobody
from swarmtui.opening import find
from swarmtui.runbooks import params, registry
from swarmtui.runbooks.journal import Journal, new_run_id
from swarmtui.runbooks.runner import Event, Runner
from swarmtui.session import Session
from swarmtui.vault import Secret, Vault
from tests.actions.certificates import Authority
from tests.actions.cli import Cli, Result
from tests.actions.struck import kill, struck
from tests.actions.test_restore import NAMES, WIPE, Had, check_restored, content, with_name
from tests.actions.truth import Truth
from tests.lab import Host, Lab
from tests.lab.machine import wait_for
from tests.runbooks.locked import durable_vault

SEES = "docker node ls --format '{{.Hostname}} {{.ManagerStatus}}'"


async def ran(lab: Lab, vault: Vault, name: str, through: str, folder: Path, accepts: str = "", **given: str) -> str:
    """Runs a runbook in this process, with a vault that keeps what it is given; returns what was said.

    Args:
        accepts: id of the one safety rule that the plan may break.
    """
    session = Session(find(lab[through].target, load(), bundles=folder / "bundle"), Nobody(), vault)
    runbook, said = registry.runbook(name), []

    def observe(event: Event) -> None:
        if event.text:
            said.append(event.text)

    try:
        if runbook.needs_manager:
            session.start()
            await session.until_live(30)
        plan = await runbook.prepare(session, params.parse(name, runbook.params, given))
        assert [rule.id for rule in plan.rules] == [accepts] * bool(accepts), plan.rules
        with Journal(folder / "journal").writer(new_run_id(name)) as writer:
            accepted = [str(rule) for rule in plan.rules]
            outcome = await Runner(session, plan, writer, observe=observe, accepted=accepted).run()
        print("\n".join(said))
        assert outcome.ok, outcome
        return "\n".join(said)
    finally:
        await session.close()


def by_hand(host: Host, truth: Truth, key: str, file: Path) -> None:
    """The documented way: Docker stopped, tar of its Swarm directory, Docker started (and unlocked)."""
    host.stop_docker()
    subprocess.run(["tar", "-C", str(host.docker_folder), "-czf", str(file), "swarm"], check=True)
    host.start_docker()
    host.api("POST", "/swarm/unlock", {"UnlockKey": key})
    wait_for(f"{host.name} is back", lambda: truth.reachability(host.name) == "reachable", 60, 0.5)


@pytest.mark.full("lab26")
async def test_an_archive_made_by_hand_before_the_key_was_rotated(
    swarm: Lab, cli: Cli, truth: Truth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its key is in the vault's history only; and what it should have, nobody has written down: that is accepted."""
    monkeypatch.setenv("HOME", str(swarm.home))
    had = content(truth)
    truth.docker("swarm", "update", "--autolock=true")
    key = truth.docker("swarm", "unlock-key", "-q")
    vault = durable_vault()
    await vault.store_unlock_key(had.cluster, Secret(key), "current", time.time())
    by_hand(swarm["mgr2"], truth, key, tmp_path / "swarm.bkp")
    await ran(swarm, vault, "swarm.rotate-key", "mgr1", tmp_path)
    rotated = truth.docker("swarm", "unlock-key", "-q")
    assert rotated.startswith("SWMKEY-1-") and rotated != key
    swarm.each(lambda host: host.sh(WIPE), [swarm[name] for name in NAMES])

    taken = cli("backups", "import", str(tmp_path / "swarm.bkp"))
    assert taken.code in (0, 1) and key not in taken.out + taken.err, taken
    said = await ran(swarm, vault, "swarm.restore", "mgr2", tmp_path, "unproved", host=swarm["mgr2"].target)

    assert key not in said and rotated not in said
    assert "Its key file was unlocked here, offline" in said
    check_restored(had, swarm, truth, Result(0, f"{said}\nDone and verified.", ""), NAMES)
    now = truth.docker("swarm", "unlock-key", "-q")
    assert now.startswith("SWMKEY-1-") and now not in (key, rotated)
    kept = {each.secret.reveal(): each.state for each in await vault.unlock_keys(had.cluster)}
    assert kept[now] == "current" and {key, rotated} <= kept.keys(), "no key is ever forgotten"


@pytest.mark.lab
def test_managers_that_do_not_hear_each_other_find_each_other_again(lab: Lab, cli: Cli, truth: Truth) -> None:
    """Nothing is forced, and nothing may be: the network is mended, and the quorum is back by itself."""
    had = content(truth)
    managers = [lab[name] for name in NAMES]
    workers = [host for host in lab.hosts if not host.is_manager]
    for host in managers:
        host.separate(*(other for other in managers if other is not host))
    wait_for("none of them sees a leader", lambda: not any(leads(host) for host in managers), 90, 1.0)

    told = cli("recover", cli.target)
    assert told.code == 1 and "The way out: mend the network (mgr1, mgr2, mgr3)" in told.out, told
    assert "look at the network between them (2377/tcp)" in " ".join(told.out.split())
    refused = cli.run("swarm.recover-quorum", "--yes", seconds=240)
    assert refused.code == 4 and "--accept gentler=mgr1" in refused.err, refused
    assert "look at the network between them" in " ".join(refused.err.split())
    assert all(host.sh("docker ps -q").stdout for host in workers), "what runs goes on running"

    for host in managers:
        host.mend()
    wait_for("they have a leader", lambda: leads(managers[0]) and truth.managers() == list(NAMES), 90, 1.0)
    wait_for("all reach each other", lambda: {truth.reachability(name) for name in NAMES} == {"reachable"}, 60, 1.0)
    check_same(had, truth)
    assert not any("swarm." in host.sh("ls /var/lib/docker").stdout for host in managers)
    well = cli("recover", cli.target)
    assert well.code == 0 and "The quorum holds: 3 of 3 managers work." in well.out, well


@pytest.mark.full("locked", "lab26")
@pytest.mark.parametrize("autolock", [False, True], ids=["open", "locked"])
def test_certificates_that_have_expired_everywhere_are_signed_anew(
    swarm: Lab, cli: Cli, truth: Truth, autolock: bool
) -> None:
    """No clock is set: they are signed by a CA whose key the test has, for a time that is over. Killed on its way."""
    had = content(truth)
    named = with_name(cli)
    managers = [swarm[name] for name in NAMES]
    authority = Authority()
    authority.rule(managers[0], managers)
    if autolock:
        truth.docker("swarm", "update", "--autolock=true")
        named.environment["PROD_KEY"] = truth.docker("swarm", "unlock-key", "-q")
    swarm.each(lambda host: host.stop_docker(), managers)
    for host in managers:
        authority.sign(host, timedelta(days=-100), timedelta(days=-10))
    swarm.each(lambda host: host.sh("timeout 60 systemctl start docker", check=False), managers)

    told = named("recover", "prod")
    assert told.out.count("certificate expired") == 3, told
    if not autolock:
        assert told.code == 1 and "The way out: sign the certificates anew (mgr1, mgr2, mgr3)" in told.out, told
        assert "swarmtui run swarm.renew-certificates --target prod" in told.out
    line = ("swarm.renew-certificates",)
    done = struck(named, line, [("Sign the certificate of mgr2 anew", kill), ("Start Docker on mgr2", kill)])

    assert "3 of 3 managers follow the same leader." in done.out
    wait_for("all reach each other", lambda: {truth.reachability(name) for name in NAMES} == {"reachable"}, 60, 1.0)
    check_same(had, truth)
    assert "BEGIN" not in done.out and "SWMKEY-" not in done.out
    assert not any("swarm." in host.sh("ls /var/lib/docker").stdout for host in managers)
    well = named("recover", "prod")
    assert well.code == 0 and "The quorum holds: 3 of 3 managers work." in well.out, well


def leads(host: Host) -> bool:
    """Whether a manager sees a leader. Without one it takes 20 s to say so."""
    told = host.sh(SEES, check=False, timeout=60)
    return told.returncode == 0 and " Leader" in told.stdout


def check_same(had: Had, truth: Truth) -> None:
    """All that a user sees is as it was, nodes and all."""
    wait_for("all is as it was", lambda: Had.now(truth) == had, 90, 1.0)
