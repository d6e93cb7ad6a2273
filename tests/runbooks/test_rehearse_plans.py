"""The plan of a rehearsal, and what is made of a host and of what came back: without a host or a Docker."""

from __future__ import annotations

import gzip
import io
import subprocess
import tarfile
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from swarmtui.backups.crypt import WrongIdentityError
from swarmtui.backups.errors import ArchiveError, BackupError, RaftError
from swarmtui.errors import RefusedError
from swarmtui.model.inventory import Inventory, Item, NodeItem, ServiceItem
from swarmtui.model.swarm import Cluster, SwarmInfo
from swarmtui.runbooks import registry, render
from swarmtui.runbooks.runbook import Danger, Plan
from swarmtui.runbooks.swarm.rehearsal.rehearse_commands import Commands, as_root, look
from swarmtui.runbooks.swarm.rehearsal.rehearse_facts import MB, Leftover, RehearsalFacts, RehearsalHost
from swarmtui.runbooks.swarm.rehearsal.rehearse_judge import judge, restorable, unlocked
from swarmtui.runbooks.swarm.rehearsal.rehearse_place import host_kind
from swarmtui.runbooks.swarm.rehearsal.rehearse_run import UnableError, WouldNotRestoreError, result_of, said_in
from swarmtui.vault import Secret

ID = "20261121T200301Z-3f9a0b1c"
OLD = "20261120T010101Z-00000001"
CLUSTER = "gcf6i02gy7c0xfddvj55hfoqh"
NODE = "dcx9zdx9qe6wfi2jstltppgkk"

HOST = RehearsalHost(
    target="ssh://root@10.0.0.9",
    label="root@10.0.0.9",
    destination="root@10.0.0.9",
    systemd=True,
    version="20.10.24+dfsg1",
    disk=50_000 * MB,
    memory=8_000 * MB,
    engine="812 3345",
)
FACTS = RehearsalFacts(
    id=ID,
    backup="20261121T194900Z-mgr2",
    cluster_id=CLUSTER,
    cluster="shop",
    node="mgr2",
    node_id=NODE,
    engine_version="20.10.24",
    size=128 * MB,
    counts="5 nodes",
    host=HOST,
    feed="swarmtui backups unlock 20261121T194900Z-mgr2 --output -",
)


def plan(facts: RehearsalFacts) -> Plan:
    """The plan as a resumed run makes it too: through JSON."""
    plain = msgspec.json.decode(msgspec.json.encode(facts))
    return registry.runbook("swarm.rehearse").plan({"backup": "latest", "host": facts.host.target}, plain)


def lines(facts: RehearsalFacts) -> list[str]:
    return [shown.line for step in plan(facts).steps for shown in step.shown]


# -- the plan --------------------------------------------------------------------------------------------------------


def test_the_plan_shows_every_command_and_where_it_runs() -> None:
    made = plan(FACTS)
    assert made.danger is Danger.SAFE and made.warnings == () and made.rules == ()
    (step,) = made.steps
    assert {shown.host for shown in step.shown} == {"root@10.0.0.9"}
    commands = FACTS.commands
    told = [shown.line for shown in step.shown]
    assert told == [
        commands.prepare,
        commands.isolate,
        commands.start(1),
        commands.stop(1),
        commands.send,
        commands.start(2),
        commands.init,
        *commands.reads,
        commands.down,
    ]
    (fed,) = [shown for shown in step.shown if shown.feed is not None]
    assert fed.line == commands.send and fed.feed is not None and fed.feed.line == FACTS.feed


def test_every_command_is_a_line_of_posix_sh() -> None:
    for sudo in (False, True):
        for systemd in (False, True):
            for memory in (0, 512):
                commands = Commands(ID, sudo=sudo, systemd=systemd, memory_mb=memory, hostname="mgr2")
                every: tuple[str, ...] = (
                    commands.prepare,
                    commands.isolate,
                    commands.start(1),
                    commands.stop(2),
                    commands.send,
                )
                every += (commands.init, commands.api, *commands.reads, commands.log(1), commands.beat, commands.down)
                for line in (*every, *commands.sweeps([OLD]), as_root(look(), sudo=sudo)):
                    assert "\n" not in line
                    assert line.startswith("sudo -n sh -c " if sudo else "sh -c ")
                    checked = subprocess.run(["sh", "-n", "-c", line], capture_output=True, check=False)
                    assert checked.returncode == 0, (line, checked.stderr)


def test_the_scripts_it_puts_there_are_posix_sh(tmp_path: Any) -> None:
    for systemd in (False, True):
        line = Commands(ID, systemd=systemd, hostname="mgr2").prepare.replace("/var/lib/swarmtui", str(tmp_path))
        subprocess.run(["sh", "-c", line], check=True)
        for script in ("inside", "guard", "after"):
            subprocess.run(["sh", "-n", str(tmp_path / "rehearsals" / ID / script)], check=True)
        subprocess.run(["sh", "-c", line], check=True)  # as a resumed run does
        assert (tmp_path / "rehearsals" / ID).stat().st_mode & 0o777 == 0o700
        subprocess.run(["rm", "-r", str(tmp_path / "rehearsals")], check=True)


def test_it_has_an_engine_a_containerd_and_a_network_of_its_own() -> None:
    prepare = FACTS.commands.prepare
    for word in ("--mount", "--net", "--pid", "--kill-child", "--containerd /run/c.sock", "--bridge none"):
        assert word in prepare
    assert prepare.index("There is a way out") < prepare.index("containerd --config")
    assert "--iptables=false --ip-masq=false --ip-forward=false" in prepare
    assert "/var/run/docker.sock" not in "".join(lines(FACTS))


@pytest.mark.parametrize("name", ["mgr2; rm -rf /", "$(id)", "-e", "a b", "x" * 64, ""])
def test_a_name_from_the_manifest_that_is_no_hostname_stays_out_of_the_shell(name: str) -> None:
    assert "/proc/sys/kernel/hostname" not in Commands(ID, hostname=name).prepare
    assert "mgr2 >/proc/sys/kernel/hostname" in Commands(ID, hostname="mgr2").prepare


@pytest.mark.parametrize("name", ["", "../x", "20261121T200301Z-3f9a0b1c/..", "x; reboot"])
def test_only_a_name_of_ours_becomes_a_folder(name: str) -> None:
    with pytest.raises(ValueError, match="is no name of a rehearsal"):
        Commands(name)


def test_leftovers_are_removed_first_and_what_runs_is_left_alone() -> None:
    alive = "20261121T195959Z-00000002"
    host = replace(HOST, leftovers=(Leftover(OLD, False), Leftover(alive, True)))
    told = lines(replace(FACTS, host=host))
    assert OLD in told[0] and not any(alive in line for line in told)
    assert any(alive in warning for warning in plan(replace(FACTS, host=host)).warnings)


def test_the_script_of_the_plan_runs_where_ssh_reaches_the_host() -> None:
    text = render.script(plan(FACTS))
    assert "# Run it where ssh reaches the hosts." in text
    assert f"{FACTS.feed} | ssh -- root@10.0.0.9 " in text
    assert subprocess.run(["sh", "-n"], input=text.encode(), check=False).returncode == 0


def test_on_this_machine_nothing_goes_over_ssh() -> None:
    here = replace(FACTS, host=replace(HOST, target="local", label="this machine", destination="", port=None))
    assert "ssh" not in render.script(plan(here)).replace("ssh reaches", "")
    assert any("run on this machine, as root" in note for note in plan(here).notes)
    assert not any("on a manager$" in line for _, line in render.plan_lines(plan(here)))


def test_another_look_at_an_unchanged_host_does_not_ask_again() -> None:
    again = replace(FACTS, id=OLD, host=replace(HOST, disk=49_000 * MB, memory=7_900 * MB))
    assert plan(again).binding == plan(FACTS).binding
    other = replace(FACTS, host=replace(HOST, version="26.1.5"))
    assert plan(other).binding != plan(FACTS).binding


# -- what stands in the way, and what is said ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"host": replace(HOST, missing=("dockerd", "containerd"))}, "has no Docker engine installed"),
        ({"host": replace(HOST, missing=("nsenter",))}, "lacks what a rehearsal needs: nsenter"),
        ({"host": replace(HOST, disk=600 * MB, memory=300 * MB)}, "has too little room: 600 MB are free in /var/lib"),
        ({"host": replace(HOST, trouble="Nobody answers at 10.0.0.9.")}, "Nobody answers"),
        ({"locked": True, "keys": 2}, "none of the 2 unlock keys that are known opens it"),
        ({"locked": True}, "no key is known"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_done(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(RefusedError, match=says) as refused:
        plan(replace(FACTS, **changed))
    assert refused.value.next_step


def test_without_the_memory_it_lies_on_disk_and_is_overwritten() -> None:
    poor = replace(FACTS, host=replace(HOST, memory=700 * MB))
    assert FACTS.in_memory and not poor.in_memory
    assert "mount -t tmpfs -o mode=700,size=320m" in FACTS.commands.prepare
    assert "tmpfs -o mode=700" not in poor.commands.prepare and "mount --bind" in poor.commands.prepare
    assert "shred -u" in poor.commands.down
    assert any("overwritten after" in note for note in plan(poor).notes)


def test_a_host_of_the_very_cluster_another_manager_and_another_version_are_warned_of() -> None:
    manager = SwarmInfo(local_node_state="active", control_available=True, cluster=Cluster(id=CLUSTER))
    (own,) = plan(replace(FACTS, host=replace(HOST, swarm=manager))).warnings
    assert "is a manager of the very cluster that was backed up" in own
    other = SwarmInfo(local_node_state="active", control_available=True, cluster=Cluster(id="other"))
    assert "is a manager of a Swarm" in plan(replace(FACTS, host=replace(HOST, swarm=other))).warnings[0]
    worker = SwarmInfo(local_node_state="active")
    assert "is a node of a Swarm" in plan(replace(FACTS, host=replace(HOST, swarm=worker))).warnings[0]
    (version,) = plan(replace(FACTS, host=replace(HOST, version="26.1.5+dfsg1"))).warnings
    assert "is 26.1.5+dfsg1, and the backup is of 20.10.24" in version


def test_what_a_host_answers_is_read() -> None:
    told = (
        "missing nsenter\nmissing unshare --kill-child (util-linux 2.32)\n"
        "version Docker version 26.1.5+dfsg1, build a72d7cd\nsystemd\n"
        "disk /dev/my disk 264212084 25972004 80418908 25% /\nmemory MemAvailable:   24000116 kB\n"
        f"left {OLD}\nalive {ID}\nleft ../../etc\nengine 77 4146828\n"
    )
    host = replace(HOST, systemd=False).read(told)
    assert host.missing == ("nsenter", "unshare --kill-child (util-linux 2.32)")
    assert (host.version, host.systemd, host.engine) == ("26.1.5+dfsg1", True, "77 4146828")
    assert (host.disk, host.memory) == (80418908 * 1024, 24000116 * 1024)
    assert host.leftovers == (Leftover(OLD, False), Leftover(ID, True))
    nothing = replace(HOST).read("sh: 1: nonsense\n")
    assert (nothing.version, nothing.disk, nothing.memory, nothing.engine) == ("", -1, -1, "")


def test_a_host_is_local_or_an_ssh_address() -> None:
    assert host_kind("local") == "local"
    assert host_kind("root@10.0.0.9") == "ssh://root@10.0.0.9"
    for wrong in ("unix:///var/run/docker.sock", "tcp://10.0.0.9:2375", "ssh://"):
        with pytest.raises(ValueError, match=r"^is "):
            host_kind(wrong)


# -- what is sent ----------------------------------------------------------------------------------------------------


class Held:
    """Files of a Swarm's directory, in memory."""

    def __init__(self, **files: bytes) -> None:
        self.files = {name.replace("__", "/"): content for name, content in files.items()}

    def names(self) -> Iterable[str]:
        return list(self.files)

    def read(self, name: str) -> bytes:
        return self.files[name]

    def size(self, name: str) -> int:
        return len(self.files[name])


def sent(files: Held, folders: Iterable[str] = (), key_file: bytes | None = None) -> dict[str, tuple[str, bytes]]:
    """What arrives: name → (mode, content)."""
    packed = gzip.decompress(b"".join(restorable(files, folders, key_file)))
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        assert all(member.isfile() or member.isdir() for member in tar.getmembers())
        return {
            member.name: (oct(member.mode), stream.read() if (stream := tar.extractfile(member)) is not None else b"")
            for member in tar.getmembers()
        }


def directory() -> Held:
    made = Held(raft__wal=b"w" * 3_000_000, state=b"[]")
    made.files |= {"docker-state.json": b"{}", "certificates/swarm-node.key": b"locked"}
    return made


def test_docker_state_is_left_out_and_the_key_file_goes_in_clear() -> None:
    came = sent(directory(), ["", "raft/", "raft/snap-v3-encrypted/"], b"in clear")
    assert came == {
        "certificates": ("0o700", b""),
        "raft": ("0o700", b""),
        "raft/snap-v3-encrypted": ("0o700", b""),
        "certificates/swarm-node.key": ("0o600", b"in clear"),
        "raft/wal": ("0o600", b"w" * 3_000_000),
        "state": ("0o600", b"[]"),
    }
    assert sent(directory())["certificates/swarm-node.key"] == ("0o600", b"locked")


@pytest.mark.parametrize("name", ["../etc/passwd", "/etc/passwd", "raft/../../x", "./x", "raft//x"])
def test_no_name_leads_outside(name: str) -> None:
    hostile = directory()
    hostile.files[name] = b"x"
    with pytest.raises(ArchiveError, match="leads outside"):
        sent(hostile)
    with pytest.raises(ArchiveError, match="leads outside"):
        sent(directory(), ["raft", "../out"])


def test_a_locked_key_file_without_its_key_is_named_and_no_key_is_told() -> None:
    pem = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nkek-version: 10\n\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
    files = directory()
    assert unlocked(files, []) is None
    files.files["certificates/swarm-node.key"] = pem
    wrong = Secret("SWMKEY-1-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
    with pytest.raises(RaftError, match="the only key there is opens it") as refused:
        unlocked(files, [wrong])
    assert wrong.reveal() not in str(refused.value)
    with pytest.raises(RaftError, match="no key is known"):
        unlocked(files, [])


# -- what came back --------------------------------------------------------------------------------------------------

WAS = Inventory(
    cluster_id=CLUSTER,
    cluster_version=40,
    autolock=True,
    nodes=(
        NodeItem(id=NODE, name="mgr2", version=12, role="manager", availability="active", address="10.0.0.2"),
        NodeItem(id="n3", name="mgr3", version=14, role="manager", availability="active", address="10.0.0.3"),
    ),
    services=(ServiceItem(id="s1", name="web", version=30, image="web:1", replicas=3),),
    secrets=(Item(id="k1", name="db-password", version=21),),
    tasks=9,
)
RESTORED = replace(
    WAS,
    cluster_version=55,
    autolock=False,
    tasks=14,
    nodes=(replace(WAS.nodes[0], name="spare", address="127.0.0.1", version=52), replace(WAS.nodes[1], version=53)),
)


def judged(restored: Inventory, node: str = NODE, after: Inventory | None = None) -> tuple[bool, tuple[str, ...]]:
    return judge(restored, node, expected_node=NODE, cluster_id=CLUSTER, before=WAS, after=after)


def test_what_a_restore_itself_changes_is_no_difference() -> None:
    ok, what = judged(RESTORED)
    assert ok, what
    assert what == (f"Restored in an isolated place: the Swarm {CLUSTER[:12]}, with 2 nodes, 1 service, 0 networks, "
                    "1 secret, 0 configs.",)  # fmt: skip


def test_an_empty_swarm_that_says_success_fails() -> None:
    ok, what = judged(Inventory(cluster_id="jv9lqgmfhlm5w23sjcceamsd6", nodes=RESTORED.nodes[:1]))
    assert not ok and "made another Swarm, jv9lqgmfhlm5w23sjcceamsd6" in what[0]
    # An empty one with the old node id, as 26.1 makes it without its raft log.
    ok, what = judged(Inventory(cluster_id=CLUSTER, nodes=RESTORED.nodes[:1]))
    assert not ok and "differs from the manifest in 3 points" in what[0] and len(what) == 4
    assert any("web" in sentence for sentence in what) and any("db-password" in sentence for sentence in what)


def test_another_node_fails_and_so_does_every_other_difference() -> None:
    ok, what = judged(RESTORED, node="someone-else")
    assert not ok and "the archive's certificate is of" in what[0]
    service = replace(RESTORED.services[0], image="web:2")
    ok, what = judged(replace(RESTORED, services=(service,)))
    assert not ok and "differs from the manifest in 1 point: " in what[0] and "web:1" in what[1]
    ok, _ = judged(replace(RESTORED, nodes=(RESTORED.nodes[0], replace(RESTORED.nodes[1], role="worker"))))
    assert not ok


def test_what_moved_while_the_backup_was_taken_is_named_and_no_failure() -> None:
    after = replace(WAS, services=(replace(WAS.services[0], version=33, image="web:2"),))
    ok, what = judged(replace(RESTORED, services=(replace(WAS.services[0], version=31, image="web:2"),)), after=after)
    assert ok and "changed while the backup was taken" in what[1]


def test_without_an_inventory_only_the_ids_are_compared() -> None:
    ok, what = judge(RESTORED, NODE, expected_node="", cluster_id=CLUSTER, before=None, after=None)
    assert ok and "no inventory to compare" in what[1]


def test_what_is_the_backups_fault_is_told_from_what_is_not() -> None:
    assert result_of(WouldNotRestoreError("It fails.")).result.ok is False
    assert result_of(BackupError("It is cut off.")).result.ok is False
    assert result_of(UnableError("No room.")).result.ok is None
    assert result_of(WrongIdentityError("Not this key.")).result.ok is None
    assert result_of(UnableError("No room.")).result.what == ("It could not be rehearsed: No room.",)


def test_of_a_log_line_only_the_message_is_told() -> None:
    line = 'time="2026-11-21T20:34:16Z" level=error msg="cluster exited: \\"walpb: crc mismatch\\"." module=node'
    assert said_in(line) == 'cluster exited: "walpb: crc mismatch"'
    assert "\x1b" not in said_in("panic: \x1b[31mruntime error")
