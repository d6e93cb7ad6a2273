"""The commands with which hosts are looked at before they become a Swarm, and what their answers mean.

Stock commands only; they change nothing and leave nothing behind. To see whether UDP arrives somebody has to listen: a
few lines of Perl (which every Debian has), or of Python. They end with their standard input, or after a minute.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence

from swarmtui.model.preflight import Address

CLOCK = "date +%s.%N"
ADDRESSES = "ip -o addr show"
TOOLS = "command -v perl; command -v python3; command -v bash; command -v timeout"
TRY_SECONDS = 4
"""How long a connection may take to open."""

PERL = (
    "use IO::Socket::IP; use IO::Select; $|=1; alarm 60; my $on=shift; my %n; my $s=IO::Select->new(\\*STDIN); "
    "for (@ARGV) { my ($proto,$port)=split /:/; "
    'my $l=IO::Socket::IP->new(LocalHost=>$on,LocalPort=>$port,Proto=>$proto,$proto eq "tcp"?(Listen=>64,ReuseAddr=>1)'
    ':()); if ($l) { $n{$l}="$proto $port"; $s->add($l) } else { print "taken $proto $port\\n" } } print "ready\\n"; '
    "L: while (1) { for my $r ($s->can_read) { if ($r==\\*STDIN) { last L unless sysread(STDIN,my $x,512) } "
    'elsif ($n{$r}=~/^tcp/) { my $c=$r->accept; close $c if $c } else { $r->recv(my $m,64); print "heard $n{$r} $1\\n" '
    "if $m=~/^([\\w-]+)/ } } }"
)
PYTHON = """
import os, re, select, signal, socket, sys
signal.alarm(60)
names = {}
for word in sys.argv[2:]:
    proto, port = word.split(":")
    family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM if proto == "tcp" else socket.SOCK_DGRAM)
    try:
        if proto == "tcp":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((sys.argv[1], int(port)))
        if proto == "tcp":
            sock.listen(64)
        names[sock] = (proto, port)
    except OSError:
        print("taken", proto, port, flush=True)
print("ready", flush=True)
while True:
    ready = select.select([0, *names], [], [])[0]
    if 0 in ready and not os.read(0, 512):
        break
    for sock in ready:
        if sock == 0:
            continue
        if names[sock][0] == "tcp":
            sock.accept()[0].close()
        elif found := re.match(rb"[A-Za-z0-9_-]+", sock.recv(64)):
            print("heard", *names[sock], found[0].decode(), flush=True)
"""
_ADDRESS = re.compile(r"^\d+:\s+(\S+)\s+inet6?\s+([0-9a-fA-F:.]+)(?:/\d+)?(.*)$", re.MULTILINE)
_OPENED = re.compile(r"^tcp (\S+) (\d+) (\d+)$", re.MULTILINE)
_HEARD = re.compile(r"heard (udp) (\d+) ([\w-]+)")


def listen(tools: str, on: str, ports: Iterable[tuple[str, int]]) -> str:
    """The command that listens on these ports; "" where the host has nothing to do that with.

    Args:
        tools: what the host answered to `TOOLS`.
        on: the address the host will advertise: its family is listened to.
    """
    everywhere = "::" if ":" in on else "0.0.0.0"
    words = " ".join(f"{protocol}:{port}" for protocol, port in ports)
    if "/perl" in tools:
        return f"perl -e {shlex.quote(PERL)} {everywhere} {words}"
    if "/python3" in tools:
        return f"python3 -c {shlex.quote(PYTHON)} {everywhere} {words}"
    return ""


def can_knock(tools: str) -> bool:
    """Whether the host has what `knock` needs, from what it answered to `TOOLS`."""
    return "/bash" in tools and "/timeout" in tools


def knock(name: str, doors: Iterable[tuple[str, Iterable[tuple[str, int]]]]) -> str:
    """The command that tries ports of addresses, all at once; it says which TCP ones opened, after how many µs.

    Args:
        name: what it calls itself to whoever listens for UDP.
        doors: addresses, with their ports as (protocol, port).
    """
    parts, datagrams = [], []
    for address, ports in doors:
        for protocol, port in ports:
            if protocol == "udp":
                datagrams.append(f"echo {name} >/dev/udp/{address}/{port}; ")
                continue
            script = (
                f"s=$EPOCHREALTIME; : </dev/tcp/{address}/{port} && e=$EPOCHREALTIME && "
                f'echo "tcp {address} {port} $((10#0${{e/[.,]/}}-10#0${{s/[.,]/}}))"'
            )
            parts.append(f"timeout {TRY_SECONDS} bash -c {shlex.quote(script)} 2>/dev/null & ")
    if datagrams:
        # Three times: a datagram may get lost without anybody being to blame.
        script = f"for i in 1 2 3; do {''.join(datagrams)}sleep 0.2; done"
        parts.append(f"bash -c {shlex.quote(script)} 2>/dev/null & ")
    return f"{''.join(parts)}wait"


def opened(output: str) -> dict[tuple[str, int], int]:
    """(address, TCP port) → µs, of those that opened, from the output of `knock`; 0 µs for unknown."""
    return {(address, int(port)): int(micros) for address, port, micros in _OPENED.findall(output)}


def heard(lines: Iterable[str]) -> set[tuple[str, int]]:
    """(name, UDP port) of whoever was heard, from what `listen` said."""
    return {(match[3], int(match[2])) for line in lines if (match := _HEARD.fullmatch(line.strip()))}


def taken(lines: Iterable[str]) -> tuple[str, ...]:
    """The ports that could not be listened on, as "udp 4789"."""
    return tuple(line.removeprefix("taken ").strip() for line in lines if re.fullmatch(r"taken (tcp|udp) \d+\s*", line))


def resolve(names: Sequence[str]) -> str:
    """The command that looks names up."""
    return f"getent hosts {' '.join(shlex.quote(name) for name in names)}"


def unresolved(names: Sequence[str], output: str) -> tuple[str, ...]:
    """The names without an answer in the output of `resolve`."""
    known = {word.lower() for line in output.splitlines() for word in line.split()[1:]}
    return tuple(
        name for name in names if not any(w == name.lower() or w.startswith(f"{name.lower()}.") for w in known)
    )


def addresses(output: str) -> tuple[Address, ...]:
    """The addresses of network cards that go beyond the host itself, from the output of `ADDRESSES`."""
    return tuple(
        Address(ip, dynamic=" dynamic" in rest)
        for card, ip, rest in _ADDRESS.findall(output)
        if card != "lo" and " scope link" not in rest and not card.startswith(("docker", "veth", "br-"))
    )


def free_space(folder: str) -> str:
    """The command that tells the free space where Docker keeps its data."""
    return f"df -Pk {shlex.quote(folder)}"


def free_bytes(output: str) -> int | None:
    """Bytes that are free, from the output of `df -Pk`; None where it does not tell."""
    lines = output.strip().splitlines()
    words = lines[-1].split() if len(lines) > 1 else []
    return int(words[3]) * 1024 if len(words) >= 6 and words[3].isdigit() else None


def clock(output: str) -> tuple[float, float] | None:
    """What a clock showed (seconds since the epoch), and how coarse that is, from the output of `CLOCK`.

    None where it shows nothing. A `date` without %N prints it as it is, or nothing in its place: then the clock is
    only known to the second.
    """
    whole, _, fraction = output.strip().partition(".")
    if not whole.isdigit():
        return None
    return (float(f"{whole}.{fraction}"), 0.0) if fraction.isdigit() else (float(whole) + 0.5, 0.5)
