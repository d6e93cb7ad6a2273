"""The simulated hosts' shell understands little, and refuses the rest whole."""

from __future__ import annotations

import io
import shlex
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmtui.demo.hosts.commands import COMMANDS, HostShell
from swarmtui.demo.hosts.shell import ShellSyntaxError, parse
from swarmtui.demo.scenarios import SCENARIOS, Size
from swarmtui.demo.world.world import World

HOSTILE = [
    "$(touch {mark})",
    "`touch {mark}`",
    "true; $(touch {mark})",
    'echo "$(touch {mark})"',
    'echo "`touch {mark}`"',
    "echo x > {mark}",
    "echo x >> {mark}",
    "echo x >{mark}",
    "echo x | tee {mark}",
    "touch {mark} &",
    "(touch {mark})",
    "{{ touch {mark}; }}",
    "cat < /etc/passwd",
    "cat <<EOF\ntouch {mark}\nEOF",
    "echo *",
    "echo ~root",
    "echo ${{HOME}}",
    "for i in 1; do touch {mark}; done; touch $i",
    "touch {mark}\0",
    "sh -c 'touch {mark}; $(id)'",
    "sudo -n sh -c 'touch {mark} > x'",
    "docker run -v /:/host alpine touch /host{mark}",
    "docker run --rm -i --name ucp -v /:/host docker/ucp:2.2.5 $(touch {mark})",
    "/usr/bin/docker run -v /:/host alpine touch /host{mark}",
    "/usr/local/bin/docker ps > {mark}",
    "env -i touch {mark}",
    "LD_PRELOAD={mark}.so true >> {mark}",
    "IFS=, ; touch,{mark}",
    "true\ntouch {mark}\nnope",
    "true & touch {mark}",
    "exec touch {mark}",
    "eval touch {mark}",
    ". {mark}",
    "source {mark}",
    "tee {mark}",
    "dd of={mark}",
    "docker -H unix:///var/run/docker.sock run alpine touch {mark}",
    "DOCKER_HOST=tcp://127.0.0.1:1 docker cp {mark} x:/",
    "find / -name x -delete -o -fprint {mark}",
    "xargs touch {mark}",
    "tar -cf {mark} --checkpoint=1 --checkpoint-action=exec=sh /etc",
    "docker exec x touch {mark}",
    "rm -rf {mark}/..",
    "touch {mark}",
    "/usr/bin/touch {mark}",
    'python3 -c \'open("{mark}","w")\'',
    "echo 'unclosed",
    'echo "unclosed',
    "echo a\\",
    "; true",
    "true &&",
    "&& true",
    "true ;; true",
]


UNDERSTOOD = {
    'echo "$(touch {mark})"',
    "{{ touch {mark}; }}",
    "echo ${{HOME}}",
    "for i in 1; do touch {mark}; done; touch $i",
    "sudo -n sh -c 'touch {mark} > x'",
}
"""What the simulated shell does, to simulated files."""


@pytest.fixture
def shell() -> HostShell:
    world = World(1, start=1e9)
    SCENARIOS["calm"].build(world, Size())
    return HostShell(world, world.hosts["mgr1"])


@pytest.mark.parametrize("line", HOSTILE)
async def test_hostile_lines_do_nothing_to_this_machine(
    shell: HostShell, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*args: object, **more: object) -> None:
        raise AssertionError(f"a process was started: {args}")

    for name in ("Popen", "run"):
        monkeypatch.setattr(subprocess, name, forbidden)
    monkeypatch.setattr("os.system", forbidden)
    monkeypatch.setattr("os.posix_spawn", forbidden)
    monkeypatch.setattr("asyncio.create_subprocess_exec", forbidden)
    monkeypatch.setattr("asyncio.create_subprocess_shell", forbidden)
    mark = tmp_path / "mark"
    mark.mkdir()
    before = sorted(tmp_path.rglob("*"))
    result = await shell.run(line.format(mark=mark / "x"))
    if "touch {mark}" not in line[-13:] and not line.startswith("rm ") and line not in UNDERSTOOD:
        assert result.code != 0
        assert result.err
    assert sorted(tmp_path.rglob("*")) == before


def test_the_hostile_lines_are_hostile(tmp_path: Path) -> None:
    """A real shell would do what the lines above say: else they prove nothing."""
    mark = tmp_path / "x"
    did = 0
    for line in HOSTILE[:9]:
        mark.unlink(missing_ok=True)
        subprocess.run(["sh", "-c", line.format(mark=mark)], capture_output=True, check=False)
        did += mark.exists()
    assert did == 9


@pytest.mark.parametrize(
    ("line", "out", "code"),
    [
        ("true", "", 0),
        ("false", "", 1),
        ("false || echo a", "a\n", 0),
        ("false && echo a; echo b", "b\n", 0),
        ("true && echo a || echo b", "a\n", 0),
        ("x=1; echo 'a  b' \"c $x\" || echo no", "a  b c 1\n", 0),
        ("echo a | cat | wc -l", "1\n", 0),
        ("false | true && echo last", "last\n", 0),
        ("i=1; (i=2; echo $i); echo $((i * 3 - 7 / 2)) $i", "2\n0 1\n", 0),
        ("echo ${nothing:-some} $((2 + 2))", "some 4\n", 0),
        ("echo $((2 + ", "", 2),
        ("echo $((a.b))", "", 2),
        ("set -e; if false; then echo a; fi; false || echo b; ! true; false; echo c", "b\n", 1),
        ("sh -ec 'false; echo c'", "", 1),
        ("sh -c 'echo \"$1\" \"$2\"' sh 'a b' c", "a b c\n", 0),
        ("umask 077; echo x >/tmp/f && stat -c %a /tmp/f", "600\n", 0),
        ("case mgr12 in wrk*) echo w;; mgr?) echo one;; m*2) echo two;; esac", "two\n", 0),
        ("echo 'a  b' \"c d\" e\\ f", "a  b c d e f\n", 0),
        ("echo a >/dev/null && echo b", "b\n", 0),
        ("nothing-here 2>/dev/null || echo missing", "missing\n", 0),
        ("nothing-here 2>&1", "sh: 1: nothing-here: not found\n", 127),
        ("LC_ALL=C hostname", "mgr1\n", 0),
        ("sudo -n hostname", "mgr1\n", 0),
        ("sh -c 'hostname && echo x'", "mgr1\nx\n", 0),
        ("test -S /var/run/docker.sock && echo yes", "yes\n", 0),
        ("test -e /nope", "", 1),
        ("[ ! -e /nope ] && echo none", "none\n", 0),
        ("id -nG", "root docker\n", 0),
        ("test -w /var/run/docker.sock", "", 0),
        (
            "systemctl show --property=LoadState,ActiveState docker.service",
            "LoadState=loaded\nActiveState=active\n",
            0,
        ),
        ("systemctl show --property=LoadState --value podman.service", "not-found\n", 0),
        ("systemctl show --all docker", "", 1),
        ("grep -c docker.sock /proc/net/unix", "1\n", 0),
        ("grep -c podman.sock /proc/net/unix", "0\n", 1),
        ("grep -qi DEBIAN /etc/os-release && echo yes", "yes\n", 0),
        ("grep -v '^P' /etc/os-release", 'NAME="Debian GNU/Linux"\nVERSION_ID="12"\nID=debian\n', 0),
        ("grep x /nope", "", 2),
        ("grep '(x+)+$' /etc/hostname", "", 2),
        ("docker --version", "Docker version 20.10.24, build 5d6db84\n", 0),
        ("sudo -n docker system dial-stdio --help && echo yes", "yes\n", 0),
        ("docker ps --format '{{.Label \"com.docker.stack.namespace\"}}' --filter name=mon_logs", "mon\n", 0),
        ("docker ps --format '{{.Label \"nope\"}}x' --filter name=mon_logs", "x\n", 0),
        ("docker info -f '{{.Swarm.LocalNodeState}}'", "active\n", 0),
        ("docker info -f '{{.Swarm \"x\"}}'", "", 1),
        ("journalctl -u docker -n 20 --no-pager", "Started Docker Application Container Engine.\n", 0),
        ("journalctl", "", 1),
        ("sudo -u postgres id", "", 1),
        ("service docker status", "active\n", 0),
        ("systemctl is-active docker", "active\n", 0),
        ("command -v docker", "/usr/bin/docker\n", 0),
        ("command -v podman", "", 1),
        ("date +%s", "1000000000\n", 0),
        ("cat /etc/hostname", "mgr1\n", 0),
        ("docker node ls -q --filter name=wrk1 && echo", "\n", 0),
        ("hostname\nwhoami", "mgr1\nroot\n", 0),
    ],
)
async def test_what_it_understands(shell: HostShell, line: str, out: str, code: int) -> None:
    result = await shell.run(line)
    assert (result.out[-len(out) :] if out else result.out, result.code) == (out, code)


@given(
    st.lists(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8), min_size=1, max_size=5
    )
)
def test_quoted_words_arrive_as_they_were(words: list[str]) -> None:
    line = "echo " + " ".join(shlex.quote(word) for word in words)
    assert [command.words for command in parse(line)] == [["echo", *words]]


@given(st.text(st.sampled_from("ab '\"\\$`|&;<>()*?[]~#{}!=\n\t2-/"), max_size=30))
def test_parsing_ends_and_never_reads_what_sh_reads_otherwise(line: str) -> None:
    try:
        commands = parse(line)
    except ShellSyntaxError:
        return
    for command in commands:
        assert command.words
        assert set(command.targets.values()) <= {"/dev/null", "&1", "&2"}
    if any(sign in line for sign in ("$", "`")):
        quoted = [word for command in commands for word in (*command.words, *command.env.values())]
        assert any(sign in word for word in quoted for sign in ("$", "`")), "only within single quotes or escaped"


async def test_a_swarm_folder_moved_aside_and_back(shell: HostShell) -> None:
    async def run(line: str) -> str:
        result = await shell.run(line)
        return result.out + result.err

    assert "Device or resource busy" in await run("mv /var/lib/docker/swarm /var/lib/docker/swarm.old")
    assert "Device or resource busy" in await run("rm -rf /var/lib/docker/swarm")
    shell.world.stop_docker(shell.host)
    assert await run("mv /var/lib/docker/swarm /var/lib/docker/swarm.old") == ""
    assert shell.host.swarm is None
    assert "BEGIN CERTIFICATE" in await run("cat /var/lib/docker/swarm.old/certificates/swarm-node.crt")
    assert await run("test -e /var/lib/docker/swarm || ls /var/lib/docker") == "swarm.old\n"
    shell.world.start_docker(shell.host)
    assert await run("docker info --format '{{.Swarm.LocalNodeState}}'") == "inactive\n"
    shell.world.stop_docker(shell.host)
    # An engine in no Swarm has made an empty folder, which would swallow the old one.
    assert await run("rmdir /var/lib/docker/swarm && mv /var/lib/docker/swarm.old /var/lib/docker/swarm") == ""
    shell.world.start_docker(shell.host)
    assert shell.host.swarm is not None
    shell.world.kernel.advance(60)
    assert "active" in await run("docker info --format '{{.Swarm.LocalNodeState}}'")
    shell.world.stop_docker(shell.host)
    assert await run("rm -rf /var/lib/docker/swarm") == ""
    assert shell.host.swarm is None


async def test_tar_of_a_swarm_folder(shell: HostShell, tmp_path: Path) -> None:
    async def run(line: str, stdin: bytes = b"") -> tuple[str, int]:
        result = await shell.run(line, stdin)
        return result.out + result.err, result.code

    swarm = shell.host.swarm
    assert swarm is not None
    node = swarm.node_id
    shell.world.stop_docker(shell.host)
    packed = await shell.run("tar -czf - -C /var/lib/docker swarm")
    assert packed.code == 0
    data = packed.out.encode("utf-8", "surrogateescape")
    (tmp_path / "swarm.tgz").write_bytes(data)
    real = subprocess.run(["tar", "-tzf", str(tmp_path / "swarm.tgz")], capture_output=True, text=True, check=True)
    assert "swarm/certificates/swarm-node.key" in real.stdout.splitlines()
    assert await run("tar -tzf -", data) == (real.stdout, 0)
    assert await run("tar -cpf /root/swarm.tar --numeric-owner -C /var/lib/docker swarm && ls /root/swarm.tar") == (
        "/root/swarm.tar\n",
        0,
    )
    assert await run("rm -rf /var/lib/docker/swarm && test -e /var/lib/docker/swarm") == ("", 1)
    assert shell.host.swarm is None
    aside, code = await run("tar xf /root/swarm.tar -C /srv && cat /srv/swarm/state.json")
    assert (code, shell.host.swarm) == (0, None)
    placed, code = await run("tar xf /root/swarm.tar -C /var/lib/docker && cat /var/lib/docker/swarm/state.json")
    assert (placed, code) == (aside, 0)
    assert "10.0.1.12:2377" in placed
    shell.world.start_docker(shell.host)
    assert shell.host.swarm is not None
    assert shell.host.swarm.node_id == node
    shell.world.kernel.advance(60)
    assert await run("docker info --format '{{.Swarm.LocalNodeState}}'") == ("active\n", 0)
    assert "Device or resource busy" in (await run("tar -xf /root/swarm.tar -C /var/lib/docker"))[0]
    assert "Device or resource busy" in (await run("tar -xzf - -C /var/lib/docker", data))[0]


async def test_an_archive_of_elsewhere_is_no_swarm(shell: HostShell, tmp_path: Path) -> None:
    shell.world.stop_docker(shell.host)
    for name in ("swarm/certificates/swarm-node.key", "swarm/state.json", "../swarm/x", "ok"):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            member = tarfile.TarInfo(name)
            member.size = 2
            archive.addfile(member, io.BytesIO(b"hi"))
        result = await shell.run("tar -xf - -C /var/lib/docker", buffer.getvalue())
        assert (result.code, bool(result.err)) == ((2, True) if ".." in name else (0, False)), (name, result)
        if name.startswith("swarm/"):
            # Docker finds them when it starts, and makes no Swarm of them.
            shell.world.start_docker(shell.host)
            assert shell.host.swarm is None
            shell.world.stop_docker(shell.host)
    assert (await shell.run("cat /var/lib/docker/ok")).out == "hi"
    assert (await shell.run("tar -xf -", b"no archive at all" * 100)).code == 2
    assert (await shell.run("tar -xzf - -C /nope", b"")).code == 2
    assert (await shell.run("tar -cf /root/x.tar /nope")).code == 2
    assert (await shell.run("tar -cf /root/x.tar")).code == 2
    assert (await shell.run("tar --to-command=sh -xf -", b"")).code == 2


FOREVER = "\\       valid_lft forever preferred_lft forever\n"


@pytest.mark.parametrize(
    ("line", "out", "code"),
    [
        ("mkdir -p /srv/backup && touch /srv/backup/a && ls /srv/backup", "a\n", 0),
        ("mkdir /srv && echo no", "mkdir: cannot create directory '/srv': File exists\n", 1),
        ("touch /srv/a && mv /srv/a /srv/b && test -f /srv/b && ls /srv", "b\n", 0),
        ("touch /srv/a && rm /srv/a && ls /srv/a", "ls: cannot access '/srv/a': No such file or directory\n", 2),
        ("rm /nope", "rm: cannot remove '/nope': No such file or directory\n", 1),
        ("rm -rf /", "rm: a simulated host keeps '/'\n", 1),
        ("cp /etc/hostname /srv/h && cat /srv/h", "mgr1\n", 0),
        ("nproc && timedatectl show --property=NTPSynchronized --value", "2\nyes\n", 0),
        ("ip -o addr", f"2: eth0    inet 10.0.1.11/24 scope global eth0{FOREVER}", 0),
        ("ip addr add 10.0.1.99/32 dev eth0 && ip -o addr", f"10.0.1.99/32 scope global eth0{FOREVER}", 0),
        ("ip addr add 10.0.1.11/32 dev eth0", "RTNETLINK answers: File exists\n", 2),
        ("ip addr add 10.0.1.9/24 dev eth0; ip -o addr", f"10.0.1.9/24 scope global secondary eth0{FOREVER}", 0),
        ("ip link set eth0 down", 'ip: of objects only "addr", "route" and "neigh" is known on a simulated host\n', 1),
        ("du -sh /var/lib/docker/swarm", "123M\t/var/lib/docker/swarm\n", 0),
    ],
)
async def test_files_and_the_machine(shell: HostShell, line: str, out: str, code: int) -> None:
    result = await shell.run(line)
    assert ((result.out + result.err)[-len(out) :], result.code) == (out, code)


def test_every_command_is_simulated() -> None:
    """No command reaches the machine: their modules import nothing that could start a process or open a file."""
    import swarmtui.demo.hosts as package

    for file in Path(package.__file__).parent.rglob("*.py"):
        text = file.read_text()
        for word in ("subprocess", "os.system", "popen", "create_subprocess", "os.exec", "pty."):
            assert word not in text, (file, word)
    assert "docker" in COMMANDS


@pytest.mark.parametrize(
    ("mount", "services"),
    [
        ("volume=mon_tsdb", {"mon_prometheus"}),
        ("volume=/prometheus", {"mon_prometheus"}),
        ("volume=shop_pgdata --filter volume=mon_tsdb", {"shop_db", "mon_prometheus"}),
        ("volume=nope", set()),
        ("volume=tsdb", set()),
    ],
)
async def test_containers_are_found_by_what_they_mount(shell: HostShell, mount: str, services: set[str]) -> None:
    """`docker ps --filter volume=`: a whole name or a whole place in the container, as in moby's daemon/list.go."""
    found = set()
    for host in shell.world.hosts.values():
        result = await HostShell(shell.world, host).run(f"docker ps -q --filter {mount}")
        assert result.code == 0, result.err
        short = result.out.split()
        found |= {c.name.partition(".")[0] for c in host.containers.values() if c.id[:12] in short}
    assert found == services
