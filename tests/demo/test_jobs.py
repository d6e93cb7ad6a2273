"""Jobs on simulated hosts: the scripts that the product really puts there, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmtui.demo.hosts.commands import HostShell
from swarmtui.demo.hosts.jobs import Unit
from swarmtui.demo.hosts.script_parser import parse
from swarmtui.demo.hosts.shell import Output, ShellSyntaxError
from swarmtui.demo.serve import Demo
from swarmtui.demo.world import faults
from swarmtui.demo.world.host import File, Host
from swarmtui.demo.world.world import World
from swarmtui.link import job_scripts

ID = "20261121T201500Z-3fa2b1c0"
FOLDER = f"/var/lib/swarmtui/jobs/{ID}"
UNIT = f"swarmtui-job-{ID}"
WORK = job_scripts.Archiving(FOLDER, "/var/lib/docker", 900)


class Runner:
    """Starts a job on mgr2 and looks at it."""

    def __init__(self, demo: Demo) -> None:
        self.demo = demo
        self.host: Host = demo.world.hosts["mgr2"]
        self.shell = HostShell(demo.world, self.host)

    async def run(self, line: str, stdin: bytes = b"") -> Output:
        return await asyncio.wait_for(self.shell.run(line, stdin), 30)

    async def begin(self, work: job_scripts.Archiving = WORK) -> None:
        await self.run(f"mkdir -p -m 0700 /var/lib/swarmtui /var/lib/swarmtui/jobs {FOLDER}")
        await self.run(f"tee {FOLDER}/job.sh > /dev/null", job_scripts.job(work).encode())
        await self.run(f"tee {FOLDER}/after.sh > /dev/null", job_scripts.after(work).encode())
        started = await self.run(
            f"systemd-run --quiet --collect --unit={UNIT} --property=TimeoutStopSec=infinity "
            f"'--property=ExecStopPost=/bin/sh {FOLDER}/after.sh' /bin/sh {FOLDER}/job.sh"
        )
        assert started == Output()

    def words(self) -> list[str]:
        """What the job has noted, without the times."""
        status = self.host.files.get(f"{FOLDER}/status")
        lines = [] if status is None else status.data.decode().splitlines()
        return [line.split(" ", 2)[2] for line in lines]

    async def until(self, word: str) -> None:
        async with asyncio.timeout(20):
            while not any(noted.startswith(word) for noted in self.words()):  # noqa: ASYNC110
                await asyncio.sleep(0.002)

    async def over(self) -> list[str]:
        """Wait until nothing of the job runs any more; returns what it noted."""
        async with asyncio.timeout(20):
            while self.host.processes:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        return self.words()

    @property
    def unit(self) -> Unit:
        found = self.host.processes[UNIT]
        assert isinstance(found, Unit)
        return found

    @property
    def leavings(self) -> set[str]:
        return {path.rpartition("/")[2] for path in self.host.files if path.startswith(f"{FOLDER}/")}


@asynccontextmanager
async def running(speed: float = 50) -> AsyncIterator[Runner]:
    async with Demo("calm", speed=speed) as demo:
        yield Runner(demo)


async def test_a_cold_backup_from_beginning_to_end() -> None:
    async with running() as job:
        swarm = job.host.swarm
        assert swarm is not None
        await job.begin()
        assert (await job.run(f"systemctl is-active {UNIT}")).out == "active\n"
        await job.until("stopped")
        assert not job.host.docker
        assert not job.host.socket
        assert not swarm.raft.alive(swarm.raft.members[swarm.node_id]), "raft does without it meanwhile"
        assert not any(container.state == "running" for container in job.host.containers.values())
        notes = await job.over()
        assert notes[:-1] == ["begin", "stopping", "stopped", "archiving", "archived", "started"]
        assert (await job.run(f"systemctl is-active {UNIT}")) == Output(out="inactive\n", code=3)
        assert job.host.docker
        assert job.host.socket
        assert swarm.raft.alive(swarm.raft.members[swarm.node_id])
        data = (await job.run(f"cat {FOLDER}/archive.tar")).out.encode("utf-8", "surrogateescape")
        assert notes[-1] == f"done {len(data)}"
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            assert "swarm/certificates/swarm-node.key" in archive.getnames()
        summed = (await job.run(f"cat {FOLDER}/sum && sha256sum {FOLDER}/archive.tar")).out.split()
        assert summed == [summed[0], "archive.tar", summed[0], f"{FOLDER}/archive.tar"]
        listed = (await job.run(f"ls -l {FOLDER}/archive.tar")).out
        assert listed.startswith(f"-rw------- 1 root root {len(data)} ")
        assert (await job.run(f"stat -c %a {FOLDER}")).out == "700\n"
        await job.run(f"rm -rf {FOLDER}")
        assert job.leavings == set()


async def test_a_hot_one_leaves_docker_alone() -> None:
    async with running() as job:
        await job.begin(job_scripts.Archiving(FOLDER, "/var/lib/docker", 900, hot=True))
        await job.until("archiving")
        assert job.host.docker
        assert [word.partition(" ")[0] for word in await job.over()] == ["begin", "archiving", "archived", "done"]


@pytest.mark.parametrize("moment", ["begin", "stopping", "stopped", "archiving", "archived", "started"])
@pytest.mark.parametrize("how", ["kill -9", "kill -TERM", "systemctl stop", "systemctl kill"])
async def test_whatever_ends_the_job_docker_runs_again(moment: str, how: str) -> None:
    async with running(20) as job:
        await job.begin()
        await job.until(moment)
        pid = job.unit.pid
        shown = (await job.run(f"systemctl show --property=MainPID --value {UNIT}.service")).out
        assert shown == f"{pid}\n"
        lines = {
            "kill -9": f"kill -9 {pid}",
            "kill -TERM": f"kill -TERM {pid}",
            "systemctl stop": f"systemctl stop {UNIT}",
            "systemctl kill": f"systemctl kill --signal=KILL {UNIT}",
        }
        await job.run(lines[how])
        notes = await job.over()
        # Also what systemd was doing when nobody waited for it any more has ended by now.
        await job.demo.world.kernel.sleep(2)
        assert job.host.docker
        if "KILL" in lines[how] or "-9" in how:
            assert not any(word.startswith("done") for word in notes)
        elif not any(word.startswith("done") for word in notes):
            assert notes[-1] == "failed interrupted"
        if not any(word == "archived" for word in notes):
            assert "archive.tar" not in job.leavings


async def test_a_reboot_ends_it_and_docker_starts_with_the_host() -> None:
    async with running() as job:
        await job.begin()
        await job.run("mkdir -p /run/swarmtui/cluster && ln -sn 'who' /run/swarmtui/cluster/exclusive")
        await job.until("archiving")
        job.demo.world.reboot(job.host)
        assert not job.host.processes
        async with asyncio.timeout(10):
            while not job.host.docker:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert job.words()[-1] == "archiving"
        assert (await job.run("ls /run/swarmtui")).code == 2, "/run is empty after a reboot"
        mended = await job.run(f"sh {FOLDER}/after.sh")
        assert mended.code == 0
        assert job.words()[-1] == "started"
        assert "archive.tar" not in job.leavings


async def test_a_cut_connection_leaves_it_running() -> None:
    async with running(20) as job:
        config = [str(job.demo.ssh_config)]
        async with asyncssh.connect("mgr2", config=config) as connection:
            await connection.run(f"mkdir -p -m 0700 {FOLDER}")
            for name, text in (("job.sh", job_scripts.job(WORK)), ("after.sh", job_scripts.after(WORK))):
                await connection.run(f"tee {FOLDER}/{name} > /dev/null", input=text)
            await connection.run(
                f"systemd-run --quiet --unit={UNIT} '--property=ExecStopPost=/bin/sh {FOLDER}/after.sh' "
                f"/bin/sh {FOLDER}/job.sh"
            )
            connection.abort()
        assert (await job.over())[-1].startswith("done ")
        async with asyncssh.connect("mgr2", config=config) as connection:
            fetched = await connection.run(f"cat {FOLDER}/archive.tar", encoding=None)
        assert isinstance(fetched.stdout, bytes)
        assert fetched.stdout == job.host.files[f"{FOLDER}/archive.tar"].data


@pytest.mark.parametrize(
    ("fault", "end", "said"),
    [
        (faults.TAR_KILLED, "failed tar 137", ""),
        ("full", "failed tar 2", "tar: "),
        (faults.DOCKER_WILL_NOT_STOP, "failed stop", ""),
        (faults.DOCKER_WILL_NOT_START, "failed start", "Job for docker.service failed"),
    ],
)
async def test_faults(fault: str, end: str, said: str) -> None:
    async with running(400) as job:
        if fault == "full":
            faults.fill_disk(job.host, 64 << 10)
        else:
            job.host.faults.add(fault)
        await job.begin()
        notes = await job.over()
        assert end in notes
        assert not any(note.startswith("done") for note in notes)
        assert "archive.tar" not in job.leavings or fault == faults.DOCKER_WILL_NOT_START
        if said:
            assert said in (await job.run(f"cat {FOLDER}/err")).out
        assert job.host.docker == (fault != faults.DOCKER_WILL_NOT_START)
        state = (await job.run("systemctl is-active docker")).out
        assert state == ("failed\n" if fault == faults.DOCKER_WILL_NOT_START else "active\n")


async def test_a_full_disk_gives_its_room_back() -> None:
    async with running() as job:
        faults.fill_disk(job.host, 10_000)
        assert (await job.run("df --output=avail -B1 /var/lib")).out == "Avail\n10000\n"
        full = await job.run("tee /srv/big > /dev/null", b"x" * 20_000)
        assert (full.code, full.err) == (1, "tee: /srv/big: No space left on device\n")
        assert (await job.run("wc -c /srv/big")).out == "8192 /srv/big\n"
        assert (await job.run("rm /srv/big && df -B1 --output=avail /srv")).out == "Avail\n10000\n"
        faults.free_disk(job.host)
        assert (await job.run("tee /srv/big > /dev/null", b"x" * 20_000)).code == 0


# -- the interpreter


@pytest.fixture
def host() -> tuple[World, HostShell]:
    world = World(1)
    world.add_host("one", "10.1.0.1")
    return world, HostShell(world, world.hosts["one"])


async def sh(host: tuple[World, HostShell], text: str, *words: str) -> Output:
    world, shell = host
    world.hosts["one"].files["/srv/s.sh"] = File(text.encode())
    return await shell.run(" ".join(["sh", "/srv/s.sh", *words]))


@pytest.mark.parametrize(
    ("text", "out", "code"),
    [
        ("echo a; echo b", "a\nb\n", 0),
        ("false || echo a && echo b", "a\nb\n", 0),
        ("x=1\necho $x \"$x y\" '$x'", "1 1 y $x\n", 0),
        ("x='a  b'; echo $x \"$x\"", "a b a  b\n", 0),
        ("x=; echo a$x\"\"b; echo $x; echo \"$x\" c", "ab\n\n c\n", 0),
        ("f() { echo \"$1 $# $*\"; return 3; }; f a b; echo $?", "a 2 a b\n3\n", 0),
        ("if false; then echo a; elif true; then echo b; else echo c; fi", "b\n", 0),
        ("for i in a b c; do echo $i; done", "a\nb\nc\n", 0),
        ("case x in a | x) echo one;; *) echo two;; esac", "one\n", 0),
        ("case y in x) echo one;; *) echo two;; esac", "two\n", 0),
        ("i=; while [ \"$i\" != xxx ]; do i=${i}x; done; echo $i", "xxx\n", 0),
        ("until true; do echo no; done; echo $?", "0\n", 0),
        ("trap 'echo bye' EXIT; exit 4", "bye\n", 4),
        ("echo a > /srv/f; echo b >> /srv/f; cat /srv/f; echo c > /srv/f; cat /srv/f", "a\nb\nc\n", 0),
        ("cd /srv && echo a > f && cat /srv/f", "a\n", 0),
        ("read -r x y < /etc/os-release; echo \"$x|$y\"", 'PRETTY_NAME="Debian|GNU/Linux 12 (bookworm)"\n', 0),
        ("x=$(echo a; echo b); echo \"$x\"", "a\nb\n", 0),
        ("x=$(false) || echo $?", "1\n", 0),
        ("{ echo a; echo b; } > /srv/f; cat /srv/f", "a\nb\n", 0),
        ("! false && echo a", "a\n", 0),
        ("nothing-here 2> /dev/null; echo $?", "127\n", 0),
        ("nothing-here > /srv/f 2>&1; cat /srv/f", "sh: 1: nothing-here: not found\n", 0),
        ("umask 077; : > /srv/f; stat -c %a /srv/f", "600\n", 0),
        ("timeout 1 sleep 5; echo $?", "124\n", 0),
        ("timeout 5 sleep 1; echo $?", "0\n", 0),
        ("echo $1-$2", "a-\n", 0),
        ("[ 2 -gt 10 ] || [ abc = abc ] && echo yes", "yes\n", 0),
        ("# nothing\n\n echo a # more\n", "a\n", 0),
        ("echo a \\\n  b", "a b\n", 0),
        ("exit", "", 0),
        ("x=5; y=$(x=6; echo $x); echo $x$y", "56\n", 0),
        ("{ echo a; echo b; } > /srv/f; { x=$(read -r y; echo $y); read -r z; } < /srv/f; echo $x$z", "ab\n", 0),
        ("cat < /nope; echo $?", "2\n", 0),
        ("echo a > /nope/x || echo no", "no\n", 0),
    ],
)  # fmt: skip
async def test_what_scripts_do(host: tuple[World, HostShell], text: str, out: str, code: int) -> None:
    result = await sh(host, text, "a")
    assert (result.out, result.code) == (out, code), result.err


@pytest.mark.parametrize(
    "text",
    [
        "echo a &",
        "echo `id`",
        "echo *",
        "echo ~",
        "cat <<E\nx\nE",
        "echo ${x%y}",
        "echo \"$@\"",
        "if true; then echo a",
        "fi",
        "{ echo a",
        "echo 'a",
        "echo a >| /srv/f",
        "f() echo a",
        "case x in [a-z]) echo;; esac",
        "trap 'x' USR1",
        "eval echo a",
        ". /srv/f",
        "exec echo",
        "while true; do :; done",
        "set -u; echo $nothing",
        "f() { f; }; f",
        "echo a | ",
        "(echo a",
        "()",
        "echo $((1/0))",
        "echo ${x:-$y}",
        "set -x; echo a",
    ],
)  # fmt: skip
async def test_what_scripts_may_not_do(host: tuple[World, HostShell], text: str) -> None:
    result = await sh(host, text)
    assert result.code != 0
    assert result.err


async def test_scripts_that_call_each_other_end(host: tuple[World, HostShell]) -> None:
    assert "too many shells" in (await sh(host, "sh /srv/s.sh")).err


@given(st.text(st.sampled_from("ab1 '\"\\$`|&;<>(){}*?[]~#!=\n\t2-/") | st.sampled_from("ifthendo"), max_size=40))
def test_parsing_ends(text: str) -> None:
    try:
        parse(text)
    except ShellSyntaxError:
        pass


def test_the_products_scripts_are_understood_whole() -> None:
    for hot in (False, True):
        work = job_scripts.Archiving(FOLDER, "/mnt/my docker", 900, hot=hot)
        assert len(parse(job_scripts.job(work)).chains) > 10
    assert len(parse(job_scripts.after(WORK)).chains) > 5
