"""The lab itself: that its hosts are what they claim, and that nothing of it stays behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import fixtures, images, mirrors, state, why
from tests.lab.fixtures import MakeLab
from tests.lab.lab import Lab
from tests.lab.machine import CGROUPS, LOCKS, STATE, Process, kill_group, run, start_time, wait_for

needs_lab = pytest.mark.lab


def traces(number: int) -> list[str]:
    """All that can be seen of a lab on this machine."""
    found = [line for line in run(["ip", "netns", "list"]).stdout.splitlines() if line.startswith(f"stl{number}-")]
    found += [str(link) for link in Path("/sys/class/net").glob(f"stl{number}")]
    found += [path for path, _, _ in os.walk(CGROUPS) if Path(path).name.startswith(f"swarmtui-lab-{number}-")]
    found += [line for line in Path("/proc/mounts").read_text().splitlines() if f"swarmtui-lab/{number}/" in line]
    found += [str(path) for path in (STATE / str(number), LOCKS / f"{number}.lock") if path.exists()]
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = command.read_text().replace("\0", " ")
        except OSError:
            continue
        if f"{STATE}/{number}/" in text or f"swarmtui-lab-{number}-" in text:
            found.append(f"{command.parent.name}: {text[:120]}")
    return found


# --- what the hosts are ----------------------------------------------------------------------------------------


@needs_lab
def test_a_swarm_of_whole_hosts(lab: Lab) -> None:
    nodes = lab.nodes()
    assert [(n["Description"]["Hostname"], n["Status"]["Addr"]) for n in nodes] == [
        (host.name, host.address) for host in lab.hosts
    ]
    assert [n["ManagerStatus"]["Reachability"] for n in nodes if "ManagerStatus" in n] == ["reachable"] * 3
    assert {n["Description"]["Engine"]["EngineVersion"] for n in nodes} == {"20.10.24+dfsg1"}
    assert lab.leader.is_manager
    for host in lab.hosts:
        assert host.sh("cat /proc/1/comm; systemctl is-system-running").stdout.split() == ["systemd", "running"]


@pytest.mark.lab26
def test_the_other_engine(lab26: Lab) -> None:
    assert {n["Description"]["Engine"]["EngineVersion"] for n in lab26.nodes()} == {"26.1.5+dfsg1"}
    lab26["mgr1"].docker("service", "create", "-d", "--name=x", "--no-resolve-image", "alpine", "sleep", "1d")
    wait_for("the task runs", lambda: "1/1" in lab26["mgr1"].docker("service", "ls").stdout, 20, every=0.3)


@needs_lab
def test_ways_in(lab: Lab) -> None:
    host = lab["mgr1"]
    assert host.ssh("hostname; id -u").stdout.split() == ["mgr1", "0"]
    assert host.ssh("docker info -f '{{.Name}}'; sudo -n id -u", user="op").stdout.split() == ["mgr1", "0"]
    refused = host.ssh("docker ps", user="nodocker", check=False)
    assert refused.returncode and "permission denied" in refused.stderr
    command = ["docker", "-H", host.target, "node", "ls", "-q"]
    listed = subprocess.run(command, env=lab.ssh_env(), capture_output=True, text=True, timeout=30, check=True)
    assert len(listed.stdout.split()) == 5
    assert host.api("GET", "/info")["Name"] == "mgr1"


@needs_lab
def test_services_reach_each_other_over_an_overlay(lab: Lab) -> None:
    first = lab["mgr1"]
    first.docker("network", "create", "-d", "overlay", "--attachable", "wide")
    common = ("--network=wide", "--endpoint-mode=dnsrr", "--no-resolve-image")
    first.docker("service", "create", "-d", "--name=web", "--mode=global", *common, "alpine", "sleep", "1d")
    wait_for("5 tasks run", lambda: "5/5" in first.docker("service", "ls").stdout, 30, every=0.3)
    box = lab["wrk1"].docker("ps", "-q").stdout.split()[0]
    ping = "for ip in $(nslookup tasks.web | awk '/^Address/ && !/:53/ { print $NF }'); do ping -c1 -W2 $ip; done"
    answer = lab["wrk1"].docker("exec", box, "sh", "-c", ping).stdout
    assert answer.count(" 0% packet loss") == 5, answer


# --- faults ----------------------------------------------------------------------------------------------------


@needs_lab
def test_reboot_comes_back(lab: Lab) -> None:
    host = lab["mgr2"]
    before = host.leader
    host.reboot()
    assert host.leader != before and not before.alive()
    lab.wait_ready()


@needs_lab
def test_cut_and_mend(lab: Lab) -> None:
    host = lab["wrk1"]
    host.cut()
    assert not host.ssh_answers()
    assert host.sh("hostname").stdout.strip() == "wrk1"  # the way past the network
    host.mend()
    host.wait_ssh()


@needs_lab
def test_separated_hosts_keep_ssh(lab: Lab) -> None:
    one, other = lab["mgr1"], lab["mgr2"]
    reach = f"timeout 2 bash -c '</dev/tcp/{other.address}/22' 2>/dev/null"
    assert one.sh(reach, check=False).returncode == 0
    one.separate(other)
    assert one.sh(reach, check=False).returncode != 0
    assert one.ssh_answers() and other.ssh_answers()
    one.mend()
    assert one.sh(reach, check=False).returncode == 0
    other.block(22)
    assert not other.ssh_answers()
    other.unblock()
    assert other.ssh_answers()


@needs_lab
def test_power_cycle_keeps_the_swarm(make_lab: MakeLab) -> None:
    lab = make_lab(managers=1)
    host = lab["mgr1"]
    node = lab.nodes()[0]["ID"]
    host.power_off()
    assert not host.is_on() and not host.ssh_answers()
    assert (host.docker_folder / "swarm/docker-state.json").exists()
    host.power_on()
    lab.wait_ready()
    assert [n["ID"] for n in lab.nodes()] == [node]


@needs_lab
def test_a_frozen_host_hangs_and_thaws(lab: Lab) -> None:
    host = lab["wrk2"]
    host.freeze()
    assert host.is_frozen() and not host.ssh_answers()
    host.thaw()
    host.wait_ssh()


@needs_lab
def test_stopped_docker_stays_stopped(lab: Lab) -> None:
    host = lab["wrk1"]
    host.stop_docker()
    assert host.docker("ps", check=False).returncode != 0
    assert not host.docker_unit_active()
    host.start_docker()
    assert host.docker("ps").returncode == 0


@needs_lab
def test_full_disk_wrong_clock_and_sshd_settings(lab: Lab) -> None:
    host = lab["wrk1"]
    host.fill_disk("/var/backups")
    assert "No space left" in host.sh("cp /bin/tar /var/backups/", check=False).stderr
    host.free_disk()
    host.sh("cp /bin/tar /var/backups/")
    host.set_clock_offset(3600)
    assert 3590 < int(host.ssh("date +%s").stdout) - int(run(["date", "+%s"]).stdout) < 3610
    host.sshd("PermitRootLogin no")
    assert host.ssh("true", check=False).returncode == 255
    host.sshd()
    assert host.ssh("true").returncode == 0


@needs_lab
def test_a_disk_of_its_own_can_be_full(make_lab: MakeLab) -> None:
    host = make_lab(managers=1, swarm=False, disk_mb=64)["mgr1"]
    assert "alpine" in host.docker("images").stdout
    assert "No space left" in host.sh("cat /dev/zero >/var/lib/docker/full", check=False).stderr


# --- calm again ------------------------------------------------------------------------------------------------


@needs_lab
def test_reset_in_place(lab: Lab) -> None:
    first = lab["mgr1"]
    first.docker("network", "create", "-d", "overlay", "mine")
    first.docker("service", "create", "-d", "--name=x", "--network=mine", "--endpoint-mode=dnsrr",
                 "--no-resolve-image", "alpine", "sleep", "1d")  # fmt: skip
    first.docker("node", "update", "--label-add", "zone=a", "--availability", "drain", "wrk1")
    first.docker("swarm", "update", "--autolock")
    lab["wrk2"].stop_docker()
    lab["wrk2"].cut()
    lab["wrk1"].sh("touch /tmp/left /var/lib/docker/left")
    lab["wrk1"].ssh("setsid sleep 4242 >/dev/null 2>&1 </dev/null & echo")
    machines = [host.leader for host in lab.hosts]
    lab.reset()
    assert lab.reset_reason == ""
    assert machines == [host.leader for host in lab.hosts]
    assert first.api("GET", "/services") == [] and "mine" not in first.docker("network", "ls").stdout
    assert {n["Spec"]["Availability"] for n in lab.nodes()} == {"active"}
    assert all(not n["Spec"]["Labels"] for n in lab.nodes())
    assert not first.api("GET", "/swarm")["Spec"]["EncryptionConfig"]["AutoLockManagers"]
    left = lab["wrk1"].sh("ls -d /tmp/left /var/lib/docker/left; pgrep -f '[s]leep 4242'", check=False)
    assert left.stdout == ""


@needs_lab
def test_reset_on_new_machines(lab: Lab) -> None:
    keys = [host.public_host_key for host in lab.hosts]
    lab.add_image("stand-in:1", images.busybox_root((("bin/hello", b"#!/bin/sh\necho hello $1\n"),)))
    lab["mgr2"].destroy()
    lab["mgr3"].sh("docker swarm leave --force")
    lab.reset()
    assert "destroyed" in lab.reset_reason
    lab["mgr1"].docker("node", "promote", "wrk1")
    lab.reset()
    assert lab.reset_reason == "wrk1 is a manager"
    lab["wrk2"].sh("docker swarm leave && docker swarm init --advertise-addr " + lab["wrk2"].address)
    lab.reset()
    assert lab.reset_reason == "wrk2 is in another Swarm"
    assert lab["wrk2"].docker("run", "--rm", "--network=none", "stand-in:1", "hello", "you").stdout == "hello you\n"
    assert len(lab.nodes()) == 5 and keys == [host.public_host_key for host in lab.hosts]
    assert lab["mgr2"].ssh("hostname").stdout.strip() == "mgr2"


@needs_lab
def test_saved_disks_come_back(make_lab: MakeLab) -> None:
    lab = make_lab(managers=1)
    host = lab["mgr1"]
    host.docker("service", "create", "-d", "--name=kept", "--no-resolve-image", "alpine", "sleep", "1d")
    saved = lab.save()
    host.docker("service", "rm", "kept")
    lab.restore(saved)
    lab.wait_ready()
    assert "kept" in host.docker("service", "ls").stdout


# --- nothing stays behind --------------------------------------------------------------------------------------


@needs_lab
def test_two_labs_side_by_side_and_nothing_left_after_an_error(make_lab: MakeLab) -> None:
    one = make_lab(managers=1, swarm=False)
    with pytest.raises(ZeroDivisionError), Lab(managers=1) as other:
        number = other.number
        hosts = [one["mgr1"], other["mgr1"]]
        assert one.number != number and len({host.address for host in hosts}) == 2
        assert len({host.api("GET", "/info")["ID"] for host in hosts}) == 2
        assert len({host.sh("cat /etc/machine-id").stdout for host in hosts}) == 2
        assert len(traces(number)) > 6
        other["mgr1"].freeze()  # on cgroup v1 a frozen process outlives kill -9
        raise ZeroDivisionError
    assert traces(number) == []
    assert one["mgr1"].ssh("hostname").stdout.strip() == "mgr1"


@contextlib.contextmanager
def _child() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`python -m tests.lab` in a process of its own, once its lab is up; and the lab's number."""
    with subprocess.Popen(  # env: whatever this run ignores (nohup, &), a terminal's session does not
        [
            "env",
            "--default-signal=HUP,INT",
            sys.executable,
            "-m",
            "tests.lab",
            "--managers=1",
            "--workers=0",
            "--no-swarm",
        ],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as child:
        try:
            number = 0
            for line in child.stdout or ():
                if line.split()[:1] == ["mgr1"]:
                    number = int(line.split()[1].split(".")[2])
                if "Ctrl-C" in line:
                    break
            else:
                pytest.fail(f"no lab: exit {child.wait(10)}")
            assert len(traces(number)) > 6
            yield child, number
        finally:
            child.terminate()
            child.wait(20)


@needs_lab
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_nothing_left_after_a_signal(number: int, lab_session: Lab) -> None:
    with _child() as (child, lab):
        child.send_signal(number)
        assert child.wait(20) == 0
    assert traces(lab) == []


@needs_lab
def test_what_a_killed_run_left_is_swept_and_nothing_else(lab_session: Lab) -> None:
    with _child() as (child, lab):
        assert lab not in state.sweep()  # its owner lives
        assert len(traces(lab)) > 6
        child.kill()
        child.wait(10)
        assert len(traces(lab)) > 6
        state.sweep()  # or another run, that started just now and did it first
        wait_for(f"nothing is left: {traces(lab)[:3]}", lambda: not traces(lab), 10)
    assert lab_session["mgr1"].is_on() and lab_session["mgr1"].docker_answers()


def test_a_recycled_process_id_is_not_killed() -> None:
    sleeper = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        started = start_time(sleeper.pid)
        assert started
        kill_group(Process(sleeper.pid, started - 1))
        assert sleeper.poll() is None
        kill_group(Process(sleeper.pid, started))
        assert sleeper.wait(5) == -signal.SIGKILL
    finally:
        sleeper.kill()
        sleeper.wait()


# --- where it cannot run ---------------------------------------------------------------------------------------


def test_without_root_it_says_so_and_only_ci_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    why.why_no_lab.cache_clear()
    monkeypatch.setattr(why, "is_debian", lambda: True)
    monkeypatch.setattr(why, "which", lambda command: None if command == "debootstrap" else "/bin/true")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    try:
        assert (why.why_no_lab() or "").startswith("the lab needs root")
        monkeypatch.setenv("CI", "true")
        assert not why.lab_must_run()
        why.why_no_lab.cache_clear()
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        assert why.why_no_lab() == "the lab needs these packages: apt-get install debootstrap"
        with pytest.raises(pytest.fail.Exception):
            fixtures.demand_lab("20.10")
        monkeypatch.delenv("CI")
        with pytest.raises(pytest.skip.Exception):
            fixtures.demand_lab("20.10")
    finally:
        why.why_no_lab.cache_clear()


def test_mirrors_are_read_from_both_kinds_of_sources(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(
        "# deb http://commented.invalid/debian bookworm main\n"
        "deb [arch=amd64 signed-by=/x] http://one.invalid/debian/ bookworm main contrib # why\n"
        "deb-src http://src.invalid/debian bookworm main\n"
        "deb http://security.invalid/debian-security bookworm-security main\n"
    )
    (tmp_path / "sources.list.d/x.sources").write_text(
        "Types: deb\n# a note\nURIs: http://two.invalid/debian\nSuites: trixie trixie-updates\n"
        "Components:\n main\n\n"
        "Types: deb\nEnabled: no\nURIs: http://off.invalid/debian\nSuites: trixie\nComponents: main\n\n"
        "Types: deb\nURIs: http://other.invalid\nSuites: nodistro\nComponents: main\n"
    )
    assert mirrors.mirrors(tmp_path) == ["http://one.invalid/debian", "http://two.invalid/debian"]
