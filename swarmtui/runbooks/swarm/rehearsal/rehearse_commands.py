"""The commands of a rehearsal: a second, isolated dockerd on a host, and how nothing of it stays (swarm-dr.md §3).

The isolated dockerd lives in namespaces of its own: of processes (whose first one takes all others with it when it is
killed), of mounts (so that its disks end with it, and the host's /run, with the sockets of Docker, containerd, systemd
and D-Bus, is not there), and of the network (with nothing but loopback; that is proved before anything starts).
All it writes, the secrets of the restored Swarm too, is in one data root, in memory where there is room.

A guard on the host, a unit of systemd where there is one, ends it all when we have been silent for too long, and after
half an hour in any case.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass

BASE = "/var/lib/swarmtui/rehearsals"
EMPTY = f"rmdir {BASE} /var/lib/swarmtui 2>/dev/null"
"""Takes the folders above away as well, where nothing else is in them."""
LIMIT_SECONDS = 1800
"""After this time it ends, whatever goes on."""
SILENCE_MINUTES = 2
"""After this time without a sign of life from us it ends."""
READY_SECONDS = 60
"""How long a dockerd may take until it answers."""
INIT_SECONDS = 90
NEEDED = ("dockerd", "containerd", "docker", "unshare", "nsenter", "ip", "tar", "gzip", "timeout", "find", "setsid")
"""Programs that the host must have."""
STATES = "PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; export PATH; unset DOCKER_HOST DOCKER_CONTEXT DOCKER_TLS_VERIFY"
_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")
_HOSTNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,62}")
_STARTED = 'cut -d" " -f22'
"""Of a line of /proc/PID/stat: when the process started. With its id it cannot be mistaken for another."""


@dataclass(frozen=True, slots=True)
class Commands:
    """The commands of one rehearsal on one host, each on one line of POSIX sh.

    Attributes:
        id: of the rehearsal.
        sudo: whether we become root with `sudo -n`.
        systemd: whether its guard is a transient unit; else it is a session of its own.
        memory_mb: size of the data root in memory; 0 where there is no room, and it is on disk.
        hostname: of the manager that the backup is of: a node is called as its host is. Left as it is where it is no
            possible name.
    """

    id: str
    sudo: bool = False
    systemd: bool = True
    memory_mb: int = 0
    hostname: str = ""

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ValueError(f"{self.id!r} is no name of a rehearsal")

    @property
    def folder(self) -> str:
        return f"{BASE}/{self.id}"

    @property
    def socket(self) -> str:
        """The socket of the isolated dockerd; it is on the host's disk, so that it can be reached from there."""
        return f"{self.folder}/docker.sock"

    @property
    def unit(self) -> str:
        return f"swarmtui-rehearsal-{self.id}"

    def root(self, line: str) -> str:
        """A line of shell as root runs it."""
        return as_root(line, sudo=self.sudo)

    # -- the scripts on the host -----------------------------------------------------------------------------------

    @property
    def _inside(self) -> tuple[str, ...]:
        """The first process of the isolated place."""
        f, data = self.folder, f"{self.folder}/data"
        disk = (
            f"mount -t tmpfs -o mode=700,size={self.memory_mb}m swarmtui {data}"
            if self.memory_mb
            else f"mount --bind {data} {data}"
        )
        only_loopback = '[ "$(tail -n +3 /proc/net/dev | tr -d " " | cut -d: -f1)" = lo ]'
        no_way = "! ip route get 192.0.2.1 >/dev/null 2>&1 && ! ip -6 route get 2001:db8::1 >/dev/null 2>&1"
        return (
            STATES,
            f"cd / && mount -t tmpfs -o mode=755 swarmtui /run && {disk} && ip link set lo up || exit 3",
            # A data root that is no shared mount is mounted over by dockerd itself.
            f"mount --make-shared {data} || exit 3",
            *([f"echo {self.hostname} >/proc/sys/kernel/hostname"] if _HOSTNAME.fullmatch(self.hostname) else []),
            f'{only_loopback} && {no_way} || {{ echo "There is a way out of its network." >&2; exit 4; }}',
            f"echo '{{}}' >{data}/daemon.json; mkdir -p {data}/docker {data}/log; ip -o addr >{f}/isolated",
            f"containerd --config /dev/null --root {data}/containerd --state /run/c --address /run/c.sock "
            f">{data}/log/containerd 2>&1 &",
            "n=1",
            "while :; do",
            f"until [ -e {f}/go.$n ] && [ -S /run/c.sock ]; do sleep 0.1; done",
            f"( {self._dockerd} >{data}/log/dockerd.$n 2>&1; echo $? >{f}/exit.$n ) & p=$!",
            f"until [ -e {f}/end.$n ] || [ -e {f}/exit.$n ]; do sleep 0.1; done",
            f'[ -e {f}/exit.$n ] || kill "$(cat /run/d.pid)"',
            "wait $p; n=$((n+1))",
            "done",
        )

    @property
    def _dockerd(self) -> str:
        data = f"{self.folder}/data"
        return (
            f"dockerd --config-file {data}/daemon.json --containerd /run/c.sock --data-root {data}/docker "
            f"--exec-root /run/d --pidfile /run/d.pid --host unix://{self.socket} --group root --storage-driver vfs "
            "--bridge none --iptables=false --ip-masq=false --ip-forward=false --userland-proxy=false "
            f"--exec-opt native.cgroupdriver=cgroupfs --cgroup-parent {self.unit}"
        )

    @property
    def _guard(self) -> tuple[str, ...]:
        """Starts the isolated place, and ends it when its time is up or nobody has wanted it for a while."""
        f = self.folder
        return (
            STATES,
            f"cd /; echo $$ $({_STARTED} /proc/$$/stat) >{f}/guard.pid",
            "unshare --mount --net --pid --ipc --uts --fork --kill-child --mount-proc "
            f"sh {f}/inside >{f}/said 2>&1 & p=$!",
            f"echo $p $({_STARTED} /proc/$p/stat) >{f}/pid",
            "n=0",
            f'while [ "$(cut -d" " -f3 /proc/$p/stat)" != Z ] && [ $n -lt {LIMIT_SECONDS // 2} ] '
            f'&& [ -n "$(find {f}/alive -mmin -{SILENCE_MINUTES})" ]; do sleep 2; n=$((n+1)); done',
            f"kill -9 $p; wait $p; echo over >{f}/over",
            # It tells what it said for a moment longer; then nothing of it stays.
            f"sleep 10; {self._sweep}",
        )

    @property
    def _sweep(self) -> str:
        """Removes the folder; the keys in it, where it was on disk, are overwritten first."""
        f = self.folder
        shred = f"find {f} -name '*.key' -exec shred -u {{}} + 2>/dev/null"
        return f"{shred}; for i in 1 2 3 4 5 6 7 8 9 10; do rm -rf {f} 2>/dev/null && break; sleep 0.3; done; {EMPTY}"

    # -- what is run, in this order --------------------------------------------------------------------------------

    @property
    def prepare(self) -> str:
        """Makes the folder, and puts the scripts there."""
        f = self.folder
        # What a cut-off attempt at this very rehearsal left goes first. The last file is the guard's sign that somebody
        # wants it.
        return self.root(
            f"[ ! -e {f} ] || {{ {down(self.id, systemd=self.systemd)}; }} && umask 077 && mkdir -p {BASE} && "
            f"mkdir {f} {f}/data && {_write(f'{f}/inside', self._inside)} && {_write(f'{f}/guard', self._guard)} && "
            f"{_write(f'{f}/after', (self._sweep,))} && touch {f}/alive"
        )

    @property
    def isolate(self) -> str:
        """Starts the guard, and waits for the proof that there is no way out: prints the addresses in there."""
        f = self.folder
        if self.systemd:
            start = (
                f"systemd-run --quiet --collect --unit={self.unit} --property=RuntimeMaxSec={LIMIT_SECONDS + 60} "
                f"--property=KillSignal=SIGKILL --property=TimeoutStopSec=20 "
                f"{shlex.quote(f'--property=ExecStopPost=/bin/sh {f}/after')} /bin/sh {f}/guard"
            )
        else:
            start = f"{{ setsid sh {f}/guard </dev/null >/dev/null 2>&1 & }}"
        wait = f"i=0; until [ -s {f}/isolated ] || [ -e {f}/over ] || [ $i -ge 100 ]; do sleep 0.1; i=$((i+1)); done"
        return self.root(f"{start} && {{ {wait}; cat {f}/isolated || {{ cat {f}/said >&2; exit 1; }}; }}")

    def start(self, number: int) -> str:
        """Starts dockerd, for the first or the second time, and waits until it answers: prints its version."""
        f = self.folder
        asks = f"docker -H unix://{self.socket} version -f '{{{{.Server.Version}}}}' 2>/dev/null"
        tries = f"[ -e {f}/exit.{number} ] || [ -e {f}/over ] || [ $i -ge {READY_SECONDS * 5} ]"
        loop = f"i=0; until {asks} || {tries}; do sleep 0.2; i=$((i+1)); done"
        return self.root(f"touch {f}/go.{number}; {loop}; [ -S {self.socket} ] && [ ! -e {f}/exit.{number} ]")

    def stop(self, number: int) -> str:
        """Ends dockerd, and waits until it has."""
        f = self.folder
        loop = f"until [ -e {f}/exit.{number} ] || [ $i -ge 150 ]; do sleep 0.2; i=$((i+1)); done"
        return self.root(f"touch {f}/end.{number}; i=0; {loop}; [ -e {f}/exit.{number} ]")

    @property
    def send(self) -> str:
        """Unpacks the Swarm's directory, in clear and as a tar.gz on its input, into the data root."""
        swarm = f"{self.folder}/data/docker/swarm"
        return self.root(f"nsenter -t $(cut -d' ' -f1 {self.folder}/pid) -m -- tar -xzf - -C {swarm}")

    @property
    def init(self) -> str:
        """The restore itself. What it prints has join tokens in it."""
        return self.root(
            f"timeout {INIT_SECONDS} docker -H unix://{self.socket} swarm init --force-new-cluster "
            "--advertise-addr 127.0.0.1 --listen-addr 127.0.0.1:2377 >/dev/null"
        )

    @property
    def api(self) -> str:
        """The way to its API."""
        return self.root(f"docker -H unix://{self.socket} system dial-stdio")

    @property
    def reads(self) -> tuple[str, ...]:
        """What is asked over the API, as the docker command asks it."""
        asked = ("info", "node ls", "service ls", "network ls --filter scope=swarm", "secret ls", "config ls")
        return tuple(self.root(f"docker -H unix://{self.socket} {what}") for what in asked)

    def log(self, number: int) -> str:
        """What dockerd said of errors; whole lines of its log may hold keys of the network."""
        file = f"{self.folder}/data/log/dockerd.{number}"
        enter = f"nsenter -t $(cut -d' ' -f1 {self.folder}/pid) -m --"
        return self.root(f"{enter} grep -aE 'level=(error|fatal)|^panic|^failed|^fatal|^unable' {file} | tail -n 5")

    @property
    def beat(self) -> str:
        """The sign of life that keeps the guard from ending it."""
        return self.root(f"[ -d {self.folder} ] && touch {self.folder}/alive")

    @property
    def gone(self) -> str:
        """Whether nothing is left."""
        return self.root(f"[ ! -e {self.folder} ] && ! grep -qF {self.folder}/ /proc/mounts")

    def sweeps(self, rehearsals: Iterable[str]) -> tuple[str, ...]:
        """What removes the leftovers of earlier rehearsals."""
        return tuple(self.root(down(each, systemd=self.systemd)) for each in rehearsals)

    @property
    def down(self) -> str:
        """Ends everything and removes it; fails where something stayed."""
        return self.root(down(self.id, systemd=self.systemd))


def down(rehearsal: str, *, systemd: bool) -> str:
    """The line that ends a rehearsal, be it under way or left behind, and removes it; fails where something stayed."""
    f = f"{BASE}/{rehearsal}"
    unit = f"systemctl stop swarmtui-rehearsal-{rehearsal} 2>/dev/null; " if systemd else ""
    # The guard first: else it would begin to clean up as well.
    kill = (
        f"for p in guard.pid pid; do read -r id at 2>/dev/null <{f}/$p && "
        f'[ "$({_STARTED} /proc/$id/stat 2>/dev/null)" = "$at" ] && kill -9 $id; done'
    )
    gone = f"find {f} -name '*.key' -exec shred -u {{}} + 2>/dev/null; rm -rf {f} 2>/dev/null && break"
    left = f"[ ! -e {f} ] && ! grep -qF {f}/ /proc/mounts"
    return f"{unit}{kill}; for i in 1 2 3 4 5 6 7 8 9 10; do {gone}; sleep 0.3; done; {EMPTY}; {left}"


def look() -> str:
    """What a host has that a rehearsal needs, and what earlier ones left there; one fact on each line."""
    alive = (
        f"read -r id at 2>/dev/null <{BASE}/$r/pid && "
        f'[ "$({_STARTED} /proc/$id/stat 2>/dev/null)" = "$at" ] && echo "alive $r" || echo "left $r"'
    )
    return "; ".join(
        (
            STATES,
            f"for c in {' '.join(NEEDED)}; do command -v $c >/dev/null || echo missing $c; done",
            "unshare --help 2>&1 | grep -q -e --kill-child || echo missing 'unshare --kill-child (util-linux 2.32)'",
            'echo "version $(dockerd --version 2>/dev/null)"',
            "[ -d /run/systemd/system ] && systemd-run --help 2>&1 | grep -q -e --collect && echo systemd",
            'echo "disk $(df -Pk /var/lib | tail -n 1)"',
            'echo "memory $(grep MemAvailable /proc/meminfo)"',
            f"for r in $(ls {BASE} 2>/dev/null); do {alive}; done",
            "p=$(cat /var/run/docker.pid 2>/dev/null)",
            f'[ "$(cat /proc/$p/comm 2>/dev/null)" = dockerd ] && echo "engine $p $({_STARTED} /proc/$p/stat)"',
            "true",
        )
    )


ENGINE = "timeout 30 docker -H unix:///var/run/docker.sock info -f '{{json .Swarm}}'"
"""What the host's own engine says of its Swarm; asked only where it runs, as a socket would start it."""


def as_root(line: str, *, sudo: bool) -> str:
    """A line of shell as root runs it."""
    return f"sudo -n sh -c {shlex.quote(line)}" if sudo else f"sh -c {shlex.quote(line)}"


def is_id(text: str) -> bool:
    """Whether a text is the name of a rehearsal."""
    return _ID.fullmatch(text) is not None


def _write(file: str, lines: Iterable[str]) -> str:
    words = " ".join(shlex.quote(line) for line in lines)
    return f"printf '%s\\n' {words} >{file}"
