"""The plan of swarm.backup: whom it takes, what it says, what it refuses, and its commands (procedures.md K1)."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from swarmtui.config import BackupsConfig, ClusterConfig
from swarmtui.errors import RefusedError, UsageError
from swarmtui.link.reasons import LinkError, Reason
from swarmtui.link.ssh import Completed
from swarmtui.link.target import SshTarget
from swarmtui.runbooks import registry, render
from swarmtui.runbooks.runbook import Danger
from swarmtui.runbooks.swarm.backups import here
from swarmtui.runbooks.swarm.backups.backup_steps import tar_trouble
from swarmtui.vault import Kind, Secret
from tests import builders as b
from tests.runbooks.backup_support import KEY, BackupSession, made

JOB = r"\d{8}T\d{6}Z-[0-9a-f]{8}"
LEFT = "20261120T010203Z-00c0ffee"


def managers(count: int = 3, **options: Any) -> list[b.Json]:
    found = [
        b.node(f"mgr{i}", manager="leader" if i == 1 else "reachable", addr=f"10.0.0.{i}", **options)
        for i in range(1, count + 1)
    ]
    for place, each in enumerate(found):
        each["CreatedAt"] = f"2024-05-01T10:00:{10 + place}.0Z"
    return found


@pytest.fixture
def opened(tmp_path: Path) -> Any:
    def make(nodes: list[b.Json] | None = None, services: Any = (), tasks: Any = (), **options: Any) -> BackupSession:
        options.setdefault("through", b.object_id("node", "mgr1"))
        return BackupSession(b.snapshot(nodes or managers(), services, tasks), tmp_path / "backups", **options)

    return make


# -- which manager -----------------------------------------------------------------------------------------------------


async def test_the_newest_of_the_least_loaded_that_is_not_the_leader(opened: Any) -> None:
    plan = await made(opened())
    assert plan.touches == ("mgr3",)
    assert plan.changes[0] == ("plain", "Manager: mgr3, because: not the leader, and of those the newest.")

    api, nodes = b.service("api"), managers()
    plan = await made(opened(nodes, [api], [b.task(api, nodes[2])]))
    assert plan.touches == ("mgr2",)
    assert "it runs the fewest tasks (0)" in plan.changes[0][1]


async def test_one_that_cannot_be_reached_over_ssh_is_passed_over_and_named(opened: Any) -> None:
    session = opened()
    del session.machines["mgr3"]
    plan = await made(session)
    assert plan.touches == ("mgr2",)
    assert any(w.startswith("mgr3 would have come first, but: mgr3 cannot be reached") for w in plan.warnings)


async def test_none_can_be_reached(opened: Any) -> None:
    session = opened()
    del session.machines["mgr3"], session.machines["mgr2"]
    # The leader could be, but it was not asked for.
    with pytest.raises(RefusedError, match="mgr3 cannot be reached over SSH"):
        await made(session)
    assert (await made(session, node="mgr1")).touches == ("mgr1",)


async def test_the_leader_only_when_asked_for_and_with_a_warning(opened: Any) -> None:
    plan = await made(opened(), node="mgr1")
    assert plan.touches == ("mgr1",)
    (told,) = [w for w in plan.warnings if "leader" in w]
    assert "10 to 26 s" in told
    assert "node.demote node=mgr1" in told
    assert [step.id for step in plan.steps][:2] == ["move", "archive"]
    assert plan.leaving == (b.object_id("node", "mgr1"),)


async def test_names_that_are_no_managers(opened: Any) -> None:
    session = opened([*managers(), b.node("wrk1", addr="10.0.1.1")])
    with pytest.raises(RefusedError, match="wrk1 is a worker"):
        await made(session, node="wrk1")
    with pytest.raises(UsageError):
        await made(session, node="nobody")


# -- the quorum: by hand, voters and reachable → is it a rule, a warning, or neither -----------------------------------


@pytest.mark.parametrize(
    ("voters", "up", "said"),
    [
        (1, 1, "only manager"),
        (2, 2, "rule"),
        (3, 3, "no other manager may fail"),
        (3, 2, "rule"),
        (4, 4, "no other manager may fail"),
        (5, 5, ""),
        (5, 4, "no other manager may fail"),
        (5, 3, "rule"),
        (7, 7, ""),
        (7, 5, "no other manager may fail"),
        (7, 4, "rule"),
    ],
)
async def test_quorum_while_it_is_down(opened: Any, voters: int, up: int, said: str) -> None:
    nodes = managers(voters)
    for node in nodes[up:]:
        node["ManagerStatus"]["Reachability"] = "unreachable"
        node["Status"]["State"] = "down"
    plan = await made(opened(nodes))
    assert [rule.id for rule in plan.rules] == (["quorum"] if said == "rule" else [])
    warned = [w for w in plan.warnings if "no other manager may fail" in w or "only manager" in w]
    assert len(warned) == (1 if said not in ("", "rule") else 0)
    if warned:
        assert said in warned[0]
    named = [w for w in plan.warnings if "cannot be reached; it does not count" in w]
    assert len(named) == voters - up
    if said == "rule":
        assert str(plan.rules[0]) == f"quorum={plan.touches[0]}"


async def test_without_quorum_there_is_nothing_to_compare_with(opened: Any) -> None:
    nodes = managers()
    for node in nodes[1:]:
        node["ManagerStatus"]["Reachability"] = "unreachable"
        node["Status"]["State"] = "down"
    with pytest.raises(RefusedError, match="no quorum"):
        await made(opened(nodes))


async def test_a_locked_manager_is_named_as_such(opened: Any) -> None:
    nodes = managers(5)
    nodes[4]["ManagerStatus"]["Reachability"] = "unreachable"
    nodes[4]["Status"]["State"] = "down"
    session = opened(nodes)
    session.snapshot = msgspec.structs.replace(session.snapshot, locked=frozenset({b.object_id("node", "mgr5")}))
    assert any("mgr5 is locked: unlock it first" in w for w in (await made(session)).warnings)


# -- the key -----------------------------------------------------------------------------------------------------------


async def test_autolock_without_the_key_in_the_vault_is_a_rule(opened: Any) -> None:
    session = opened(autolock=True)
    plan = await made(session)
    assert [str(rule) for rule in plan.rules] == ["unlock-key=mgr3"]
    assert KEY not in json.dumps(render.plan_json(plan))
    assert KEY not in json.dumps(plan.facts)

    await session.vault.store_unlock_key(b.CLUSTER, Secret(KEY), "current", 1.0)
    plan = await made(session)
    assert not plan.rules
    assert [step.id for step in plan.steps] == ["archive", "unlock", "back", "fetch", "clear", "verify"]
    (unlock,) = [shown.as_sh for step in plan.steps if step.id == "unlock" for shown in step.shown]
    assert unlock == "docker swarm unlock-key -q | ssh -- root@10.0.0.3 'docker swarm unlock'"


# -- the host and this place -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "answer", "sentence"),
    [
        ("tar --version", Completed(0, "tar (busybox) 1.36\n", ""), "There is no GNU tar on mgr3"),
        ("du -sb /var/lib/docker/swarm", Completed(1, "", "du: cannot access"), "cannot be read: du: cannot access"),
        ("id -u", Completed(0, "1000\n", ""), "only root reads /var/lib/docker/swarm"),
        (
            "df -Pk /var/lib/swarmtui /var/lib",
            Completed(0, "F b U A\n/dev/sda1 9 9 200000 9% /\n", ""),
            "205 MB free in /var/lib, and 257",
        ),
        (
            "systemctl is-active docker.socket docker.service",
            Completed(3, "active\ninactive\n", ""),
            "docker.service does not run on mgr3",
        ),
    ],
)
async def test_a_host_on_which_it_cannot_be_taken(opened: Any, line: str, answer: Completed, sentence: str) -> None:
    session = opened()
    session.machines["mgr3"].answers[line] = answer
    with pytest.raises(RefusedError, match=re.escape(sentence)):
        await made(session, node="mgr3")


async def test_sudo_that_wants_a_password(opened: Any) -> None:
    session = opened(cluster=ClusterConfig(sudo=True))
    session.machines["mgr3"].answers["sudo -n true"] = Completed(1, "", "sudo: a password is required")
    with pytest.raises(RefusedError, match="sudo -n does not work on mgr3: sudo: a password is required"):
        await made(session, node="mgr3")


async def test_with_sudo_every_command_of_root_has_it(opened: Any) -> None:
    plan = await made(opened(cluster=ClusterConfig(sudo=True)))
    on_host = [shown.line for step in plan.steps for shown in step.shown if shown.host]
    assert on_host and all(line.startswith("sudo -n ") for line in on_host)


@pytest.mark.parametrize("root", ["/var/lib/docker; reboot", "relative", "/a/../b", "/x y"])
async def test_a_data_root_that_is_no_path(opened: Any, root: str) -> None:
    session = opened()
    session.root = root
    with pytest.raises(RefusedError, match="no path to work with"):
        await made(session, node="mgr3")
    assert not any(root in line for line in session.machines["mgr3"].ran)


async def test_the_real_data_root_is_archived(opened: Any) -> None:
    session = opened()
    session.root = "/srv/docker"
    session.machines["mgr3"].answers["du -sb /srv/docker/swarm"] = Completed(0, "1000\t/srv/docker/swarm\n", "")
    plan = await made(session)
    assert "--directory=/srv/docker swarm" in plan.steps[0].shown[1].line


async def test_no_space_or_no_right_here(opened: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    session = opened()
    monkeypatch.setattr(here, "free_in", lambda folder: (100_000_000, ""))
    with pytest.raises(RefusedError, match=f"There are 100 MB free in {session.folder}, and 162 MB are needed"):
        await made(session)
    monkeypatch.setattr(here, "free_in", lambda folder: (-1, "/x cannot be written to."))
    with pytest.raises(RefusedError, match=r"cannot be kept in .*: /x cannot be written to"):
        await made(session)


def test_where_there_is_room(tmp_path: Path) -> None:
    free, trouble = here.free_in(tmp_path / "not" / "there" / "yet")
    found = os.statvfs(tmp_path)
    assert trouble == ""
    assert abs(free - found.f_bavail * found.f_frsize) < 1 << 30
    (tmp_path / "file").touch()
    assert here.free_in(tmp_path / "file") == (-1, f"{tmp_path}/file cannot be written to.")


# -- what is said ------------------------------------------------------------------------------------------------------


async def test_encryption_is_offered_and_then_asked_for_again(opened: Any) -> None:
    session = opened()
    (first,) = [w for w in (await made(session)).warnings if "NOT encrypted" in w]
    assert "This is the first backup of this cluster: now is the time." in first
    assert f"swarmtui secrets set backup-passphrase {b.CLUSTER}" in first and "recipients" in first

    await session.vault.put(Kind.BACKUP_PASSPHRASE, b.CLUSTER, Secret("a good one"))
    plan = await made(session)
    assert not [w for w in plan.warnings if "encrypted" in w]
    assert any("with the passphrase from the vault" in note for note in plan.notes)

    # What opens backups that were encrypted for it is no passphrase for new ones.
    await session.vault.put(Kind.BACKUP_PASSPHRASE, b.CLUSTER, Secret("AGE-SECRET-KEY-1QQQQ"))
    assert [w for w in (await made(session)).warnings if "NOT encrypted" in w]

    object.__setattr__(session.opening, "backups", BackupsConfig(recipients=("age1xyz",)))
    assert any("for the recipients" in note for note in (await made(session)).notes)


async def test_ucp_and_other_containers_stop_too_and_ucp_is_waited_for(opened: Any) -> None:
    session = opened()
    ps = "docker ps --format '{{.Names}} {{.Label \"com.docker.swarm.task.id\"}}|{{.Status}}'"
    names = "ucp-controller |Up 2 hours (healthy)\nucp-kv |Up 2 hours\nregistry |Up 1 second\nweb.1.abc tsk|Up 3 days\n"
    session.machines["mgr3"].answers[ps] = Completed(0, names, "")
    plan = await made(session)
    assert any("UCP's containers on mgr3 stop too (2 of them)" in w for w in plan.warnings)
    assert any(w.endswith("restart policy says so: registry.") for w in plan.warnings)
    assert [step.id for step in plan.steps] == ["archive", "back", "ucp", "fetch", "clear", "verify"]
    (wait,) = [step for step in plan.steps if step.id == "ucp"]
    assert wait.containers == ("ucp-controller", "ucp-kv")  # type: ignore[attr-defined]
    assert wait.shown[0].words == "wait until UCP on mgr3 is healthy, at most 600 s"

    sick = names.replace("Up 2 hours\n", "Restarting (1) 4 seconds ago\n")
    session.machines["mgr3"].answers[ps] = Completed(0, sick, "")
    (wait,) = [step for step in (await made(session)).steps if step.id == "ucp"]
    assert wait.containers == ("ucp-controller",)  # type: ignore[attr-defined]
    session.machines["mgr3"].answers[ps] = Completed(0, "ucp-controller |Up 2 hours (unhealthy)\n", "")
    plan = await made(session)
    assert "ucp" not in [step.id for step in plan.steps], "who was ill before is not waited for"


async def test_what_an_earlier_one_left_behind_is_cleaned_up_first(opened: Any) -> None:
    session = opened()
    answers = session.machines["mgr3"].answers
    answers["ls /var/lib/swarmtui/jobs"] = Completed(0, f"{LEFT}\nlost+found\n", "")
    look = f"cat /var/lib/swarmtui/jobs/{LEFT}/status; systemctl is-active swarmtui-job-{LEFT}"
    status = "1795290000 100.5 begin\n1795290000 100.6 stopping\n1795290001 101.0 stopped\n"
    answers[look] = Completed(3, f"{status}inactive\n", "")
    plan = await made(session)
    assert any(f"left its job {LEFT} on mgr3" in w and "may have left Docker stopped" in w for w in plan.warnings)
    assert plan.steps[0].id == "tidy"
    assert plan.steps[0].shown[0].line == (
        f"sh -c 'sh /var/lib/swarmtui/jobs/{LEFT}/after.sh; rm -rf /var/lib/swarmtui/jobs/{LEFT}'"
    )

    answers[look] = Completed(0, f"{status}active\n", "")
    with pytest.raises(RefusedError, match=f"its job {LEFT} runs there"):
        await made(session)


async def test_a_docker_that_another_backup_has_stopped_is_told_as_that(
    opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = opened()
    down = LinkError(Reason.DOCKER_DOWN, "root@mgr3", host="mgr3", because="docker.service is inactive")

    async def engine_of(target: SshTarget) -> Any:
        raise down

    monkeypatch.setattr(session, "engine_of", engine_of)
    with pytest.raises(RefusedError, match="Docker is not running on mgr3: docker"):
        await made(session, node="mgr3")
    answers = session.machines["mgr3"].answers
    answers["ls /var/lib/swarmtui/jobs"] = Completed(0, f"{LEFT}\n", "")
    look = f"cat /var/lib/swarmtui/jobs/{LEFT}/status; systemctl is-active swarmtui-job-{LEFT}"
    answers[look] = Completed(0, "1795290000 100.5 begin\n1795290000 100.6 stopping\nactive\n", "")
    with pytest.raises(RefusedError, match=f"Another backup is under way on mgr3: its job {LEFT} runs there"):
        await made(session, node="mgr3")


async def test_what_lies_on_another_manager_is_seen_too(opened: Any) -> None:
    session = opened()
    answers = session.machines["mgr2"].answers
    answers["ls /var/lib/swarmtui/jobs"] = Completed(0, f"{LEFT}\n", "")
    look = f"cat /var/lib/swarmtui/jobs/{LEFT}/status; systemctl is-active swarmtui-job-{LEFT}"
    answers[look] = Completed(3, "1795290000 100.5 begin\n1795290000 100.6 stopping\ninactive\n", "")
    plan = await made(session)
    assert plan.touches == ("mgr3",)
    assert any(f"left its job {LEFT} on mgr2" in w for w in plan.warnings)
    assert [step.id for step in plan.steps][:2] == [f"tidy-{b.object_id('node', 'mgr2')}", "archive"]
    assert plan.steps[0].shown[0].host == "root@10.0.0.2"

    answers[look] = Completed(0, "1795290000 100.5 begin\nactive\n", "")
    with pytest.raises(RefusedError, match=f"Another backup is under way on mgr2: its job {LEFT} runs there"):
        await made(session)


async def test_a_single_manager(opened: Any) -> None:
    plan = await made(opened(managers(1)))
    assert [step.id for step in plan.steps] == ["archive", "back", "fetch", "clear", "verify"]
    assert plan.changes[0][1] == "Manager: mgr1, because: it is the only manager."
    assert not plan.rules


async def test_hot_stops_nothing_and_says_what_that_means(opened: Any) -> None:
    nodes = managers(2)
    plan = await made(opened(nodes), hot="true")
    assert not plan.rules
    assert [step.id for step in plan.steps] == ["archive", "fetch", "clear", "verify"]
    assert (plan.danger, plan.leaving) == (Danger.SAFE, ())
    assert any("marked so for ever" in w for w in plan.warnings)
    assert "systemctl" not in " ".join(shown.line for step in plan.steps for shown in step.shown)
    about = plan.steps[1].about  # type: ignore[attr-defined]
    assert about.cold is False and any("possibly inconsistent" in note for note in about.notes)


# -- commands and binding ----------------------------------------------------------------------------------------------


async def test_the_commands_are_safe_to_type(opened: Any) -> None:
    plan = await made(opened())
    archive, back, fetch, clear, verify = plan.steps
    make, work = (shown.line for shown in archive.shown)
    (job,) = re.findall(JOB, make)
    folder = f"/var/lib/swarmtui/jobs/{job}"
    assert make == f"mkdir -p -m 0700 /var/lib/swarmtui /var/lib/swarmtui/jobs {folder}"
    assert work == (
        f"systemd-run --quiet --collect --unit=swarmtui-job-{job} --property=TimeoutStopSec=infinity "
        "'--property=ExecStopPost=systemctl start docker.socket docker.service' --wait "
        "sh -c 'umask 077 && systemctl stop docker.socket docker.service && tar --create "
        f"--file={folder}/archive.tar --sparse --hole-detection=raw --xattrs --numeric-owner "
        "--directory=/var/lib/docker swarm'"
    )
    assert {shown.host for shown in archive.shown} == {"root@10.0.0.3"}
    assert all(shown.words for shown in back.shown)
    assert fetch.shown[0].line.startswith("(umask 077; ssh -n -- root@10.0.0.3 ")
    assert clear.shown[0].line == f"rm -rf {folder}"
    assert verify.shown[-1].line == f"swarmtui backups verify latest --cluster {b.CLUSTER} || [ $? -eq 1 ]"
    assert (plan.danger, plan.typed) == (Danger.DISRUPTIVE, "")


async def test_without_systemd(opened: Any) -> None:
    session = opened()
    session.machines["mgr3"].answers["systemctl --version"] = Completed(127, "", "not found")
    plan = await made(session, node="mgr3")
    assert plan.steps[0].shown[1].line.startswith("setsid -w sh -c 'trap '\"'\"'service docker start'\"'\"' EXIT; ")


async def test_the_same_facts_make_the_same_plan_and_a_change_another_binding(opened: Any) -> None:
    session = opened()
    plan = await made(session)
    again = registry.runbook("swarm.backup").plan(plan.params, json.loads(json.dumps(plan.facts)))
    assert dataclasses.replace(again, facts=plan.facts) == plan

    nodes = managers()
    nodes[1]["ManagerStatus"]["Reachability"] = "unreachable"
    changed = await made(opened(nodes, through=b.object_id("node", "mgr1")), node="mgr3")
    named = await made(opened(), node="mgr3")
    assert named.binding == (await made(opened(), node="mgr3")).binding != changed.binding


async def test_locks_lie_on_its_own_host_first_and_on_all_that_are_up(opened: Any) -> None:
    nodes = managers(5)
    nodes[3]["ManagerStatus"]["Reachability"] = "unreachable"
    nodes[3]["Status"]["State"] = "down"
    plan = await made(opened(nodes))
    assert plan.exclusive == tuple(b.object_id("node", name) for name in ("mgr5", "mgr1", "mgr2", "mgr3"))


@pytest.mark.parametrize(
    ("code", "words", "told"),
    [
        ("2", "tar: /x: Wrote only 4096 of 10240 bytes", "the disk is full: tar failed (tar: /x: Wrote only"),
        ("2", "tar: /x: Cannot write: No space left on device", "the disk is full: tar failed (tar: /x: Cannot"),
        ("2", "tar: swarm: Cannot open: Permission denied", "tar failed (tar: swarm: Cannot open"),
        ("137", "", "tar failed (code 137)"),
        ("124", "", "tar took longer than 900 s"),
    ],
)
def test_why_there_is_no_archive(code: str, words: str, told: str) -> None:
    assert tar_trouble(code, words, 900).startswith(told)
