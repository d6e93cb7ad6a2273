"""Which nodes a name means, what the docker CLI is to call them, and what is gathered before a plan."""

from __future__ import annotations

import pytest

from swarmtui.errors import SwarmtuiError, UsageError
from swarmtui.runbooks.node_facts import command_name, gather, resolve
from tests import builders as b
from tests.runbooks.support import Completed, Host, fake, plan, session

MGR = b.node("mgr1", id="aaaa1111aaaa1111aaaa11111", manager="leader")
WRK = b.node("wrk1", id="bbbb2222bbbb2222bbbb22222")
TWIN = b.node("wrk1", id="bbbb3333bbbb3333bbbb33333", state="down")


def found(*wanted: str) -> list[str]:
    return [node.id[:8] for node in resolve(b.snapshot([MGR, WRK, b.node("wrk2", id="cccc4444")]), wanted)]


def test_nodes_are_found_by_hostname_id_and_start_of_the_id() -> None:
    assert found("wrk1") == found(WRK["ID"]) == found("bbbb") == ["bbbb2222"]
    assert found("wrk2", "mgr1") == ["cccc4444", "aaaa1111"]


def test_each_node_is_taken_once_whatever_it_is_called() -> None:
    assert found("wrk1", "bbbb2222", WRK["ID"]) == ["bbbb2222"]


@pytest.mark.parametrize("wanted", ["bbb", "wrk", "WRK1", "", "*"])
def test_what_is_too_short_or_only_similar_is_nobody(wanted: str) -> None:
    with pytest.raises(UsageError, match="There is no node"):
        found(wanted)


def test_a_typing_error_gets_a_suggestion_else_the_names() -> None:
    with pytest.raises(UsageError, match=r'Did you mean "wrk1"\?'):
        found("wkr1")
    with pytest.raises(UsageError, match=r"mgr1, wrk1, wrk2"):
        found("database")


@pytest.mark.parametrize("wanted", ["wrk1", "bbbb"])
def test_a_name_of_two_nodes_is_refused_with_their_ids_and_states(wanted: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(b.snapshot([MGR, WRK, TWIN]), [wanted])
    assert WRK["ID"] in str(caught.value) and f"{TWIN['ID']} (down)" in str(caught.value)


def test_a_start_of_an_id_that_is_a_hostname_means_the_hostname() -> None:
    named = b.node("bbbb", id="dddd5555")
    assert [n.id for n in resolve(b.snapshot([WRK, named]), ["bbbb"])] == ["dddd5555"]


def test_the_cli_gets_the_id_where_the_hostname_is_not_unique() -> None:
    now = b.snapshot([MGR, WRK, TWIN])
    assert command_name(now, now.nodes[MGR["ID"]]) == "mgr1"
    assert command_name(now, now.nodes[WRK["ID"]]) == WRK["ID"]


@pytest.mark.parametrize("hostname", ["", "-f", "a b", "a;reboot", "$(id)", "größe", "a\nb", "a'b", "--force"])
def test_the_cli_gets_the_id_where_the_hostname_is_not_plain(hostname: str) -> None:
    now = b.snapshot([b.node(hostname, id="eeee6666")])
    assert command_name(now, now.nodes["eeee6666"]) == "eeee6666"


@pytest.mark.parametrize("hostname", ["mgr1", "node-7.prod.example", "WIN_BOX"])
def test_plain_hostnames_stay(hostname: str) -> None:
    now = b.snapshot([b.node(hostname, id="eeee6666")])
    assert command_name(now, now.nodes["eeee6666"]) == hostname


async def test_voters_reachability_and_ways_are_counted() -> None:
    nodes = [MGR, b.node("mgr2", manager="reachable"), b.node("mgr3", manager="unreachable"), WRK]
    nodes.append(b.node("left", role="manager"))
    facts = await gather(session(b.snapshot(nodes), through=MGR["ID"]), ["wrk1"])
    assert (facts.voters, facts.reachable, facts.through, facts.ways) == (3, 2, MGR["ID"], 1)
    assert facts.hosts[WRK["ID"]] == ("root@10.0.0.1", None)


async def test_nodes_that_cannot_be_read_now_stop_everything() -> None:
    with pytest.raises(SwarmtuiError, match="no answer"):
        await gather(session(b.snapshot([MGR], troubles={"nodes": "no answer"})), ["mgr1"])


@pytest.mark.parametrize("part", ["services", "tasks"])
async def test_an_impact_worked_out_from_old_data_does_not_look_like_one_of_now(part: str) -> None:
    api = b.service("api")
    now = b.snapshot([MGR, WRK], [api], [b.task(api, WRK)], troubles={part: "no answer within 25 s"})
    made = await plan("node.drain", now, node="wrk1")
    told = [*made.warnings, *made.notes]
    assert (made.impact is not None and not made.impact.known) or any(part in line for line in told)


@pytest.mark.parametrize("part", ["services", "tasks"])
async def test_an_impact_nobody_knows_is_not_an_impact_of_nothing(part: str) -> None:
    api = b.service("api")
    made = await plan("node.drain", b.snapshot([MGR, WRK], [api], [b.task(api, WRK)], unread=[part]), node="wrk1")
    assert made.impact is not None and not made.impact.known


async def test_a_host_that_cannot_be_looked_at_does_not_hold_up_the_plan() -> None:
    opened = session(b.snapshot([MGR, WRK]))
    fake(opened).hosts[WRK["ID"]] = Host({"docker ps": Completed(1, err="permission denied")})
    made = await plan("node.drain", b.snapshot([MGR, WRK]), node="wrk1")
    assert made.steps and not any("Container" in note for note in made.notes)
