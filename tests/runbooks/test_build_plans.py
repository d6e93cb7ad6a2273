"""Plans that build a Swarm, from facts written by hand: what is refused, what is a rule, what is recognised."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from swarmtui.errors import RefusedError
from swarmtui.model.preflight import Address, HostFacts, Measured, Reach
from swarmtui.runbooks import registry, render
from swarmtui.runbooks.runbook import Plan
from swarmtui.runbooks.swarm.building.build_facts import BuildFacts, NodeNow
from swarmtui.runbooks.swarm.building.build_spec import HostSpec, SwarmSpec

GIB = 1 << 30
DURABLE = {"durable": True, "words": "kept", "next_step": ""}
MEMORY = {"durable": False, "words": "It would be lost.", "next_step": "Get a keyring."}


def spec(*roles: str, **more: Any) -> SwarmSpec:
    """Hosts 10.0.0.1, 10.0.0.2, …, as the letters say: m or w."""
    names = {"m": "manager", "w": "worker"}
    return SwarmSpec(tuple(HostSpec(f"ssh://root@10.0.0.{n}", names[r]) for n, r in enumerate(roles, 1)), **more)  # type: ignore[arg-type]


def measured(of: SwarmSpec, inside: tuple[int, ...] = (), **changes: dict[str, Any]) -> Measured:
    """Hosts as they should be; those inside are in the Swarm, with node ids n1, n2, …"""
    hosts = []
    for number, host in enumerate(of.hosts, 1):
        ip = f"10.0.0.{number}"
        values: dict[str, Any] = {
            "target": host.ssh,
            "name": f"h{number}",
            "role": host.role,
            "advertise": ip,
            "engine": "26.1.5",
            "memory": 8 * GIB,
            "addresses": (Address(ip),),
            "offset": 0.0,
            "state": "active" if number in inside else "inactive",
            "node_id": f"n{number}" if number in inside else "",
            **changes.get(f"h{number}", {}),
        }
        hosts.append(HostFacts(**values))
    return Measured(tuple(hosts))


def plan(of: SwarmSpec, inside: tuple[int, ...] = (), *, wait: int = 60, **more: Any) -> Plan:
    """The plan of swarm.build on facts with these hosts in the Swarm already."""
    values: dict[str, Any] = {"measured": measured(of, inside), "custody": DURABLE, **more}
    nodes = tuple(
        NodeNow(id=f"n{n}", name=f"h{n}", manager=of.hosts[n - 1].role == "manager", drained=False) for n in inside
    )
    facts = BuildFacts(
        spec=of,
        seed=of.hosts[(inside or (1,))[0] - 1].ssh,
        cluster_id="cluster" if inside else "",
        **{"nodes": nodes, **values},
    )
    return registry.runbook("swarm.build").plan({"wait": wait}, msgspec.to_builtins(facts))


def ids(made: Plan) -> list[str]:
    return [step.id.replace("ssh://root@10.0.0.", "") for step in made.steps]


def test_managers_join_before_workers_whatever_the_order() -> None:
    assert ids(plan(spec("m", "w", "m", "w", "m"))) == ["init", "join-3", "join-5", "join-2", "join-4", "read-back"]


def test_the_key_is_kept_before_anybody_joins() -> None:
    assert ids(plan(spec("m", "w", autolock=True))) == ["init", "keep-key", "join-2", "read-back"]


def test_a_key_without_custody_breaks_a_rule() -> None:
    (rule,) = plan(spec("m", autolock=True), custody=MEMORY).rules
    assert str(rule) == "key-without-custody=h1"
    assert not plan(spec("m", autolock=True)).rules
    assert not plan(spec("m"), custody={}).rules


def test_those_that_are_in_the_swarm_are_recognised() -> None:
    assert ids(plan(spec("m", "m", "w", "w"), inside=(1, 3))) == ["join-2", "join-4", "read-back"]
    done = plan(spec("m", "w"), inside=(1, 2))
    assert done.nothing == "Nothing to do: Swarm cluster is as it was asked for, with all 2 hosts."
    assert ids(plan(spec("m", "w"), inside=(1, 2), autolock=True)) == ["keep-key", "read-back"]
    assert not plan(spec("m", "w"), inside=(1, 2), autolock=True, key_kept=True).steps


def test_labels_and_zones() -> None:
    host = HostSpec("ssh://root@10.0.0.1", "manager", "a", {"disk": "ssd"})
    made = plan(SwarmSpec((host,)))
    assert ids(made) == ["init", "label-1", "read-back"]
    assert made.steps[1].shown[0].line == "docker node update --label-add disk=ssd --label-add zone=a h1 >/dev/null"
    node = NodeNow(id="n1", name="h1", manager=True, drained=False, labels={"zone": "a", "disk": "ssd", "x": "y"})
    assert plan(SwarmSpec((host,)), inside=(1,), nodes=(node,)).nothing


def refused(of: SwarmSpec, inside: tuple[int, ...] = (), **more: Any) -> str:
    with pytest.raises(RefusedError) as raised:
        plan(of, inside, **more)
    assert raised.value.next_step
    return raised.value.what


def test_a_host_in_another_swarm_is_refused_by_name() -> None:
    of = spec("m", "w")
    other = {"state": "active", "node_id": "x", "cluster_id": ""}
    assert refused(of, measured=measured(of, h2=other)) == "h2 is in another Swarm: it cannot join."
    for state, words in (("locked", "is a locked manager"), ("pending", "is joining"), ("error", "does not run there")):
        assert words in refused(of, measured=measured(of, h2={"state": state}))


def test_a_swarm_with_other_nodes_is_not_built_on() -> None:
    more = (
        NodeNow(id="n1", name="h1", manager=True, drained=False),
        NodeNow(id="x", name="stranger", manager=False, drained=False),
    )
    assert refused(spec("m", "w"), inside=(1,), nodes=more).endswith("not named here: stranger.")


def test_a_name_that_the_swarm_knows_already_is_refused() -> None:
    first = NodeNow(id="n1", name="h1", manager=True, drained=False)
    live = NodeNow(id="x", name="h2", manager=False, drained=False)
    assert refused(spec("m", "w"), inside=(1,), nodes=(first, live)) == (
        "Another node of the Swarm is called h2 as well."
    )
    stale = NodeNow(id="x", name="h2", manager=False, drained=False, down=True)
    assert refused(spec("m", "w"), inside=(1,), nodes=(first, stale)) == (
        "The Swarm has an entry of h2 already, which is down: x."
    )


def test_a_node_of_the_other_role_is_refused() -> None:
    nodes = (
        NodeNow(id="n1", name="h1", manager=True, drained=False),
        NodeNow(id="n2", name="h2", manager=False, drained=False),
    )
    assert refused(spec("m", "m"), inside=(1, 2), nodes=nodes) == (
        "h2 is in the Swarm as a worker, and is to be a manager."
    )


def test_what_blocks_is_refused_and_ports_are_a_rule() -> None:
    of = spec("m", "w")
    assert refused(of, measured=measured(of, h2={"trouble": "Docker is not running on h2."})) == (
        "Docker is not running on h2."
    )
    ways = (Reach("h1", "h2", "10.0.0.2", "udp", 4789, False),)
    made = plan(of, measured=msgspec.structs.replace(measured(of), reaches=ways))
    assert [str(rule) for rule in made.rules] == ["ports=h2"]
    assert made.typed == "h2"


def test_drained_managers_join_drained_and_never_under_ucp() -> None:
    made = plan(spec("m", "m", "w", drain_managers=True))
    drained = ["--availability drain" in step.shown[0].line for step in made.steps]
    assert drained == [True, True, False, False]
    (rule,) = plan(spec("m", "m", drain_managers=True), inside=(1,), ucp=True).rules
    assert str(rule) == "ucp-drain=h2"
    assert any("node.drain node=h1" in note for note in plan(spec("m", "m", drain_managers=True), inside=(1,)).notes)


def test_advice_is_given_on_the_managers_as_they_will_be() -> None:
    assert any("worse than one" in warning for warning in plan(spec("m", "m"), inside=(1,)).warnings)
    assert not plan(spec("m", "m", "m")).warnings
    assert plan(spec("m", "m", "m")).notes


def test_tokens_are_read_from_the_input_and_typed_nowhere() -> None:
    script = render.script(plan(spec("m", "m", "w", autolock=True)))
    assert "SWMTKN" not in script
    assert script.count('read -r TOKEN && docker swarm join --token "$TOKEN"') == 2
    # ssh must not be told to leave its input alone where a token comes on it.
    assert "join-token -q worker' | ssh -- root@10.0.0.3 " in script
    assert "# Run it where ssh reaches the hosts." in script
    assert "| swarmtui secrets set unlock-key" in script


def test_sudo_is_used_where_it_is_asked_for() -> None:
    lines = [shown.line for step in plan(spec("m", "m"), sudo=True).steps for shown in step.shown]
    assert all("sudo -n docker" in line for line in lines)


def test_the_binding_follows_what_was_found_and_not_its_figures() -> None:
    of = spec("m", "m", "m")
    usual = plan(of).binding
    assert plan(of, measured=measured(of, h2={"offset": 0.4, "disk": 99 * GIB})).binding == usual
    assert plan(of, measured=measured(of, h2={"offset": 60.0})).binding != usual
    assert plan(of, measured=measured(of, h2={"advertise": "10.0.0.9"})).binding != usual


@pytest.mark.parametrize("address", ["10.0.0.1", "10.0.0.1:2400"])
def test_joining_hosts_dial_what_the_first_manager_advertises(address: str) -> None:
    hosts = (HostSpec("ssh://root@10.0.0.1", "manager", advertise=address), HostSpec("ssh://root@10.0.0.2"))
    line = plan(SwarmSpec(hosts)).steps[1].shown[0].line
    assert line.endswith("10.0.0.1:2400" if address.endswith("2400") else "10.0.0.1:2377")
