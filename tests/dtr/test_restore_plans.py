"""The plan of dtr.restore, from facts alone: when it may be, the command, what goes, what is said and asked (T7)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from swarmtui.backups.manifest import DtrManifest
from swarmtui.errors import RefusedError
from swarmtui.model.dtr.seen import Told
from swarmtui.runbooks import params as kinds
from swarmtui.runbooks.dtr.found import DtrAccess, Replica
from swarmtui.runbooks.dtr.hosts import ReplicaOnHost
from swarmtui.runbooks.dtr.restore import DtrRestore
from swarmtui.runbooks.dtr.restore_facts import DtrBackupSeen, DtrRestoreFacts, place_of
from swarmtui.runbooks.dtr.restore_steps import RestoreDtr
from swarmtui.runbooks.render import script
from swarmtui.runbooks.runbook import Danger, Plan
from tests.dtr.archives import UCP
from tests.dtr.oracle import VERSIONS, check, check_certificates, runs_in
from tests.dtr.plans import place, steps_of, work
from tests.dtr.plans import replica as well
from tests.dtr.seen import ONE, THREE, TWO, parts
from tests.dtr.test_install_plans import NOW, OWN, node

URL = "https://dtr.example.com"
NFS = "nfs://10.0.0.9/images"
NODES = {ONE: "w1", TWO: "w2", THREE: "w3"}
EXITED = dict.fromkeys(("rethinkdb", "nginx", "api", "registry"), "Exited (1) 2 hours ago")


def silent(number: int, *, data: bool = True, runs: bool = True) -> Replica:
    """A replica of a DTR that does not answer, by what lies on its node alone."""
    one = well(number, member=None, health="", volumes=data)
    assert one.on is not None
    return replace(one, on=replace(one.on, parts=parts(one.id, told=None if runs else EXITED)))


def access(*replicas: Replica, told: Told | None = None, version: str = "2.4.1") -> DtrAccess:
    return DtrAccess(
        cluster="prod",
        cluster_id=UCP,
        version=version,
        replicas=replicas,
        told=told,
        trouble="" if told else "It is 503.",
    )


def dtr(version: str = "2.4.1", **more: Any) -> DtrManifest:
    given: dict[str, Any] = {
        "replica_id": ONE,
        "replicas": (ONE, TWO, THREE),
        "nodes": NODES,
        "external_url": URL,
        "storage": "nfs",
        "storage_at": NFS,
        "ucp_instance": UCP,
        "repositories": ("admin/app",),
    } | more
    return DtrManifest(version=version, **given)


def seen(version: str = "2.4.1", **more: Any) -> DtrBackupSeen:
    given: dict[str, Any] = {
        "verdict": "not proved",
        "because": "only a restore proves more",
        "opened": True,
        "dtr": dtr(version),
    } | more
    return DtrBackupSeen(
        id="20260101T000000Z-dtr-w1", cluster_id=UCP, age="5 h", digest="ab" * 32, path="/backups/x", encrypted=True,
        **given,
    )  # fmt: skip


def facts(version: str = "2.4.1", *replicas: Replica, **more: Any) -> DtrRestoreFacts:
    left = tuple(one.on for one in replicas if one.on is not None)
    given: dict[str, Any] = {
        "backup": seen(version),
        "known": access(*replicas, version=version) if replicas else None,
        "left": left,
        "work": work(version),
        "node": node("w1", 1, listening=(22, 80, 443) if any(one.parts for one in left) else (22,)),
        "storage": NFS,
        "own": None,
        "away": {},
        "silent": (),
        "instance": UCP,
        "destroying": {place_of(one): f"20261122T000000Z-1000000{n}" for n, one in enumerate(left)},
    } | more
    if replicas:
        given["node"] = replace(given["node"], there=tuple(one for one in left if one.node.name == "w1"))
    return DtrRestoreFacts(
        cluster="prod", cluster_id=UCP, replica_id=ONE, url=URL, http=80, https=443, now=NOW, managers=("m1",),
        upload="20261122T000000Z-0a0b0c0d", **given,
    )  # fmt: skip


def plan(found: DtrRestoreFacts) -> Plan:
    return DtrRestore().plan(kinds.parse("dtr.restore", DtrRestore.params, {}), msgspec.to_builtins(found))


def rules(found: DtrRestoreFacts) -> list[str]:
    return [str(rule) for rule in plan(found).rules]


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("storage", "flag"),
    [
        (NFS, ("--nfs-storage-url", NFS)),
        ("volume:images", ("--dtr-storage-volume", "images")),
        ("local", None),
        ("s3", None),
    ],
    ids=["nfs", "volume", "local", "s3"],
)
def test_everything_is_given_since_nothing_can_be_asked(
    version: str, storage: str, flag: tuple[str, str] | None
) -> None:
    made = plan(facts(version, storage=storage, own=OWN))
    (run,) = runs_in(script(made))
    check(run)
    assert (run.version, run.command) == (version, "restore")
    assert (run["--ucp-node"], run["--replica-id"], run["--dtr-external-url"]) == ("w1", ONE, URL)
    check_certificates(run)
    mandatory = version not in ("2.4.1", "2.4.14", "2.5.15")
    wanted = [flag] if flag is not None else [("--dtr-use-default-storage", "")] if mandatory else []
    assert [each for each in run.flags if "storage" in each[0]] == wanted
    step = next(step for step in made.steps if step.id == "restore")
    assert isinstance(step, RestoreDtr) and step.own == OWN
    restored = step.shown[-1].line
    assert "< /var/lib/swarmtui/jobs/20261122T000000Z-0a0b0c0d/backup.tar" in restored


def test_nothing_is_left_of_all_is_lost() -> None:
    made = plan(facts())
    assert steps_of(made) == ["upload", "image", "restore", "clear", "well", "repositories", "balancer"]
    assert made.rules == ()
    assert made.danger is Danger.DISRUPTIVE
    told = " ".join(made.notes)
    assert f"Images are not in the backup: they are on NFS at {NFS}" in told
    assert "Users and teams are not in it: they are UCP's" in told
    assert "swarmtui run dtr.join node=w2; swarmtui run dtr.join node=w3" in told
    assert ("warn", "DTR had 3 replicas, and has one afterwards: the others are to be joined.") in made.changes


# -- whether it may be -------------------------------------------------------------------------------------------------


def test_what_is_left_is_destroyed_and_said() -> None:
    made = plan(facts("2.4.1", silent(1, data=False), silent(2, data=False)))
    assert made.danger is Danger.DESTRUCTIVE
    assert made.typed == "prod"
    expected = [f"{step}-{one}" for one in (ONE, TWO) for step in ("destroy", "clear", "clear-job")]
    assert [step.id.replace("-w1", "").replace("-w2", "") for step in made.steps][2:8] == expected
    for run in runs_in(script(made)):
        check(run)
    assert sum("Destroyed first: 9 containers" in line for _, line in made.changes) == 2
    for step in made.steps[2:9]:
        assert "The archive lies on m1, in clear" in step.if_stopped


def test_what_is_of_another_version_is_cleared_without_its_command() -> None:
    other = access(silent(1, data=False), version="2.5.15")
    made = plan(facts("2.4.1", silent(1, data=False), known=other))
    assert [step for step in steps_of(made) if step.startswith(("destroy", "clear-"))] == [f"clear-{ONE}-w1"]
    assert any("of 2.5.15: afterwards it is 2.4.1 again" in warning for warning in made.warnings)


@pytest.mark.parametrize(
    ("version", "replicas", "words"),
    [
        ("2.4.1", (silent(1), silent(2)), "which is a majority, and still DTR does not answer: It is 503"),
        ("2.4.1", (silent(1), silent(2, runs=False)), "only does not run: started, they bring"),
        ("2.4.1", (silent(1, runs=False),), "docker start"),  # it was the only one: nothing is away
        ("2.7.8", (silent(1), silent(2, data=False)), f"swarmtui run dtr.repair replica={ONE}"),
        ("2.9.4", (silent(1, runs=False),), f"swarmtui run dtr.repair replica={ONE}"),
    ],
    ids=["up", "startable", "one", "repair", "repair-down"],
)
def test_the_gentler_way_is_named(version: str, replicas: tuple[Replica, ...], words: str) -> None:
    away = {THREE: "w3", TWO: "w2"} if version == "2.9.4" else {THREE: "w3"} if len(replicas) == 2 else {}
    with pytest.raises(RefusedError, match=words.replace(".", r"\.")):
        plan(facts(version, *replicas, away=away))


@pytest.mark.parametrize("away", [True, False])
def test_one_of_three_is_no_majority_though_it_is_all_that_can_be_seen(away: bool) -> None:
    """The hosts of the other two were rebuilt, or are in the Swarm no more: what they had is counted all the same."""
    gone = {TWO: "w2", THREE: "w3"}
    unseen: dict[str, Any] = {"away": gone} if away else {"away": {}, "lost": gone}
    for one in (silent(1), silent(1, runs=False)):
        for version in ("2.5.15", "2.7.8"):
            with pytest.raises(RefusedError, match=f"swarmtui run dtr.repair replica={ONE}"):
                plan(facts(version, one, **unseen))
        made = plan(facts("2.4.1", one, **unseen))
        assert f"destroy-{ONE}" in steps_of(made)
        assert [rule.id for rule in made.rules] == (["dtr-may-come-back"] * 2 if away else [])
        assert all("w2, which is not in the Swarm" in rule.what for rule in made.rules[:1])


def test_what_says_by_its_ping_that_it_is_well_is_not_restored() -> None:
    """Its API does not tell: a password, an authority or a timeout; whatever is counted, it works."""
    works = replace(access(silent(1)), works=True)
    with pytest.raises(RefusedError, match="says by /_ping that it is well") as caught:
        plan(facts("2.4.1", silent(1), known=works, lost={TWO: "w2", THREE: "w3"}))
    assert "swarmtui secrets set ucp-password prod" in caught.value.next_step


def test_a_dtr_that_answers_is_not_restored() -> None:
    healthy = facts(known=access(well(1), well(2), told=Told()))
    with pytest.raises(RefusedError, match="there is nothing to restore"):
        plan(healthy)
    sick = facts(known=access(well(1), well(2), well(3, health="reported too long ago"), told=Told()))
    with pytest.raises(RefusedError, match=f"swarmtui run dtr.remove replica={THREE}"):
        plan(sick)


def test_a_majority_that_may_come_back_is_asked_for_by_name() -> None:
    """2.4 with one of three left: nothing but a restore, once the other two are known to be lost."""
    one = facts("2.4.1", silent(1), away={TWO: "w2", THREE: "w3"}, silent=("w2", "w3"))
    assert rules(one) == [f"dtr-may-come-back={TWO}", f"dtr-may-come-back={THREE}"]
    assert any("when that host comes back its containers start again" in each for each in plan(one).warnings)
    elsewhere = facts("2.4.1", silent(1, data=False), silent(2, data=False), away={THREE: "w3"}, silent=("w3",))
    assert rules(elsewhere) == [f"dtr-may-come-back={THREE}"]
    by_hand = seen(dtr=dtr(nodes={}, replicas=(ONE,)))
    unsure = facts("2.4.1", silent(1), silent=("w2", "w3"), backup=by_hand)
    assert rules(unsure) == ["dtr-may-come-back=prod"]


def test_another_ucp_and_images_on_a_disk_are_asked_for_by_name() -> None:
    assert rules(facts(instance="z" * 25)) == ["dtr-other-ucp=prod"]
    assert rules(facts(instance="")) == []
    local = seen(dtr=dtr(storage="local", storage_at=""))
    left = silent(1, data=False)
    assert left.on is not None
    kept = ReplicaOnHost(id=ONE, node=place(1), volumes=(f"dtr-registry-{ONE}",))
    found = facts("2.4.1", replace(left, on=kept), backup=local, storage="local")
    assert rules(found) == [f"dtr-images-lost={ONE}"]
    assert f"tar -cf backup-images.tar -C /var/lib/docker/volumes dtr-registry-{ONE}" in plan(found).rules[0].what
    assert rules(facts("2.4.1", replace(left, on=kept))) == []


@pytest.mark.parametrize(
    ("backup", "words"),
    [
        (seen(verdict="no", because="it is cut off", opened=False), "would not restore: it is cut off"),
        (seen(opened=False, because="The vault has no passphrase"), "cannot be opened: The vault has no passphrase"),
    ],
    ids=["damaged", "sealed"],
)
def test_a_backup_that_is_none_is_refused_before_anything_goes(backup: DtrBackupSeen, words: str) -> None:
    with pytest.raises(RefusedError, match=words):
        plan(facts(backup=backup))


def test_no_ucp_no_restore() -> None:
    none = replace(work(), way=replace(work().way, trouble="It was uninstalled.", well=()))
    with pytest.raises(RefusedError, match="UCP of prod is not to be had: It was uninstalled"):
        plan(facts(work=none))


def test_what_differs_from_the_backup_is_warned_of() -> None:
    odd = seen(
        "2.4.1", dtr=dtr(external_url="https://old.example.com", replica_id=TWO, repositories=None, storage="s3")
    )
    told = " ".join(plan(facts(backup=odd, storage="s3", silent=("m3",))).warnings)
    for words in (
        "DTR was https://old.example.com then",
        f"of replica {TWO}, and it is restored as {ONE}",
        "in the object storage s3",
        "swarmtui run dtr.storage",
        "What lies of DTR on m3 could not be seen",
        "Nobody noted DTR's repositories",
        "writes credentials to the log driver",
    ):
        assert words in told
    alone = facts(storage="local", backup=seen(dtr=dtr(storage="local")))
    assert any("no second one can be joined" in warning for warning in plan(alone).warnings)


def test_a_confirmation_is_for_what_was_shown() -> None:
    first = plan(facts()).binding
    for more in (
        {"url": URL},
        {"storage": "local"},
        {"instance": "z" * 25},
        {"backup": seen(because="x", verdict="yes")},
    ):
        if "url" in more:
            assert plan(replace(facts(), url="https://other.example.com")).binding != first
        else:
            assert plan(facts(**more)).binding != first
    assert plan(facts("2.4.1", silent(1, data=False))).binding != first


# -- what cannot be seen -----------------------------------------------------------------------------------------------


def test_nothing_is_restored_while_dtr_answers_that_nobody_sees() -> None:
    with pytest.raises(RefusedError, match=r"https://dtr\.example\.com says by /_ping that it is well") as caught:
        plan(facts(answers=URL))
    assert "swarmtui doctor" in caught.value.next_step
    with pytest.raises(RefusedError, match="says by /_ping that it is well"):
        plan(facts("2.7.8", silent(1), answers=URL))
    with pytest.raises(RefusedError, match="there is nothing to restore"):
        plan(facts("2.4.1", well(1), known=access(well(1), told=Told()), answers=URL))


def test_a_replica_that_joined_after_the_backup_may_be_on_a_silent_node() -> None:
    one = facts("2.4.1", silent(1), away={TWO: "w2"}, lost={THREE: "w3"}, silent=("w2", "w4"))
    assert rules(one) == ["dtr-may-come-back=prod", f"dtr-may-come-back={TWO}"]
    told = next(rule.what for rule in plan(one).rules if rule.about == "prod")
    assert "joined after this backup may be on w4" in told and "w2" not in told
    # However many joined there: with those that are lost for good they are no majority.
    lost = facts(lost=NODES, silent=("w4",))
    assert rules(lost) == [] and any("DTR on w4 could not be seen" in told for told in plan(lost).warnings)
