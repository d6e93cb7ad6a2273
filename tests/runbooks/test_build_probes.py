"""The commands of the look at hosts: what they say is read, and the listeners are run for real, on loopback."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

import pytest

from swarmtui.errors import UsageError
from swarmtui.model.preflight import Address
from swarmtui.runbooks.swarm.building import probes
from swarmtui.runbooks.swarm.building.build_spec import HostSpec, check_address, from_file, from_words


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nothing has, for TCP and UDP alike."""
    held = []
    for _ in range(count):
        tcp = socket.socket()
        tcp.bind(("127.0.0.1", 0))
        held.append(tcp)
    ports = [tcp.getsockname()[1] for tcp in held]
    for tcp in held:
        tcp.close()
    return ports


@pytest.mark.parametrize("language", ["/usr/bin/perl", "/usr/bin/python3"])
def test_a_listener_hears_who_knocks_and_ends_with_its_input(language: str) -> None:
    if not Path(language).exists():
        pytest.skip(f"there is no {language}")
    tcp, udp, blocked, taken = free_ports(4)
    holder = socket.socket()
    holder.bind(("0.0.0.0", taken))
    holder.listen()
    command = probes.listen(language, "127.0.0.1", [("tcp", tcp), ("udp", udp), ("tcp", taken)])
    listener = subprocess.Popen(["sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert listener.stdin is not None and listener.stdout is not None
    try:
        said = []
        while (line := listener.stdout.readline().strip()) != "ready":
            said.append(line)
        assert probes.taken(said) == (f"tcp {taken}",)
        line = probes.knock("h7", [("127.0.0.1", [("tcp", tcp), ("tcp", blocked), ("udp", udp)])])
        knocked = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=20)
        opened = probes.opened(knocked.stdout)
        assert list(opened) == [("127.0.0.1", tcp)]
        assert 0 < opened["127.0.0.1", tcp] < 1_000_000
        out, _ = listener.communicate(timeout=10)
        assert probes.heard(out.splitlines()) == {("h7", udp)}
        assert listener.returncode == 0
    finally:
        holder.close()
        if listener.poll() is None:
            listener.kill()
            listener.wait()


def test_without_perl_and_python_nothing_can_listen() -> None:
    assert probes.listen("/usr/bin/bash\n/usr/bin/timeout\n", "10.0.0.1", [("tcp", 2377)]) == ""
    assert probes.can_knock("/usr/bin/bash\n/usr/bin/timeout\n")
    assert not probes.can_knock("/usr/bin/perl\n/usr/bin/timeout\n")
    assert " :: tcp:2377" in probes.listen("/usr/bin/perl", "fd00::1", [("tcp", 2377)])


def test_a_knock_that_says_something_else_opens_nothing() -> None:
    assert probes.opened("tcp 10.0.0.1\nbash: connect: refused\ntcp 10.0.0.1 99 x\n") == {}
    assert probes.opened("tcp 10.0.0.1 2377 0\n") == {("10.0.0.1", 2377): 0}
    assert probes.heard(["heard udp 7946 h1", "heard udp 7946 h1 and more", "ready"]) == {("h1", 7946)}


IP = r"""1: lo    inet 127.0.0.1/8 scope host lo\       valid_lft forever preferred_lft forever
2: eth0    inet 192.0.2.7/24 brd 192.0.2.255 scope global dynamic eth0\       valid_lft 81234sec preferred_lft 81234sec
2: eth0    inet6 fe80::1/64 scope link \       valid_lft forever preferred_lft forever
2: eth0    inet6 2001:db8::7/64 scope global \       valid_lft forever preferred_lft forever
3: docker0    inet 172.17.0.1/16 brd 172.17.255.255 scope global docker0\       valid_lft forever preferred_lft forever
4: docker_gwbridge    inet 172.18.0.1/16 scope global docker_gwbridge\       valid_lft forever preferred_lft forever
5: tun0    inet 10.8.0.2 peer 10.8.0.1/32 scope global tun0\       valid_lft forever preferred_lft forever
"""


def test_addresses_of_network_cards() -> None:
    assert probes.addresses(IP) == (Address("192.0.2.7", True), Address("2001:db8::7"), Address("10.8.0.2"))


def test_names_that_are_not_resolved() -> None:
    out = "10.0.0.2        mgr2\n10.0.0.3        mgr3.example.net mgr3x\n"
    assert probes.unresolved(["mgr1", "mgr2", "mgr3", "mgr3x", "mgr"], out) == ("mgr1", "mgr")
    assert probes.resolve(["a", "b;c"]) == "getent hosts a 'b;c'"


CLOCKS = [
    ("1700000000.250000000\n", (1700000000.25, 0.0)),
    ("1700000000.%N\n", (1700000000.5, 0.5)),
    ("1700000000.\n", (1700000000.5, 0.5)),
    ("date: invalid\n", None),
    ("", None),
]


@pytest.mark.parametrize(("out", "clock"), CLOCKS)
def test_clock(out: str, clock: tuple[float, float] | None) -> None:
    assert probes.clock(out) == clock


def test_free_space() -> None:
    out = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/vda1 100 40 60 40% /var/lib/docker\n"
    assert probes.free_bytes(out) == 60 * 1024
    assert probes.free_bytes("df: /x: No such file or directory\n") is None


def test_the_clock_of_this_machine() -> None:
    out = subprocess.run(["sh", "-c", probes.CLOCK], capture_output=True, text=True).stdout
    told = probes.clock(out)
    assert told is not None and abs(told[0] - time.time()) < 60


# -- what is asked for -------------------------------------------------------------------------------------------------


def written(folder: Path, text: str) -> str:
    path = folder / "swarm.toml"
    path.write_text(text)
    return str(path)


def test_a_specification(tmp_path: Path) -> None:
    spec = from_file(
        written(
            tmp_path,
            'autolock = true\ndrain-managers = true\n[[hosts]]\nssh = "ssh://root@10.0.0.1:2222"\nrole = "manager"\n'
            'zone = "a"\nlabels = { disk = "ssd" }\nadvertise = "192.0.2.1:2400"\n[[hosts]]\nssh = "ssh://wrk1"\n',
        )
    )
    first, second = spec.hosts
    assert (spec.autolock, spec.drain_managers) == (True, True)
    assert (first.target.port, first.role, first.zone, first.labels, first.port) == (
        2222,
        "manager",
        "a",
        {"disk": "ssd"},
        2400,
    )
    assert (second.role, second.listen, second.port) == ("worker", "0.0.0.0:2377", 2377)


WRONG = [
    ("", "no specification"),
    ("[[hosts]]\n", "no specification"),
    ('[[hosts]]\nssh = "ssh://a"\n', "names no manager"),
    ('[[hosts]]\nssh = "ssh://a"\nrole = "leader"\n', "no specification"),
    ('[[hosts]]\nssh = "ssh://a"\nrole = "manager"\ncolour = "red"\n', "no specification"),
    ('[[hosts]]\nssh = "ssh://a"\nrole = "manager"\n[[hosts]]\nssh = "ssh://a"\n', "twice"),
    ('[[hosts]]\nssh = "unix:///x"\nrole = "manager"\n', "no SSH address"),
    ('[[hosts]]\nssh = "ssh://a"\nrole = "manager"\nadvertise = "mgr1"\n', "no address"),
    ('[[hosts]]\nssh = "ssh://a"\nrole = "manager"\nlisten = "0.0.0.0:99999"\n', "no address"),
    ('[[hosts]]\nssh = "ssh://a"\nrole = "manager"\nlabels = { "a b" = "c" }\n', "label"),
    ('[[hosts]]\nssh = "ssh://a"\nrole = "manager"\nzone = "\\u001b[2J"\n', "control characters"),
    ("hosts = [", "no specification"),
]


@pytest.mark.parametrize(("text", "words"), WRONG)
def test_a_specification_that_cannot_be_meant(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as raised:
        from_file(written(tmp_path, text))
    assert str(raised.value).isprintable()


def test_words_on_the_command_line() -> None:
    spec = from_words({"managers": ("ssh://a", "ssh://b"), "workers": ("ssh://c",), "autolock": True})
    assert [(host.ssh, host.role) for host in spec.hosts] == [
        ("ssh://a", "manager"),
        ("ssh://b", "manager"),
        ("ssh://c", "worker"),
    ]
    assert spec.autolock
    with pytest.raises(UsageError, match="names no manager"):
        from_words({"workers": ("ssh://c",)})


ADDRESSES = ["10.0.0.1", "10.0.0.1:2377", "fd00::1", "[fd00::1]:2377", "0.0.0.0:2377", ""]
NO_ADDRESSES = [
    "eth0",
    "10.0.0",
    "10.0.0.1:",
    "10.0.0.1:0",
    "10.0.0.1:70000",
    "[fd00::1]:x",
    "--force",
    "a;b",
    "10.0.0.1 -x",
]


@pytest.mark.parametrize("text", ADDRESSES)
def test_addresses_that_can_be(text: str) -> None:
    check_address(text, "advertise")


@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_addresses_that_cannot_be(text: str) -> None:
    with pytest.raises(UsageError):
        check_address(text, "advertise")


def test_the_port_others_find_a_manager_at() -> None:
    assert HostSpec("ssh://a", advertise="10.0.0.1:2400").port == 2400
    assert HostSpec("ssh://a", listen="[::]:2500").port == 2500
    assert HostSpec("ssh://a", advertise="fd00::1").port == 2377
