"""What of a job goes over SSH, and how its status is read. The scripts themselves: test_job_scripts.py."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from swarmtui.link import jobs
from swarmtui.link.job_scripts import Archiving
from swarmtui.link.jobs import Job, JobError
from swarmtui.link.ssh import Completed, SshHost

ID = "20261121T194900Z-0badcafe"
FOLDER = f"/var/lib/swarmtui/jobs/{ID}"
LOOK = f"cat {FOLDER}/status; systemctl is-active swarmtui-job-{ID}"
WHOLE = """1795290000 100.50 begin
1795290000 100.60 stopping
1795290002 102.00 stopped
1795290002 102.10 archiving
1795290003 103.00 archived
1795290005 104.85 started
1795290005 105.00 done 1234567
"""


@dataclass
class Host:
    """A host that answers what it is told to; to everything else that all is well."""

    answers: dict[str, Completed] = field(default_factory=dict)
    ran: list[tuple[str, bytes | None]] = field(default_factory=list)
    label: str = "root@mgr3"

    async def run(self, command: str, *, stdin: bytes | None = None, timeout: float) -> Completed:
        self.ran.append((command, stdin))
        return self.answers.get(command, Completed(0, "", ""))


def job(host: Host, **options: Any) -> Job:
    return Job(ID, cast(SshHost, host), **options)


def told(status: str, unit: str = "inactive") -> Host:
    return Host({LOOK: Completed(3, f"{status}{unit}\n", "")})


def test_ids() -> None:
    assert re.fullmatch(r"20261121T194900Z-[0-9a-f]{8}", jobs.new_id(1_795_290_540.9))
    assert jobs.new_id() != jobs.new_id()
    for wrong in ("", "../../etc", f"{ID}/x", f"{ID} x", ID.upper().replace("Z", "z"), f"{ID}\n"):
        with pytest.raises(ValueError, match="no name of a job"):
            Job(wrong, cast(SshHost, Host()))


@pytest.mark.parametrize("sudo", [False, True])
async def test_what_is_run_to_start_one(sudo: bool) -> None:
    host = Host()
    await job(host, sudo=sudo).start(Archiving(FOLDER, "/var/lib/docker", 900), b"{}")
    root = "sudo -n " if sudo else ""
    assert [line for line, _ in host.ran] == [
        f"{root}mkdir -p -m 0700 /var/lib/swarmtui /var/lib/swarmtui/jobs {FOLDER}",
        f"{root}tee {FOLDER}/before.json > /dev/null",
        f"{root}tee {FOLDER}/after.sh > /dev/null",
        f"{root}tee {FOLDER}/job.sh > /dev/null",
        f"{root}systemd-run --quiet --collect --unit=swarmtui-job-{ID} --property=TimeoutStopSec=infinity "
        f"'--property=ExecStopPost=/bin/sh {FOLDER}/after.sh' /bin/sh {FOLDER}/job.sh",
    ]
    assert host.ran[1][1] == b"{}"


async def test_without_systemd_a_guard_is_put_there_too() -> None:
    host = Host()
    await job(host, systemd=False).start(Archiving(FOLDER, "/var/lib/docker", 900, systemd=False), b"{}")
    *_, guard, launch = (line for line, _ in host.ran)
    assert guard == f"tee {FOLDER}/guard.sh > /dev/null"
    assert launch.startswith("sh -c ") and "setsid sh guard.sh" in launch


async def test_a_start_that_fails_says_that_nothing_was_stopped() -> None:
    host = Host({f"tee {FOLDER}/after.sh > /dev/null": Completed(1, "", "tee: No space left on device")})
    with pytest.raises(JobError, match="No space left on device") as raised:
        await job(host).start(Archiving(FOLDER, "/var/lib/docker", 900), b"{}")
    assert raised.value.next_step.startswith("Nothing was stopped.")
    assert not any("systemd-run" in line for line, _ in host.ran)


async def test_one_that_is_done() -> None:
    state = await job(told(WHOLE)).state()
    assert (state.there, state.alive, state.over, state.done, state.stopped_docker) == (True, False, True, True, False)
    assert state.size == 1_234_567
    assert state.downtime == pytest.approx(4.25)
    assert state.phase == "done"


@pytest.mark.parametrize(
    ("lines", "unit", "alive", "stopped"),
    [
        (1, "active", True, False),
        (2, "active", True, True),
        (4, "deactivating", True, True),
        (5, "failed", False, True),
        (6, "inactive", False, False),
        (0, "inactive", False, False),
    ],
)
async def test_one_that_is_under_way_or_ended_in_the_middle(lines: int, unit: str, alive: bool, stopped: bool) -> None:
    status = "".join(WHOLE.splitlines(keepends=True)[:lines])
    state = await job(told(status, unit)).state()
    assert (state.there, state.alive, state.over) == (lines > 0, alive, not alive)
    assert (state.done, state.stopped_docker, state.size) == (False, stopped, 0)


async def test_half_a_line_and_strange_ones_are_left_out() -> None:
    state = await job(told("17952\nnot a line at all\n1 2 begin\n1 x begin\n\n1795290000 3.5 failed tar 2\n")).state()
    assert [(note.word, note.more) for note in state.notes] == [("begin", ""), ("failed", "tar 2")]


async def test_a_downtime_over_a_reboot_is_none() -> None:
    state = await job(told("1 9000 stopping\n2 30 started\n")).state()
    assert state.downtime == 0.0


async def test_nobody_may_look() -> None:
    host = Host({LOOK: Completed(1, "", "sudo: a password is required\n")})
    with pytest.raises(JobError, match="a password is required"):
        await job(host).state()


@pytest.mark.parametrize(
    "said", ["", f"{'0' * 63}  archive.tar\n", f"{'0' * 64}  other\n", f"{'0' * 64}  archive.tar\nmore\n", "\\\n"]
)
async def test_a_digest_that_is_none(said: str) -> None:
    host = Host({f"cat {FOLDER}/sum": Completed(0, said, "")})
    with pytest.raises(JobError):
        await job(host).digest()


async def test_a_digest() -> None:
    host = Host({f"cat {FOLDER}/sum": Completed(0, f"{'ab' * 32}  archive.tar\n", "")})
    assert await job(host).digest() == "ab" * 32


async def test_leftovers_are_only_what_has_the_name_of_a_job() -> None:
    listing = f"{ID}\nlost+found\n../x\n20261120T000000Z-00000000\n"
    host = Host({"ls /var/lib/swarmtui/jobs": Completed(0, listing, "")})
    assert await jobs.leftovers(cast(SshHost, host), sudo=False) == ("20261120T000000Z-00000000", ID)
    nowhere = Host({"sudo -n ls /var/lib/swarmtui/jobs": Completed(2, "", "No such file or directory")})
    assert await jobs.leftovers(cast(SshHost, nowhere), sudo=True) == ()


@pytest.mark.parametrize(
    ("answer", "can"),
    [
        (Completed(0, "systemd 252 (252.39-1~deb12u1)\n+PAM\n", ""), True),
        (Completed(0, "systemd 236\n", ""), True),
        (Completed(0, "systemd 219\n", ""), False),
        (Completed(127, "", "systemctl: not found"), False),
        (Completed(0, "something else\n", ""), False),
    ],
)
async def test_whether_jobs_can_be_units(answer: Completed, can: bool) -> None:
    assert await jobs.has_systemd(cast(SshHost, Host({"systemctl --version": answer}))) is can


async def test_what_failed_twice_is_said_once() -> None:
    host = Host({f"cat {FOLDER}/err": Completed(0, "tar: x\n\nJob failed.\nJob failed.\n", "")})
    assert await job(host).words() == "tar: x Job failed"
    assert await job(Host({f"cat {FOLDER}/err": Completed(1, "", "No such file")})).words() == ""


async def test_how_long_ago() -> None:
    host = told(WHOLE)
    host.answers["cat /proc/uptime"] = Completed(0, "163.00 100.00\n", "")
    archived = (await job(host).state()).note("archived")
    assert archived is not None
    assert await job(host).seconds_ago(archived) == pytest.approx(60.0)
    host.answers["cat /proc/uptime"] = Completed(0, "12.00 10.00\n", "")
    assert await job(host).seconds_ago(archived) == -1.0
