"""The steps of a restore at a new address, and of workers after it: what is planned, and what is refused."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from swarmtui.errors import RefusedError
from swarmtui.link.reasons import LinkError
from swarmtui.link.target import SshTarget
from swarmtui.runbooks.render import script
from swarmtui.runbooks.runbook import StepError, Voice
from swarmtui.runbooks.swarm.building.build_base import Seed
from swarmtui.runbooks.swarm.recovery import restore_address_steps, restore_bridge, restore_workers
from swarmtui.runbooks.swarm.recovery.restore_address import Second, address_steps, lonely_note
from swarmtui.runbooks.swarm.recovery.restore_address_steps import DropBridge, JoinSecond, PutBridge, StepDown, StepUp
from swarmtui.runbooks.swarm.recovery.restore_bridge import (
    ALIAS,
    DNAT,
    AddressFacts,
    Bridge,
    bridge_of,
    look_at_address,
)
from swarmtui.runbooks.swarm.recovery.restore_workers import ManagerAt, WorkerAt, WorkerBack, worker_steps
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.session import Session
from tests import builders as b
from tests.builders import Json
from tests.runbooks.small_steps import plan
from tests.runbooks.support import Completed, FakeSession, Host

OLD, NEW = "10.0.0.1:2377", "10.0.0.2:2377"
HERE = Where("mgr2", "ssh://root@10.0.0.2", "root@10.0.0.2")
THIRD = Where("mgr3", "ssh://root@10.0.0.3", "root@10.0.0.3")
WORKER = Where("wrk1", "ssh://op@10.0.0.4", "op@10.0.0.4", sudo=True)
SEED = Seed(target=HERE.target, name="mgr2", remote=NEW)
NEAR = AddressFacts(old=OLD, new=NEW, card="eth0", near=True)
CARD = "2: eth0    inet 10.0.0.2/24 scope global eth0\\       valid_lft forever preferred_lft forever\n"
TOOLS = "/usr/bin/perl\n/usr/bin/bash\n/usr/bin/timeout\n"
ALIAS_THERE = "2: eth0    inet 10.0.0.1/32 scope global eth0\\       valid_lft forever preferred_lft forever\n"


class Opened(FakeSession):
    """A session that is begun, without a network."""

    def begin(self, through: SshTarget, addresses: dict[str, str]) -> None:
        return


def opened(*nodes: Json, hosts: dict[str, Host] | None = None) -> Session:
    made = Opened(b.snapshot(list(nodes)), nodes=nodes)
    made.hosts |= hosts or {}
    return cast(Session, made)


def fake(session: Session) -> Opened:
    return cast(Opened, session)


def voice(said: list[str] | None = None) -> Voice:
    return Voice((said if said is not None else []).append, lambda done, total, text: None)


def alias() -> Bridge:
    return bridge_of(NEAR, HERE, [THIRD])


def rules() -> Bridge:
    return bridge_of(AddressFacts(old=OLD, new=NEW), HERE, [THIRD, WORKER])


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (restore_bridge, restore_address_steps, restore_workers):
        monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(restore_bridge, "REACH_SECONDS", 0.05)
    monkeypatch.setattr(restore_address_steps, "STILL_SECONDS", 0.05)


# -- which bridge ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "kind"),
    [
        (NEAR, ALIAS),
        (AddressFacts(old=OLD, new=NEW, card="eth0", near=True, taken=True), DNAT),
        (AddressFacts(old="10.9.0.1:2377", new=NEW, card="eth0"), DNAT),
        (AddressFacts(old=OLD, new=NEW, near=True), DNAT),
    ],
)
def test_an_alias_only_where_the_old_address_is_free_on_the_same_network(facts: AddressFacts, kind: str) -> None:
    assert bridge_of(facts, HERE, [THIRD]).kind == kind


def test_the_commands_of_both_kinds() -> None:
    assert [shown.as_sh for shown in alias().shown] == ["ssh -n -- root@10.0.0.2 'ip addr add 10.0.0.1/32 dev eth0'"]
    assert [shown.line for shown in alias().undo] == ["ip addr del 10.0.0.1/32 dev eth0"]
    rule = "OUTPUT -p tcp -d 10.0.0.1 --dport 2377 -j DNAT --to-destination 10.0.0.2:2377"
    assert [(shown.host, shown.line) for shown in rules().shown] == [
        ("root@10.0.0.3", f"iptables -w -t nat -A {rule}"),
        ("op@10.0.0.4", f"sudo -n iptables -w -t nat -A {rule}"),
    ]
    assert rules().undo[0].line == f"iptables -w -t nat -D {rule}"


def test_the_commands_of_an_ipv6_network() -> None:
    six = bridge_of(AddressFacts(old="[fd00::1]:2377", new="[fd00::2]:2377", card="eth0", near=True), HERE, [])
    assert [shown.line for shown in six.shown] == ["ip addr add fd00::1/128 dev eth0"]
    led = bridge_of(AddressFacts(old="[fd00::1]:2378", new="[fd00::2]:2378"), HERE, [THIRD])
    assert [shown.line for shown in led.shown] == [
        "ip6tables -w -t nat -A OUTPUT -p tcp -d fd00::1 --dport 2378 -j DNAT --to-destination [fd00::2]:2378"
    ]


def test_no_rule_on_the_restored_host_or_on_the_one_that_has_the_old_address() -> None:
    itself = Where("mgr1", "ssh://root@10.0.0.1", "root@10.0.0.1")
    assert bridge_of(AddressFacts(old=OLD, new=NEW), HERE, [HERE, itself, THIRD, THIRD]).hosts == (THIRD,)


@pytest.mark.parametrize("old", ["", "0.0.0.0x:2377", "$(reboot):2377", "mgr1:2377"])
def test_what_is_no_address_goes_into_no_command(old: str) -> None:
    with pytest.raises(RefusedError, match="is no address of a manager"):
        bridge_of(AddressFacts(old=old, new=NEW), HERE, [THIRD])


# -- who has the old address -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "neighbour", "taken"),
    [
        ("", "10.0.0.1 dev eth0 FAILED\n", False),
        ("", "10.0.0.1 dev eth0 lladdr 02:00:00:00:00:09 REACHABLE\n", True),
        (ALIAS_THERE, "", False),
    ],
)
async def test_whether_somebody_has_the_old_address(own: str, neighbour: str, taken: bool) -> None:
    answers = {
        "show to 10.0.0.2": Completed(out=CARD),
        "addr show to 10.0.0.1": Completed(out=own),
        "neigh flush": Completed(),
        "command -v": Completed(out=TOOLS),
        "/dev/tcp/": Completed(),
        "neigh show": Completed(out=neighbour),
    }
    seen = await look_at_address(opened(hosts={HERE.target: Host(answers)}), HERE, OLD, NEW)
    assert seen == AddressFacts(old=OLD, new=NEW, card="eth0", near=True, taken=taken)


async def test_the_old_address_is_not_taken_away_from_somebody_who_came_back_with_it() -> None:
    host = Host(
        {
            "addr show to": Completed(),
            "neigh flush": Completed(),
            "command -v": Completed(out=TOOLS),
            "/dev/tcp/": Completed(out="tcp 10.0.0.1 2377 900\n"),
        }
    )
    step = PutBridge(id="old-address", title="", why="", seed=SEED, bridge=alias())
    session = opened(hosts={HERE.target: host})
    with pytest.raises(StepError, match=r"Another host answers at 10\.0\.0\.1"):
        await step.run(session, {}, voice())
    assert not any("ip addr add" in line for line in host.ran)


async def test_a_host_that_does_not_get_through_is_not_made_a_manager() -> None:
    """Its answer would be needed for the quorum, and it could give none."""
    host = Host({"neigh flush": Completed(), "command -v": Completed(out=TOOLS), "/dev/tcp/": Completed()})
    with pytest.raises(StepError, match=r"mgr3 does not get to mgr2 at its old address 10\.0\.0\.1:2377"):
        await alias().prove(opened(hosts={THIRD.target: host}), THIRD)


async def test_a_worker_that_is_gone_does_not_hold_the_others_up() -> None:
    """The quorum rests on the rule of the manager that joins, and on no other."""
    host = Host({"-C": Completed()})
    session = opened(hosts={THIRD.target: host})
    assert await rules().hold(session) == []
    assert await rules().anywhere(session)
    with pytest.raises(LinkError):
        await rules().hold(opened(hosts={WORKER.target: host}))


# -- the plan ----------------------------------------------------------------------------------------------------------


def steps_with(second: Second | None) -> tuple[Any, ...]:
    parts = address_steps(seed=SEED, node_id="m2", name="mgr2", bridge=alias(), second=second)
    return (*parts.before, *parts.mend, *parts.after)


def test_the_order_and_what_is_true_when_one_stops() -> None:
    found = steps_with(Second(at=THIRD, advertise="10.0.0.3"))
    assert [type(step) for step in found] == [PutBridge, JoinSecond, StepDown, StepUp, DropBridge]
    assert len({step.id for step in found}) == len(found) and all(step.if_stopped for step in found)
    assert "is the only manager" in found[3].if_stopped
    assert found[2].shown[0].line == "docker node demote m2"
    assert all(shown.host == THIRD.host for shown in (found[2].shown[0], *found[3].shown))
    again = steps_with(Second(at=THIRD, advertise="10.0.0.3"))
    assert found == again


@pytest.mark.parametrize("second", [Second(at=THIRD, advertise="10.0.0.3"), Second(at=WORKER, worker_id="w1"), None])
def test_the_plan_as_a_script_is_good_shell(second: Second | None) -> None:
    found = (*steps_with(second), *worker_steps([LIVING], seed=SEED, remotes=[ManagerAt(node_id="m2", addr=NEW)]))
    told = script(plan(*found))
    subprocess.run(["sh", "-n"], input=told.encode(), check=True)
    assert "SWMTKN" not in told and told.count("ssh ") > 2


def test_a_worker_is_a_manager_only_for_this() -> None:
    found = steps_with(Second(at=WORKER, worker_id="w1"))
    assert [(type(step), step.name) for step in found[1:-1]] == [
        (StepUp, "wrk1"), (StepDown, "mgr2"), (StepUp, "mgr2"), (StepDown, "wrk1"),
    ]  # fmt: skip
    assert (found[1].new, found[4].new) == ("", "")


def test_without_a_second_manager_the_old_address_stays_and_that_is_told() -> None:
    assert [type(step) for step in steps_with(None)] == [PutBridge]
    assert "`ip addr add 10.0.0.1/32 dev eth0` on mgr2" in lonely_note(alias())
    assert "--to-destination 10.0.0.2:2377` on the one that joins" in lonely_note(rules())


def test_the_host_that_has_the_old_address_cannot_be_the_second_manager() -> None:
    with pytest.raises(RefusedError, match=r"mgr3 has 10\.0\.0\.1, the address that raft still has of mgr2"):
        steps_with(Second(at=THIRD, advertise="10.0.0.1"))


# -- the steps ---------------------------------------------------------------------------------------------------------


def manager(node_id: str, name: str, address: str, **more: Any) -> Json:
    made = b.node(name, manager="reachable", **more)
    made |= {"ID": node_id}
    made["ManagerStatus"] |= {"Addr": address}
    return made


def bridged(**answers: Completed) -> dict[str, Host]:
    known = {"addr show to": Completed(out=ALIAS_THERE), **answers}
    return {HERE.target: Host(known)}


async def test_the_only_manager_is_never_demoted() -> None:
    alone = manager("m2", "mgr2", OLD)
    session = opened(alone, hosts=bridged())
    step = steps_with(Second(at=THIRD))[2]
    with pytest.raises(StepError, match="mgr2 is the only manager that is reachable"):
        await step.run(session, await step.before(session), voice())
    assert fake(session).posted == []


async def test_one_that_has_its_new_address_is_not_demoted_again() -> None:
    """After its promotion a run that is resumed finds a manager, as it did before its demotion."""
    session = opened(manager("m2", "mgr2", NEW), manager("m3", "mgr3", "10.0.0.3:2377"), hosts=bridged())
    step = steps_with(Second(at=THIRD))[2]
    assert await step.already_done(session, {})


async def test_the_bridge_stays_while_raft_has_the_old_address() -> None:
    session = opened(manager("m2", "mgr2", OLD), manager("m3", "mgr3", "10.0.0.3:2377"), hosts=bridged())
    step = steps_with(Second(at=THIRD))[-1]
    with pytest.raises(StepError, match=r"The others still know mgr2 at 10\.0\.0\.1:2377"):
        await step.run(session, {}, voice())
    assert not any("addr del" in line for line in fake(session).hosts[HERE.target].ran)


async def test_without_the_bridge_everybody_must_stay_reachable() -> None:
    lost = manager("m3", "mgr3", "10.0.0.3:2377")
    lost["ManagerStatus"] |= {"Reachability": "unreachable"}
    session = opened(manager("m2", "mgr2", NEW), lost, hosts={HERE.target: Host({"addr show to": Completed()})})
    step = steps_with(Second(at=THIRD))[-1]
    with pytest.raises(StepError, match="Without it mgr3 is not reachable any more") as caught:
        await step.verify(session, {}, voice())
    assert "ip addr add 10.0.0.1/32 dev eth0" in caught.value.next_step


async def test_an_alias_that_a_reboot_took_away_is_put_back_before_anybody_is_asked() -> None:
    class Rebooted(Host):
        async def run(self, command: str, *, timeout: float | None = None, **more: Any) -> Completed:
            if "ip addr add" in command:
                self.answers["addr show to"] = Completed(out=ALIAS_THERE)
                self.answers["ip addr add"] = Completed()
            return await super().run(command, timeout=timeout, **more)

    host = Rebooted({"addr show to": Completed(), "neigh": Completed(), "command -v": Completed()})
    session = opened(manager("m2", "mgr2", NEW), hosts={HERE.target: host})
    assert await steps_with(Second(at=THIRD))[3].already_done(session, {})
    assert sum("ip addr add" in line for line in host.ran) == 1


# -- workers -----------------------------------------------------------------------------------------------------------

LIVING = WorkerAt(node_id="w1", name="wrk1", at=WORKER)


def worker_back(worker: WorkerAt = LIVING) -> WorkerBack:
    (step,) = worker_steps([worker], seed=SEED, remotes=[ManagerAt(node_id="m2", addr=NEW)], patience=0)
    assert isinstance(step, WorkerBack)
    return replace(step, seconds=0)


def worker(state: str) -> Json:
    return b.node("wrk1", state=state) | {"ID": "w1"}


async def test_a_worker_that_is_back_is_left_alone() -> None:
    host = Host({})
    session = opened(worker("ready"), hosts={WORKER.target: host})
    assert await worker_back().already_done(session, {}) == "wrk1 is ready, with the id that it had."
    await worker_back().run(session, {}, voice())
    assert host.ran == []


async def test_a_host_that_is_another_node_by_now_is_not_stopped() -> None:
    host = Host({"test -e": Completed(), "cat ": Completed(out="no certificate")})
    session = opened(worker("down"), hosts={WORKER.target: host})
    with pytest.raises(StepError, match="The host of wrk1 is another node, not w1"):
        await worker_back().run(session, {}, voice())
    assert not any("systemctl stop" in line for line in host.ran)


async def test_a_worker_that_nobody_gets_to_is_only_waited_for() -> None:
    step = worker_back(WorkerAt(node_id="w1", name="wrk1", at=WORKER, trouble="No route to host."))
    assert step.skippable and len(step.shown) == 1
    with pytest.raises(StepError, match=r"nobody can log in there: No route to host\."):
        await step.run(opened(worker("down")), {}, voice())


async def test_a_worker_that_the_backup_does_not_know_is_told_to_join() -> None:
    with pytest.raises(StepError, match="newer than the backup") as caught:
        await worker_back().run(opened(), {}, voice())
    assert "swarm.join" in caught.value.next_step


@pytest.mark.parametrize("state", ["ready", "down"])
def test_the_shown_commands_restart_docker_only_where_the_worker_is_not_back(state: str, tmp_path: Path) -> None:
    """Both lines are run by sh, with commands in the place of docker and sudo that only write down what they got."""
    folder = tmp_path / "swarm"
    folder.mkdir()
    log = tmp_path / "log"
    for name, does in {
        "docker": f"echo {state}",
        "systemctl": f'echo "$@" >>{log}',
        "sudo": 'shift; exec "$@"',
    }.items():
        file = tmp_path / name
        file.write_text(f"#!/bin/sh\n{does}\n")
        file.chmod(0o755)
    wait, mend = worker_back(WorkerAt(node_id="w1", name="wrk1", at=WORKER, folder=str(folder))).shown
    assert mend.feed is not None
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    subprocess.run(["sh", "-euc", wait.line], env=environment, check=True)
    subprocess.run(["sh", "-euc", f"{mend.feed.line} | ( {mend.line} )"], env=environment, check=True)
    if state == "ready":
        assert not log.exists() and not list(folder.iterdir())
        return
    assert log.read_text().splitlines() == ["stop docker.socket docker.service", "start docker.service"]
    assert (folder / "state.json").read_text() == '[{"node_id":"m2","addr":"10.0.0.2:2377"}]'
    assert (folder / "state.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in folder.iterdir()] == ["state.json"]
