"""The scripts of a job, run by a real sh on this machine; systemctl, service and tar are stand-ins with traces."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from swarmtui.link import job_scripts
from swarmtui.link.job_scripts import Archiving

SYSTEMCTL = """#!/bin/sh
echo "systemctl $*" >> {state}/calls
verb=$1; shift
[ "$1" = --quiet ] && shift
[ -f {state}/refuse-$verb ] && {{ echo "Job for docker.service failed." >&2; exit 1; }}
[ -f {state}/once-$verb ] && {{ rm {state}/once-$verb; echo "Start request repeated too quickly." >&2; exit 1; }}
case $verb in
  is-active) [ -f "{state}/$1" ] ;;
  stop) for unit in "$@"; do rm "{state}/$unit" || exit 5; done ;;
  start) for unit in "$@"; do touch "{state}/$unit"; done ;;
esac
"""
SERVICE = """#!/bin/sh
echo "service $*" >> {state}/calls
case $2 in
  status) [ -f "{state}/$1" ] ;;
  stop) rm "{state}/$1" ;;
  start) touch "{state}/$1" ;;
esac
"""
TAR = """#!/bin/sh
echo "tar $*" >> {state}/calls
{do}
exec {tar} "$@"
"""
FOREVER = 'touch {state}/writing; {tar} "$@"; for i in $(seq 400); do /bin/sleep 0.05; date >> {state}/beats; done'


@dataclass
class Bench:
    """A host of stand-ins. calls: what was called that changes something."""

    folder: Path
    work: Archiving
    state: Path = field(init=False)
    tools: Path = field(init=False)

    def __post_init__(self) -> None:
        self.state, self.tools = self.folder / "state", self.folder / "tools"
        for folder in (self.state, self.tools, Path(self.work.folder), Path(self.work.root) / "swarm"):
            folder.mkdir(parents=True)
        self.tool("systemctl", SYSTEMCTL)
        self.tool("service", SERVICE)
        self.tool("sleep", "#!/bin/sh\n")
        self.tar("")
        for unit in ("docker.socket", "docker.service", "docker"):
            (self.state / unit).touch()
        job = Path(self.work.folder)
        (job / "job.sh").write_text(job_scripts.job(self.work))
        (job / "after.sh").write_text(job_scripts.after(self.work))
        (job / "guard.sh").write_text(job_scripts.guard(self.work.folder))

    def tool(self, name: str, text: str) -> None:
        path = self.tools / name
        path.write_text(text.format(state=self.state) if "{state}" in text else text)
        path.chmod(0o755)

    def tar(self, do: str) -> None:
        real = shutil.which("tar")
        assert real
        self.tool("tar", TAR.format(state=self.state, do=do.format(state=self.state, tar=real), tar=real))

    def start(self, script: str = "job.sh") -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PATH": f"{self.tools}:{os.environ['PATH']}"}
        return subprocess.Popen(["/bin/sh", f"{self.work.folder}/{script}"], env=environment, start_new_session=True)

    def run(self, script: str = "job.sh") -> int:
        return self.start(script).wait(30)

    @property
    def calls(self) -> list[str]:
        lines = (self.state / "calls").read_text().splitlines() if (self.state / "calls").exists() else []
        return [
            line for line in lines if not line.startswith("tar") and "is-active" not in line and "status" not in line
        ]

    @property
    def words(self) -> list[str]:
        lines = (Path(self.work.folder) / "status").read_text().splitlines()
        for line in lines:
            at, up = line.split()[:2]
            assert abs(float(at) - time.time()) < 60
            assert float(up) > 0
        return [" ".join(line.split()[2:]) for line in lines]

    @property
    def archive(self) -> Path:
        return Path(self.work.folder) / "archive.tar"

    def runs(self, *units: str) -> bool:
        return all((self.state / unit).exists() for unit in units)


Made = Callable[..., Bench]
STOP = "systemctl stop docker.socket docker.service"
START = "systemctl start docker.socket docker.service"


@pytest.fixture
def bench(tmp_path: Path) -> Made:
    def make(*, hot: bool = False, systemd: bool = True, seconds: int = 20) -> Bench:
        work = Archiving(str(tmp_path / "job 1"), str(tmp_path / "docker's"), seconds, hot, systemd)
        made = Bench(tmp_path, work)
        swarm = tmp_path / "docker's" / "swarm"
        (swarm / "state.json").write_text("[]")
        (swarm / "state.json").chmod(0o640)
        with (swarm / "hole").open("wb") as file:
            file.truncate(8 << 20)
        return made

    return make


def until(what: Path) -> None:
    end = time.monotonic() + 20
    while not what.exists():
        assert time.monotonic() < end, f"{what} never came"
        time.sleep(0.02)


def test_docker_is_down_only_while_tar_writes(bench: Made) -> None:
    host = bench()
    host.tar("[ -f {state}/docker.service ] && exit 9; [ -f {state}/docker.socket ] && exit 9")
    assert host.run() == 0
    *words, done = host.words
    assert words == ["begin", "stopping", "stopped", "archiving", "archived", "started"]
    assert done == f"done {host.archive.stat().st_size}"
    assert host.calls == [STOP, START]
    assert host.archive.stat().st_size < 1 << 20, "the hole was written out"
    assert host.archive.stat().st_mode & 0o777 == 0o600
    assert (host.archive.parent / "sum").read_text() == (
        f"{hashlib.sha256(host.archive.read_bytes()).hexdigest()}  archive.tar\n"
    )
    with tarfile.open(host.archive) as tar:
        members = {member.name: member for member in tar}
    assert set(members) == {"swarm", "swarm/state.json", "swarm/hole"}
    assert members["swarm/state.json"].mode == 0o640
    assert members["swarm/hole"].size == 8 << 20
    # What systemd does afterwards changes nothing any more.
    assert host.run("after.sh") == 0
    assert host.calls == [STOP, START]
    assert host.archive.exists()


def test_only_what_ran_before_is_started(bench: Made) -> None:
    host = bench()
    (host.state / "docker.socket").unlink()
    assert host.run() == 0
    assert host.calls == ["systemctl stop docker.service", "systemctl start docker.service"]


def test_a_docker_that_does_not_run_is_left_alone(bench: Made) -> None:
    host = bench()
    (host.state / "docker.service").unlink()
    assert host.run() == 1
    assert host.words == ["begin", "failed not-running"]
    assert host.calls == []
    assert not host.runs("docker.service")


def test_a_docker_that_does_not_stop(bench: Made) -> None:
    host = bench()
    (host.state / "refuse-stop").touch()
    assert host.run() == 1
    assert host.words == ["begin", "stopping", "started", "failed stop"]
    assert host.calls == [STOP, START]
    assert not host.archive.exists()
    assert "Job for docker.service failed." in (host.archive.parent / "err").read_text()


def test_a_tar_that_fails_leaves_no_archive_and_docker_running(bench: Made) -> None:
    host = bench()
    host.tar('{tar} "$@"; echo "tar: No space left on device" >&2; exit 2')
    assert host.run() == 1
    assert host.words == ["begin", "stopping", "stopped", "archiving", "started", "failed tar 2"]
    assert host.runs("docker.socket", "docker.service")
    assert not host.archive.exists()
    assert (host.archive.parent / "err").read_text().rstrip().endswith("No space left on device")


def test_a_tar_that_hangs_is_ended(bench: Made) -> None:
    host = bench(seconds=1)
    host.tar("exec /bin/sleep 60")
    assert host.run() == 1
    assert host.words[-1] == "failed tar 124"
    assert host.runs("docker.socket", "docker.service")


def test_killed_while_tar_writes(bench: Made) -> None:
    host = bench()
    host.tar(FOREVER)
    process = host.start()
    until(host.state / "writing")
    for pid in (process.pid, *_children(process.pid)):  # as systemd does with all that is left of the unit
        os.kill(pid, signal.SIGKILL)
    process.wait()
    assert not host.runs("docker.service")
    assert host.run("after.sh") == 0
    assert host.words == ["begin", "stopping", "stopped", "archiving", "started"]
    assert host.runs("docker.socket", "docker.service")
    assert not host.archive.exists()


def test_told_to_end_while_tar_writes(bench: Made) -> None:
    host = bench()
    host.tar("touch {state}/writing; exec /bin/sleep 60")
    process = host.start()
    until(host.state / "writing")
    for pid in (process.pid, *_children(process.pid)):
        with contextlib.suppress(ProcessLookupError):  # what touched the file has ended meanwhile
            os.kill(pid, signal.SIGTERM)
    assert process.wait(20) == 1
    assert host.words[-1].startswith("failed ")
    assert host.runs("docker.socket", "docker.service")
    assert not host.archive.exists()


def _children(pid: int) -> list[int]:
    found = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return found + [deeper for each in found for deeper in _children(each)]


def test_a_docker_that_starts_only_when_asked_again(bench: Made) -> None:
    host = bench()
    (host.state / "once-start").touch()
    assert host.run() == 0
    assert host.calls == [STOP, START, "systemctl reset-failed docker.service", START]
    assert "started" in host.words


def test_a_docker_that_does_not_start_is_tried_again_by_whoever_comes(bench: Made) -> None:
    host = bench()
    (host.state / "refuse-start").touch()
    assert host.run() == 1
    assert host.words[-1] == "failed start"
    assert "start-failed" in host.words and "started" not in host.words
    (host.state / "refuse-start").unlink()
    assert host.run("after.sh") == 0
    assert host.words[-1] == "started"
    assert host.runs("docker.socket", "docker.service")


@pytest.mark.parametrize(("code", "ends"), [(0, 0), (1, 0), (2, 1)])
def test_a_hot_one_leaves_docker_alone_and_takes_changed_files(bench: Made, code: int, ends: int) -> None:
    host = bench(hot=True)
    host.tar(f'{{tar}} "$@"; exit {code}')
    assert host.run() == ends
    assert host.calls == []
    assert host.archive.exists() is (ends == 0)
    assert host.words[:2] == ["begin", "archiving"]
    assert host.words[-1].startswith("done" if ends == 0 else "failed tar 2")


def test_a_cold_one_takes_no_changed_files(bench: Made) -> None:
    host = bench()
    host.tar('{tar} "$@"; exit 1')
    assert host.run() == 1
    assert host.words[-1] == "failed tar 1"
    assert not host.archive.exists()


def test_without_systemd(bench: Made) -> None:
    host = bench(systemd=False)
    assert host.run("guard.sh") == 0
    assert host.words[-1].startswith("done")
    assert host.calls == ["service docker stop", "service docker start"]


def test_without_systemd_killed_while_tar_writes(bench: Made) -> None:
    host = bench(systemd=False)
    host.tar(FOREVER)
    guard = host.start("guard.sh")
    until(host.state / "beats")
    job, *_ = _children(guard.pid)
    os.kill(job, signal.SIGKILL)
    assert guard.wait(20) == 0
    assert host.words[-1] == "started"
    assert host.runs("docker")
    assert not host.archive.exists()
    beats = (host.state / "beats").stat().st_size
    time.sleep(0.4)
    assert (host.state / "beats").stat().st_size == beats, "tar still runs"
