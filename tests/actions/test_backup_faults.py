"""swarm.backup on real engines, disturbed at every step: Docker runs again, nothing half-done is called a backup, and
going on (or beginning anew) says what happened and cleans up.

A case is (when, what): the words of the run at which it strikes, and what happens then.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.actions.backups import check_calm, docker_runs, slow_tar, taken
from tests.actions.cli import PROGRAM, Cli, Process
from tests.actions.truth import Truth
from tests.lab import Host, Lab
from tests.lab.machine import wait_for

NODE = "mgr3"
EVERYWHERE = (
    "The job has begun.",
    "Docker is being stopped.",
    "Docker is stopped.",
    "The Swarm directory is being archived.",
    "The archive is written",
    "Docker runs again.",
    f"Wait until {NODE} works again",
    "Fetch the archive into the catalogue",
    "The digest is the same on both ends",
    "Remove the job from",
    "Verify the backup",
)
"""All that a run says, in this order."""
HERE = EVERYWHERE if os.environ.get("SWARMTUI_ALL_FAULTS") else EVERYWHERE[1:10:2]
"""Where it is killed as a rule: each takes 10 s, and the simulator has them all (tests/faults/test_backup.py)."""
SHIM = """#!/bin/sh
case "$*" in *{verb}*docker*) echo 'Job for docker.service failed.' >&2; exit 1 ;; esac
exec /usr/bin/systemctl "$@"
"""
NO_TAR = """#!/bin/sh
case "$*" in *--create*) {do} ;; esac
exec /usr/bin/tar "$@"
"""


@pytest.fixture
def host(lab: Lab) -> Iterator[Host]:
    """The manager that is backed up; its tar takes a while."""
    found = lab[NODE]
    slow_tar(found, 1.5)
    yield found
    found.sh("rm -f /usr/local/bin/tar /usr/local/bin/systemctl; umount -l /var/lib/swarmtui 2>/dev/null; true")


def run_id_of(run: Process) -> str:
    return run.text.partition("(run ")[2].partition(")")[0]


def go_on(cli: Cli, run_id: str) -> str:
    """Goes on with a run until it is done; what it said."""
    result = cli("run", "--resume", run_id, "--yes", "--target", cli.target)
    assert result.code == 0, result
    assert result.out.endswith("Done and verified.\n"), result
    return result.out


def check_whole(count: int) -> None:
    """There are so many backups, all of them proved, and nothing half-done beside them."""
    found = taken()
    assert [one.verdicts for one in found] == [["yes"]] * count
    for one in found:
        drafts = [path.name for path in one.folder.parent.iterdir() if path.name.startswith(".")]
        assert drafts == []


@pytest.mark.lab
def test_killed_at_every_step(lab: Lab, host: Host, cli: Cli, truth: Truth) -> None:
    for count, words in enumerate(HERE, 1):
        with cli.started("swarm.backup", f"node={NODE}") as run:
            run.until(words)
            run.kill()
        wait_for(f"Docker runs again after a kill at {words!r}", lambda: docker_runs(host), 60)
        # One that was fetched is whole; it may only not be verified yet.
        assert len(taken()) - count in ((-1,) if EVERYWHERE.index(words) < 7 else (-1, 0)), words
        go_on(cli, run_id_of(run))
        check_whole(count)
    check_calm(lab, truth)


@pytest.mark.lab
def test_one_that_was_killed_is_cleaned_up_by_the_next(lab: Lab, host: Host, cli: Cli, truth: Truth) -> None:
    with cli.started("swarm.backup", f"node={NODE}") as run:
        run.until("Docker is stopped.")
        run.kill()
    refused = cli.run("swarm.backup", f"node={NODE}", "--yes")
    if refused.code != 0:  # its job still ran
        assert refused.code == 4, refused
        assert "Another backup is under way" in refused.err or "quorum" in refused.err or "not up" in refused.err
        wait_for("its job is over", lambda: "done" in host.sh("cat /var/lib/swarmtui/jobs/*/status").stdout, 60)
        wait_for("it is heard", lambda: truth.reachability(NODE) == "reachable", 60)
        wait_for("it is ready", lambda: truth.node(NODE)["Status"]["State"] == "ready", 60)
        plan = cli.plan("swarm.backup", f"node={NODE}")
        assert any("An earlier backup left its job" in warning for warning in plan["warnings"])
        result = cli.do("swarm.backup", f"node={NODE}")
        assert "a lock was left behind by swarm.backup" in result.out
        assert "its archive was never fetched" in result.out
    check_whole(1)
    check_calm(lab, truth)


@pytest.mark.lab
def test_the_connection_is_cut(lab: Lab, host: Host, cli: Cli, truth: Truth) -> None:
    points = ("Docker is being stopped.", "Docker is stopped.", f"Wait until {NODE} works again", "Fetch the archive")
    for count, words in enumerate(points, 1):
        with cli.started("swarm.backup", f"node={NODE}") as run:
            run.until(words)
            host.drop_ssh()
            result = run.end()
        if result.code != 0:
            go_on(cli, run_id_of(run))
        check_whole(count)
    check_calm(lab, truth)


def kill_script(host: Host) -> None:
    host.sh("systemctl kill --kill-who=main -s KILL 'swarmtui-job-*'")


def kill_all(host: Host) -> None:
    host.sh("systemctl kill --kill-who=all -s KILL 'swarmtui-job-*'")


@pytest.mark.parametrize(
    ("words", "strike"),
    [
        ("Docker is being stopped.", kill_script),
        ("Docker is stopped.", kill_script),
        ("Docker is stopped.", kill_all),
        ("Docker is stopped.", Host.reboot),
    ],
    ids=["script-killed-at-stop", "script-killed", "all-killed", "rebooted"],
)
@pytest.mark.lab
def test_the_job_ends_in_the_middle(
    lab: Lab, host: Host, cli: Cli, truth: Truth, words: str, strike: Callable[[Host], None]
) -> None:
    with cli.started("swarm.backup", f"node={NODE}") as run:
        run.until(words)
        strike(host)
        result = run.end()
    assert result.code == 1, result
    # systemd tells it to end when the host is booted; a kill tells nobody.
    how = "was interrupted on the host" if strike is Host.reboot else "ended in the middle of its work"
    assert f"No archive was made on {NODE}: the job {how}" in result.out, result.out
    assert "Docker was started again." in result.out or "Docker runs again." in result.out
    wait_for("Docker runs again", lambda: docker_runs(host), 60)
    assert taken() == []
    go_on(cli, run_id_of(run))
    check_whole(1)
    check_calm(lab, truth)


BROKEN = {
    "tar fails": ("tar", NO_TAR.format(do="echo broken >&2; exit 2")),
    "the disk is full": ("tar", NO_TAR.format(do="mount -o remount,size=64k /var/lib/swarmtui")),
    "Docker does not stop": ("systemctl", SHIM.format(verb="stop")),
    "Docker does not start": ("systemctl", SHIM.format(verb="start")),
}
TOLD = {
    "tar fails": "tar failed (broken). Docker runs again.",
    "the disk is full": "the disk is full: tar failed (",
    "Docker does not stop": "Docker did not stop (Job for docker.service failed). Docker",
    "Docker does not start": "Docker does NOT run there (Job for docker.service failed)",
}


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.replace(" ", "-"))
@pytest.mark.lab
def test_something_on_the_host_is_broken(lab: Lab, host: Host, cli: Cli, truth: Truth, case: str) -> None:
    tool, text = BROKEN[case]
    host.sh("mkdir -p /var/lib/swarmtui && mount -t tmpfs -o size=400m none /var/lib/swarmtui")
    host.sh(f"cat > /usr/local/bin/{tool} && chmod 755 /usr/local/bin/{tool}", data=text.encode())
    with cli.started("swarm.backup", f"node={NODE}") as run:
        result = run.end()
    assert result.code == 1, result
    assert TOLD[case] in result.out, result.out
    assert taken() == []
    assert "archive.tar" not in host.sh("ls /var/lib/swarmtui/jobs/*").stdout
    if case != "Docker does not start":
        assert docker_runs(host)
    host.sh(f"rm /usr/local/bin/{tool}; mount -o remount,size=400m /var/lib/swarmtui")
    out = go_on(cli, run_id_of(run))
    if case == "Docker does not start":
        assert "Docker was started again." in out
    check_whole(1)
    check_calm(lab, truth)


@pytest.mark.lab
def test_there_is_no_room_here(lab: Lab, host: Host, cli: Cli, truth: Truth) -> None:
    limited = ["sh", "-c", 'ulimit -f 4000; exec "$@"', "sh", *PROGRAM]
    done = subprocess.run(
        [*limited, "run", "swarm.backup", f"node={NODE}", "--yes", "--target", cli.target],
        capture_output=True,
        text=True,
        timeout=120,
        env=cli.environment,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 1, done
    assert "cannot be written: file too large" in done.stderr
    assert docker_runs(host)
    assert taken() == []
    run_id = done.stdout.partition("(run ")[2].partition(")")[0]
    out = go_on(cli, run_id)
    assert "Docker is being stopped." not in out, "it was stopped a second time"
    check_whole(1)
    check_calm(lab, truth)
