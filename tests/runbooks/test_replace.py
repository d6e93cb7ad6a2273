"""The ladder of node.rejoin, and the plans of node.rejoin and node.replace (procedures.md N4). All tables by hand."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from swarmtui.errors import RefusedError, UsageError
from swarmtui.link.reasons import LinkError, Reason
from swarmtui.model.impact import impact_of
from swarmtui.model.swarm import Cluster, SwarmInfo
from swarmtui.runbooks import params, registry
from swarmtui.runbooks.node_facts import NodeFacts, command_name
from swarmtui.runbooks.runbook import Plan
from swarmtui.runbooks.swarm.rejoining.rejoin_draft import RejoinFacts, remotes, survey
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import HostSeen, Where, ssh_address
from swarmtui.runbooks.swarm.rejoining.rejoin_ladder import Rung, judge
from tests import builders as b
from tests.runbooks.support import fake, session

MGR1 = b.node("mgr1", manager="leader", addr="10.0.0.1")
MGR2 = b.node("mgr2", manager="reachable", addr="10.0.0.2")
DEAD = b.node(
    "mgr3",
    manager="unreachable",
    state="down",
    addr="10.0.0.3",
    labels={"zone": "c", "x": "NODE"},
    availability="drain",
)
WORKER = b.node("wrk1", addr="10.0.1.1")
AT = Where("mgr3", "ssh://root@10.0.0.3", "root@10.0.0.3")
CLUSTER = "h3yq2wq8uys0gm7ygj5xnrgr5"


def info(state: str, node_id: str = DEAD["ID"], *, cluster: str = "", error: str = "") -> SwarmInfo:
    return SwarmInfo(
        node_id=node_id,
        local_node_state=state,
        error=error,
        cluster=Cluster(id=cluster) if cluster else None,
    )


def seen(state: str = "", **more: Any) -> HostSeen:
    told: dict[str, Any] = {
        "unit": "active",
        "addresses": ("10.0.0.3",),
        "docker_seconds": 9000.0,
        "up_seconds": 9000.0,
    } | more
    if state:
        told["swarm"] = info(state)
    return HostSeen(at=AT, **told)


# What the host says, and how long its node has been out → the rung, and a word of the reason.
LADDER: dict[str, tuple[HostSeen, float, Rung, str]] = {
    "no ssh": (HostSeen(at=AT, trouble="mgr3 did not answer within 10 s."), 60, Rung.REPLACE, "cannot be tried"),
    "docker stopped": (seen(unit="inactive"), 60, Rung.RESTART, "docker.service is inactive"),
    "docker failed": (seen(unit="failed"), 60, Rung.RESTART, "docker.service is failed"),
    "docker silent": (seen(silent="`docker info` on mgr3 says: EOF."), 60, Rung.RESTART, "EOF"),
    "locked": (seen("locked"), 60, Rung.UNLOCK, "only locked"),
    "state gone": (seen("inactive"), 60, Rung.REJOIN, "in no Swarm"),
    "hangs": (seen("pending"), 60, Rung.RESTART, "not tried since"),
    "in error": (seen("error"), 60, Rung.RESTART, "says error"),
    "restarted just now": (seen("pending", docker_seconds=20.0), 300, Rung.WAIT, "20 s ago"),
    "restarted in vain": (seen("pending", docker_seconds=100.0), 300, Rung.REBOOT, "did not help"),
    "booted just now": (seen("pending", docker_seconds=70.0, up_seconds=75.0), 300, Rung.WAIT, "booted 75 s ago"),
    "booted in vain": (seen("pending", docker_seconds=130.0, up_seconds=140.0), 300, Rung.REJOIN, "neither helped"),
    "no clock": (seen("pending", docker_seconds=100.0), -1, Rung.RESTART, "not tried since"),
    "no systemd": (seen("pending", unit="", docker_seconds=-1.0, up_seconds=-1.0), 300, Rung.RESTART, "not tried"),
    "moved": (
        seen("pending", addresses=("10.0.0.33",)),
        60,
        Rung.REJOIN,
        "knows it at 10.0.0.3, its host has 10.0.0.33",
    ),
    "back already": (seen(swarm=info("active", WORKER["ID"])), 60, Rung.TIDY, "stale duplicate"),
    "a stranger": (seen(swarm=info("active", "f" * 25)), 60, Rung.REJOIN, "no entry of this Swarm"),
    "another Swarm": (seen(swarm=info("active", cluster="other")), 60, Rung.REJOIN, "another Swarm"),
}


@pytest.mark.parametrize("name", LADDER)
def test_the_mildest_rung_that_can_help_is_next(name: str) -> None:
    host, out, rung, word = LADDER[name]
    known = frozenset(node["ID"] for node in (MGR1, MGR2, DEAD, WORKER))
    verdict = judge(b.one_node(DEAD), host, known=known, cluster_id=CLUSTER, out_seconds=out)
    assert verdict.rung is rung
    assert word in verdict.because


def test_a_node_that_the_managers_hear_from_needs_nothing() -> None:
    fine = b.one_node(DEAD | {"Status": {"State": "ready"}, "ManagerStatus": MGR2["ManagerStatus"]})
    for host in (seen("active"), HostSeen(at=AT, trouble="no route")):
        assert judge(fine, host, known=frozenset(), cluster_id="", out_seconds=0).rung is Rung.NONE
    # Ready as a worker, but not heard of in the raft: as a manager it is lost.
    deaf = b.one_node(DEAD | {"Status": {"State": "ready"}})
    assert judge(deaf, seen("active"), known=frozenset(), cluster_id="", out_seconds=9).rung is Rung.RESTART


def facts(
    host: HostSeen, *nodes: b.Json, others: tuple[b.Json, ...] = (MGR1, MGR2, WORKER), **more: Any
) -> RejoinFacts:
    wanted = nodes or (DEAD,)
    every = b.snapshot([*wanted, *(node for node in others if node not in wanted)])
    named = tuple(every.nodes[node["ID"]] for node in wanted)
    voters = [node for node in every.nodes.values() if node.is_voter]
    first = named[0]
    built: dict[str, Any] = {
        "nodes": NodeFacts(
            nodes=named,
            names={node.id: command_name(every, node) for node in named},
            voters=len(voters),
            reachable=sum(node.is_reachable for node in voters),
            impact=impact_of(every, {first.id: None}),
        ),
        "seen": host,
        "known": tuple(sorted(every.nodes)),
        "twins": tuple(n.id for n in every.nodes.values() if n.hostname == first.hostname and n.id != first.id),
        "cluster_id": CLUSTER,
        "out_seconds": 60.0,
        "autolock": False,
        "remotes": remotes(every, first.id),
    }
    return RejoinFacts(**(built | more))


def plan(name: str, made: RejoinFacts, **given: str) -> Plan:
    """As a resume does it: from what a journal holds."""
    runbook = registry.runbook(name)
    return runbook.plan(params.parse(name, runbook.params, given), msgspec.to_builtins(made))


def kinds(made: Plan) -> list[str]:
    return [type(step).__name__ for step in made.steps]


REJOIN = ["UpdateNode", "WaitLeftRaft", "LeaveByForce", "WaitDown", "RemoveNode", "JoinAgain", "Restore", "WaitIn"]


@pytest.mark.parametrize(
    ("host", "autolock", "steps"),
    [
        (seen(unit="failed"), False, ["RestartDocker", "WaitBack"]),
        (seen(unit="failed"), True, ["RestartDocker", "UnlockNode", "WaitBack"]),
        (seen("locked"), True, ["UnlockNode", "WaitBack"]),
        (seen("pending", docker_seconds=20.0), False, ["WaitBack"]),
        (seen("pending", docker_seconds=50.0 + 2), True, ["WaitBack"]),
        (seen("inactive"), False, [kind for kind in REJOIN if kind != "LeaveByForce"]),
        (seen("pending", addresses=("10.0.0.33",)), False, REJOIN),
        (seen(swarm=info("active", WORKER["ID"])), False, ["UpdateNode", "WaitLeftRaft", "WaitDown", "RemoveNode"]),
    ],
)
def test_the_steps_of_each_rung(host: HostSeen, autolock: bool, steps: list[str]) -> None:
    made = plan("node.rejoin", facts(host, autolock=autolock, out_seconds=70.0), node="mgr3")
    assert kinds(made) == steps
    assert made.rules == ()
    assert len({step.id for step in made.steps}) == len(steps)


def test_a_reboot_is_followed_by_unlocking() -> None:
    host = seen("pending", docker_seconds=100.0)
    made = plan("node.rejoin", facts(host, autolock=True, out_seconds=300.0), node="mgr3")
    assert kinds(made) == ["Reboot", "UnlockNode", "WaitBack"]
    assert "rung=rejoin" in made.steps[-1].otherwise  # type: ignore[attr-defined]


@pytest.mark.parametrize(("rung", "breaks"), [("auto", False), ("restart", False), ("reboot", True), ("rejoin", True)])
def test_a_rung_further_than_the_next_breaks_a_rule(rung: str, breaks: bool) -> None:
    made = plan("node.rejoin", facts(seen("pending")), node="mgr3", rung=rung)
    assert [str(rule) for rule in made.rules] == (["ladder=mgr3"] if breaks else [])


def test_a_milder_rung_than_the_next_is_free() -> None:
    """An address that is not the host's may be a load balancer's: then a restart is right."""
    made = plan("node.rejoin", facts(seen("pending", addresses=("10.0.0.33",))), node="mgr3", rung="restart")
    assert (kinds(made), made.rules) == (["RestartDocker", "WaitBack"], ())


WELL = b.node("mgr3", id=DEAD["ID"], manager="reachable", addr="10.0.0.3")


@pytest.mark.parametrize(
    ("host", "word"),
    [
        (seen(swarm=info("active", WORKER["ID"])), f"is node {WORKER['ID']}"),
        (seen(swarm=info("active", "f" * 25)), "is node fff"),
        (seen("inactive"), "is in no Swarm"),
        (seen(swarm=info("active", cluster="other")), "is a manager of another Swarm (other)"),
    ],
)
def test_nothing_is_done_to_another_host_while_the_node_is_well(host: HostSeen, word: str) -> None:
    """A wrong host=, or an address that was given away: the entry is not stale, and the host is somebody else's."""
    made = plan("node.rejoin", facts(host, WELL), node="mgr3")
    assert made.steps == ()
    assert word in made.nothing
    for rung in ("restart", "reboot", "rejoin"):
        with pytest.raises(RefusedError, match="Nothing is done to that host"):
            plan("node.rejoin", facts(host, WELL), node="mgr3", rung=rung)


@pytest.mark.parametrize("rung", ["restart", "reboot", "rejoin"])
def test_a_host_that_is_another_node_by_now_is_not_touched_for_its_stale_entry(rung: str) -> None:
    back = facts(seen(swarm=info("active", WORKER["ID"])))
    with pytest.raises(RefusedError, match="stale duplicate"):
        plan("node.rejoin", back, node="mgr3", rung=rung)


@pytest.mark.parametrize(
    ("host", "breaks"),
    [
        (seen(swarm=info("active", "f" * 25)), True),
        (seen(swarm=info("active", cluster="other")), True),
        (seen(swarm=info("pending", "f" * 25)), False),  # removed from this one: its Docker looks for ever
        (seen("inactive"), False),
    ],
)
def test_taking_a_host_out_of_another_swarm_breaks_a_rule(host: HostSeen, breaks: bool) -> None:
    made = plan("node.rejoin", facts(host), node="mgr3")
    assert [str(rule) for rule in made.rules] == (["other-swarm=mgr3"] if breaks else [])
    assert ("LeaveByForce" in kinds(made)) == (host.swarm.local_node_state != "inactive")


@pytest.mark.parametrize("rung", ["restart", "reboot"])
@pytest.mark.parametrize(
    ("others", "breaks"),
    [
        ((MGR1, MGR2), False),
        ((MGR1, b.node("mgr2", manager="unreachable", state="down")), True),
        ((MGR1,), True),
        ((), True),
    ],
)
def test_a_restart_that_costs_the_quorum_breaks_a_rule(rung: str, others: tuple[b.Json, ...], breaks: bool) -> None:
    silent = seen(silent="`docker info` on mgr3 says: permission denied.")
    made = plan("node.rejoin", facts(silent, WELL, others=others), node="mgr3", rung=rung)
    assert ("quorum=mgr3" in [str(rule) for rule in made.rules]) is breaks
    # One that the others miss costs nothing more.
    others = (*others, b.node("mgr4", manager="reachable"), b.node("mgr5", manager="reachable"))
    gone = plan("node.rejoin", facts(silent, DEAD, others=others), node="mgr3", rung=rung)
    assert "quorum=mgr3" not in [str(rule) for rule in gone.rules]


def test_a_clean_rejoin_gives_back_what_the_entry_had_and_shows_no_token() -> None:
    made = plan("node.rejoin", facts(seen("pending", addresses=("10.0.0.33", "172.17.0.1"))), node="mgr3")
    lines = {type(step).__name__: step.shown[-1].as_sh for step in made.steps}
    assert "docker swarm leave --force" in lines["LeaveByForce"]
    assert lines["JoinAgain"].startswith("docker swarm join-token -q manager | ssh -- root@10.0.0.3 ")
    assert "--token" not in lines["JoinAgain"]
    assert '"RemoteAddrs":["10.0.0.1:2377","10.0.0.2:2377"]' in lines["JoinAgain"]
    assert '"AdvertiseAddr":""' in lines["JoinAgain"]  # its engine chooses: the old one is not its own any more
    which = "\"$(ssh -n -- root@10.0.0.3 'docker info -f '\"'\"'{{.Swarm.NodeID}}'\"'\"'')\""
    assert lines["Restore"] == f"docker node update --availability drain --label-add x=NODE --label-add zone=c {which}"
    assert made.quorum is not None
    assert (str(made.quorum.before), str(made.quorum.after)) == (
        "2/3 managers, survives no loss",
        "3/3 managers, survives 1 loss",
    )
    assert "wipes its Swarm folder itself" in " ".join(made.notes)


def test_the_address_stays_where_the_host_still_has_it() -> None:
    made = plan("node.rejoin", facts(seen("inactive", addresses=("10.0.0.3", "172.17.0.1"))), node="mgr3")
    join = next(step for step in made.steps if type(step).__name__ == "JoinAgain")
    assert '"AdvertiseAddr":"10.0.0.3"' in join.shown[0].line


def test_what_cannot_be_done_is_refused_with_the_next_step() -> None:
    with pytest.raises(RefusedError, match="cannot be tried") as refused:
        plan("node.rejoin", facts(HostSeen(at=AT, trouble="mgr3 did not answer.")), node="mgr3", rung="reboot")
    assert "node.replace dead=mgr3" in refused.value.next_step
    with pytest.raises(RefusedError, match="masked"):
        plan("node.rejoin", facts(seen(unit="masked")), node="mgr3")
    with pytest.raises(RefusedError, match="only a Docker that runs can join"):
        plan("node.rejoin", facts(seen(unit="failed")), node="mgr3", rung="rejoin")
    without = facts(seen("inactive"), others=(b.node("mgr2", manager="unreachable", state="down"), MGR1))
    with pytest.raises(RefusedError, match="no quorum"):
        plan("node.rejoin", without, node="mgr3")


def test_a_worker_has_the_same_ladder_without_the_raft() -> None:
    down = b.node("wrk1", state="down", addr="10.0.0.3")
    host = seen("inactive")
    made = plan("node.rejoin", facts(host, down, others=(MGR1, MGR2)), node="wrk1")
    assert kinds(made) == ["WaitDown", "RemoveNode", "JoinAgain", "WaitIn"]
    assert made.quorum is None
    stopped = plan("node.rejoin", facts(seen(unit="inactive"), down, others=(MGR1, MGR2), autolock=True), node="wrk1")
    assert kinds(stopped) == ["RestartDocker", "WaitBack"]


def test_stale_duplicates_are_named_and_addressed_by_id() -> None:
    twin = b.node("mgr3", id="t" * 25, state="down")
    made = plan("node.rejoin", facts(seen(unit="failed"), DEAD, others=(MGR1, MGR2, twin)), node=DEAD["ID"])
    assert f"node.remove node={'t' * 25}" in " ".join(made.warnings)
    assert DEAD["ID"] in made.steps[-1].shown[0].line


# -- node.replace ----------------------------------------------------------------------------------------------------


def test_a_dead_manager_goes_before_a_worker_takes_its_place() -> None:
    made = plan("node.replace", facts(HostSeen(at=AT, trouble="gone."), DEAD, WORKER), dead="mgr3", promote="wrk1")
    assert kinds(made) == ["UpdateNode", "WaitLeftRaft", "WaitDown", "RemoveNode", "UpdateNode", "WaitReachable"]
    shown = [step.shown[0].line for step in made.steps if type(step).__name__ in ("UpdateNode", "RemoveNode")]
    assert shown == ["docker node demote mgr3", "docker node rm mgr3", "docker node promote wrk1"]
    assert made.quorum is not None and str(made.quorum.after) == "3/3 managers, survives 1 loss"
    assert (made.rules, made.typed) == ((), "mgr3")
    said = " ".join(made.notes)
    assert "pending for ever" in said and "x=NODE, zone=c" in said and "was set to drain" in said


def test_a_new_host_gets_what_the_dead_one_had() -> None:
    new = Where("10.0.0.9", "ssh://root@10.0.0.9", "root@10.0.0.9")
    fresh = HostSeen(at=new, unit="active", addresses=("10.0.0.9",), swarm=info("inactive", ""), version="20.10.24")
    made = plan("node.replace", facts(HostSeen(at=AT, trouble="gone."), fresh=fresh), dead="mgr3", host=new.target)
    assert kinds(made)[-3:] == ["JoinAgain", "Restore", "WaitIn"]
    assert made.steps[-3].shown[0].host == "root@10.0.0.9"
    assert "10.0.0.9 runs Docker 20.10.24, mgr3 had 26.1.5." in made.warnings
    for bad, word in (
        (msgspec.structs.replace(fresh, swarm=info("active")), "part of a Swarm already"),
        (msgspec.structs.replace(fresh, unit="failed"), "Docker does not run"),
        (HostSeen(at=new, trouble="it is off."), "Nobody can log in"),
    ):
        with pytest.raises(RefusedError, match=word):
            plan("node.replace", facts(seen(unit="x"), fresh=bad), dead="mgr3", host=new.target)


@pytest.mark.parametrize(
    ("host", "breaks"),
    [
        (seen("locked"), True),
        (seen(unit="failed"), True),
        (seen("pending"), True),
        (seen("inactive"), False),
        (HostSeen(at=AT, trouble="gone."), False),
    ],
)
def test_replacing_what_a_milder_way_could_bring_back_breaks_a_rule(host: HostSeen, breaks: bool) -> None:
    made = plan("node.replace", facts(host, DEAD, WORKER), dead="mgr3", promote="wrk1")
    assert [str(rule) for rule in made.rules] == (["ladder=mgr3"] if breaks else [])


def test_who_cannot_be_replaced_or_take_the_place() -> None:
    off = HostSeen(at=AT, trouble="gone.")
    with pytest.raises(RefusedError, match="mgr2 is not dead"):
        plan("node.replace", facts(off, MGR2, WORKER), dead="mgr2", promote="wrk1")
    with pytest.raises(RefusedError, match="wrk2 is a worker"):
        plan("node.replace", facts(off, b.node("wrk2", state="down"), WORKER), dead="wrk2", promote="wrk1")
    with pytest.raises(RefusedError, match="mgr2 is a manager already"):
        plan("node.replace", facts(off, DEAD, MGR2), dead="mgr3", promote="mgr2")
    with pytest.raises(RefusedError, match="cannot become a manager"):
        plan("node.replace", facts(off, DEAD, b.node("wrk2", state="down")), dead="mgr3", promote="wrk2")
    lost = facts(off, DEAD, WORKER, others=(MGR1, b.node("mgr2", manager="unreachable", state="down")))
    with pytest.raises(RefusedError, match="no quorum"):
        plan("node.replace", lost, dead="mgr3", promote="wrk1")


async def test_one_way_of_two_must_be_named() -> None:
    runbook = registry.runbook("node.replace")
    for given in ({}, {"promote": "wrk1", "host": "ssh://x"}):
        with pytest.raises(UsageError, match="not both and not neither"):
            await runbook.survey(None, params.parse(runbook.name, runbook.params, {"dead": "mgr3", **given}))  # type: ignore[arg-type]


def test_addresses_are_ssh_addresses() -> None:
    assert ssh_address("root@10.0.0.9") == ssh_address("ssh://root@10.0.0.9") == "ssh://root@10.0.0.9"
    for bad in ("unix:///var/run/docker.sock", "tcp://10.0.0.9", "ssh://", "-oProxyCommand=x"):
        with pytest.raises(ValueError, match="SSH address"):
            ssh_address(bad)


async def test_other_entries_of_the_host_are_found_by_name_and_by_address() -> None:
    ghost = b.node("old-name", id="g" * 25, manager="reachable", state="down", addr="10.0.0.3")
    twin = b.node("mgr3", id="t" * 25, state="down", addr="10.0.0.9")
    now = b.snapshot([MGR1, MGR2, DEAD, ghost, twin, WORKER])
    asked = session(now, through=MGR1["ID"])

    async def get(path: str) -> bytes:
        assert path == "/info"
        return b'{"SystemTime": "2024-05-02T10:05:00.5Z"}'

    async def reach(target: object) -> object:
        raise LinkError(Reason.TIMEOUT, "mgr3")

    fake(asked).get = get  # type: ignore[attr-defined]
    fake(asked).reach = reach  # type: ignore[attr-defined]
    found = await survey(asked, (DEAD["ID"],))
    assert set(found.twins) == {"g" * 25, "t" * 25}
    assert round(found.out_seconds) == 300
    assert found.seen.trouble == "mgr3 did not answer within 10 s."
    assert found.remotes == ("10.0.0.1:2377", "10.0.0.2:2377")  # not the ghost: that is its own address
