"""What a Swarm contains, compared with a backup and with another day."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from swarmtui.model.inventory import Inventory, Item, NetworkItem, NodeItem, ServiceItem
from swarmtui.model.inventory_diff import compare, differences

WEB = ServiceItem(id="s1", name="web", version=20, image="alpine:1", replicas=2, networks=("front",), labels={"a": "b"})
AGENT = ServiceItem(id="s2", name="agent", version=21, image="alpine:1", mode="global")
NODE = NodeItem(id="n1", name="mgr1", version=30, role="manager", availability="active", address="10.0.0.1")
FRONT = NetworkItem(id="w1", name="front", labels={"tier": "front"}, driver="overlay", subnets=("10.0.1.0/24",))
TOKEN = Item(id="x1", name="token", version=12)
SWARM = Inventory(
    cluster_id="c1",
    cluster_version=11,
    nodes=(NODE,),
    services=(AGENT, WEB),
    networks=(FRONT,),
    secrets=(TOKEN,),
    configs=(Item(id="f1", name="app.yml", version=13),),
    tasks=3,
    index=40,
)


def test_from_the_api() -> None:
    found = Inventory.from_api(
        {
            "ID": "c1",
            "Version": {"Index": 11},
            "Spec": {"EncryptionConfig": {"AutoLockManagers": True}},
            "JoinTokens": {"Worker": "SWMTKN-1-secret"},
        },
        nodes=[
            {
                "ID": "n2",
                "Version": {"Index": 9},
                "Spec": {"Role": "worker", "Availability": "drain", "Labels": {"zone": "b"}},
                "Description": {"Hostname": "wrk1"},
                "Status": {"Addr": "10.0.0.2", "State": "down"},
            },
            {"ID": "n1", "Spec": {"Role": "manager"}, "Description": {"Hostname": "mgr1"}},
        ],
        services=[
            {
                "ID": "s3",
                "Version": {"Index": 44},
                "Spec": {
                    "Name": "job\x1b[31m",
                    "Labels": {"x": "1\r\n2"},
                    "Mode": {"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 7}},
                    "TaskTemplate": {
                        "ContainerSpec": {"Image": "alpine@sha256:0"},
                        "Networks": [{"Target": "w1"}, {"Target": "gone"}],
                    },
                    "Networks": [{"Target": "w1"}],
                },
            },
            {"ID": "s4", "Spec": {"Name": "global", "Mode": {"Global": {}}}},
            {"ID": "s5", "Spec": {"Name": "zero", "Mode": {"Replicated": {"Replicas": 0}}}},
        ],
        networks=[
            {
                "Id": "w1",
                "Name": "front",
                "Scope": "swarm",
                "Driver": "overlay",
                "Labels": {"tier": "front"},
                "IPAM": {"Driver": "default", "Config": [{"Subnet": "10.9.0.0/24", "Gateway": "10.9.0.1"}, {}, 3]},
            },
            {"Id": "w2", "Name": "odd", "Scope": "swarm", "IPAM": [], "Driver": None},
            {"Id": "b0", "Name": "bridge", "Scope": "local"},
        ],
        secrets=[{"ID": "x1", "Version": {"Index": 12}, "Spec": {"Name": "token", "Labels": {}}}],
        configs=[{"ID": "f1", "Version": {"Index": 13}, "Spec": {"Name": "app.yml", "Data": "c2VjcmV0"}}],
        tasks=8,
    )
    assert found == Inventory(
        cluster_id="c1",
        cluster_version=11,
        autolock=True,
        nodes=(
            NodeItem(id="n1", name="mgr1", role="manager"),
            NodeItem(
                id="n2",
                name="wrk1",
                version=9,
                labels={"zone": "b"},
                role="worker",
                availability="drain",
                address="10.0.0.2",
            ),
        ),
        services=(
            ServiceItem(id="s4", name="global", mode="global"),
            ServiceItem(
                id="s3",
                name="job�[31m",
                version=44,
                labels={"x": "1\n2"},
                image="alpine@sha256:0",
                mode="replicated-job",
                replicas=7,
                networks=("front", "gone"),
            ),
            ServiceItem(id="s5", name="zero", replicas=0),
        ),
        networks=(
            NetworkItem(id="w1", name="front", labels={"tier": "front"}, driver="overlay", subnets=("10.9.0.0/24",)),
            NetworkItem(id="w2", name="odd"),
        ),
        secrets=(Item(id="x1", name="token", version=12),),
        configs=(Item(id="f1", name="app.yml", version=13),),
        tasks=8,
        index=44,
    )
    assert msgspec.json.decode(msgspec.json.encode(found), type=Inventory) == found


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["ID", "Id", "Spec", "Name", "Version", "Index", "Mode", "Replicated", "Labels", "Scope", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)
OBJECTS = st.lists(st.dictionaries(st.sampled_from(["ID", "Spec", "Version", "Scope", "Name", "Id"]), JSON), max_size=3)


@settings(deadline=None)
@example({}, [], [{"Version": {"Index": False}}], [{"Version": {"Index": 1 << 70}}])
@given(JSON.filter(lambda one: isinstance(one, dict)), OBJECTS, OBJECTS, OBJECTS)
def test_whatever_the_api_says_makes_an_inventory_equal_to_itself(
    swarm: dict[str, object],
    some: list[dict[str, object]],
    others: list[dict[str, object]],
    more: list[dict[str, object]],
) -> None:
    found = Inventory.from_api(swarm, some, others, more, some, others, 1)
    assert compare(found, found, found).equal
    assert differences(found, found) == ()
    assert msgspec.json.decode(msgspec.json.encode(found), type=Inventory) == found


def test_a_backup_of_a_quiet_swarm_is_equal() -> None:
    told = compare(SWARM, SWARM, replace(SWARM, tasks=9))
    assert (told.equal, told.moved) == (True, ())


@pytest.mark.parametrize("version, equal", [(19, False), (20, True), (22, True), (25, True), (26, False)])
def test_a_service_that_moved_may_be_inside_at_any_version_in_between(version: int, equal: bool) -> None:
    after = replace(SWARM, services=(AGENT, replace(WEB, version=25, replicas=9)))
    inside = replace(SWARM, services=(AGENT, replace(WEB, version=version, replicas=9 if version == 25 else 2)))
    told = compare(inside, SWARM, after)
    assert told.equal is equal
    if equal:
        assert told.moved == ("service web changed while the backup was taken",)
    else:
        assert told.different == (f"service web has version {version} in the backup, 20 to 25 in the cluster",)


def test_what_moved_must_be_as_it_was_at_the_version_it_has() -> None:
    after = replace(SWARM, services=(AGENT, replace(WEB, version=25, replicas=9)))
    inside = replace(SWARM, services=(AGENT, replace(WEB, version=25, image="evil:1", replicas=9)))
    told = compare(inside, SWARM, after)
    assert told.different == ("service web is otherwise in the backup: image: alpine:1 → evil:1",)


def test_missing_extra_and_different() -> None:
    inside = replace(
        SWARM,
        autolock=True,
        secrets=(),
        configs=(*SWARM.configs, Item(id="f2", name="old", version=7)),
        networks=(replace(FRONT, labels={"tier": "back"}),),
    )
    told = compare(inside, SWARM, SWARM)
    assert not told.equal
    assert told.missing == ("secret token was in the cluster, and is not in the backup",)
    assert told.extra == ("config old is in the backup, and was not in the cluster",)
    assert told.different == (
        "autolock is on in the backup, off in the cluster",
        "network front is otherwise in the backup: label tier: front → back",
    )


def test_made_and_removed_in_between_is_named_and_fails_nothing() -> None:
    brief = Item(id="x9", name="brief", version=41)
    made, removed = Item(id="x8", name="made", version=44), Item(id="x7", name="removed", version=15)
    before = replace(SWARM, secrets=(removed, TOKEN))
    after = replace(SWARM, secrets=(made, TOKEN), index=50)
    for inside in (
        replace(SWARM, secrets=(brief, TOKEN)),
        replace(SWARM, secrets=(removed, TOKEN)),
        replace(SWARM, secrets=(made, TOKEN)),
    ):
        told = compare(inside, before, after)
        assert told.equal, told
        assert "secret made was made while the backup was taken" in told.moved
        assert "secret removed was removed while the backup was taken" in told.moved
    stale = replace(SWARM, secrets=(replace(removed, version=14), TOKEN))
    assert compare(stale, before, after).different
    risen = replace(SWARM, secrets=(replace(brief, version=39), TOKEN))
    assert compare(risen, before, after).extra, "it was removed before: the backup is of an older state"


def test_another_swarm_is_not_compared_by_luck() -> None:
    told = compare(replace(SWARM, cluster_id="c2"), SWARM, SWARM)
    assert told.different == ("the backup is of the Swarm c2, not of c1",)


def test_settings_of_another_version() -> None:
    assert compare(replace(SWARM, cluster_version=10), SWARM, SWARM).different
    after = replace(SWARM, cluster_version=14, autolock=True)
    told = compare(replace(SWARM, cluster_version=12), SWARM, after)
    assert (told.equal, told.moved) == (True, ("the Swarm's own settings changed while the backup was taken",))


def test_differences_of_two_days() -> None:
    new = replace(
        SWARM,
        autolock=True,
        nodes=(replace(NODE, version=99),),
        services=(
            replace(AGENT, version=60),
            replace(WEB, version=61, image="alpine:2", replicas=3, networks=("back",), labels={"a": "c", "d": ""}),
        ),
        secrets=(Item(id="x2", name="token", version=50),),
        configs=(),
    )
    told = [(one.kind, one.name, one.what, one.details) for one in differences(SWARM, new)]
    assert told == [
        ("swarm", "c1", "changed", ("autolock: off → on",)),
        ("service", "agent", "changed", ("something not listed here (version 21 → 60)",)),
        (
            "service",
            "web",
            "changed",
            (
                "image: alpine:1 → alpine:2",
                "replicas: 2 → 3",
                "network front is gone",
                "network back is new",
                "label a: b → c",
                "label d: (none) → (empty)",
            ),
        ),
        ("secret", "token", "removed", ("made anew: there is another of this name",)),
        ("secret", "token", "added", ("made anew: there was another of this name",)),
        ("config", "app.yml", "removed", ()),
    ]
    assert differences(SWARM, replace(SWARM, cluster_id="c2"))[0].details == ("another Swarm: c1 → c2",)


def test_a_network_is_compared_by_driver_and_subnets() -> None:
    """The API gives a network no version, so what it is like is all that tells."""
    other = replace(FRONT, driver="macvlan", subnets=("10.0.2.0/24", "fd00::/64"))
    said = ("driver: overlay → macvlan", "subnets: 10.0.1.0/24 → 10.0.2.0/24, fd00::/64")
    told = compare(replace(SWARM, networks=(other,)), SWARM, SWARM)
    assert told.different == (f"network front is otherwise in the backup: {'; '.join(said)}",)
    (found,) = differences(SWARM, replace(SWARM, networks=(other,)))
    assert (found.kind, found.what, found.details) == ("network", "changed", said)


def test_a_manifest_of_before_knows_no_driver_and_no_subnets() -> None:
    unknown = replace(SWARM, networks=(NetworkItem(id="w1", name="front", labels={"tier": "front"}),))
    written = msgspec.to_builtins(unknown)
    for network in written["networks"]:
        del network["driver"], network["subnets"]
    read = msgspec.convert(written, Inventory)
    assert read == unknown
    assert compare(SWARM, read, read).equal and compare(read, SWARM, SWARM).equal
    assert differences(read, SWARM) == () == differences(SWARM, read)
