"""A lab: some hosts, the network between them, a Swarm on them if wanted, and a way home for all of it."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, TypeVar

from tests.lab import base as bases
from tests.lab import images, state
from tests.lab.calm import Memory, NewMachinesNeeded, calm_down, remember, unready
from tests.lab.disks import Saved, restore, save
from tests.lab.host import Host
from tests.lab.limits import lower_limits, raise_limits
from tests.lab.machine import STATE, LabError, copy_tree, remove_tree, run, unbroken, wait_for, which
from tests.lab.network import Network

T = TypeVar("T")

_open: list[Lab] = []


class Lab:
    """Hosts mgr1..N and wrk1..M with one engine version, in a network of their own.

    A context manager: leaving it takes everything down, whatever happened. `Lab(...)` alone makes nothing yet.

    Args:
        engine: "20.10" (20.10.24, Debian bookworm) or "26.1" (26.1.5, Debian trixie).
        disk_mb: give each host a disk of its own of this size for /var/lib/docker, so that it can be full.
    """

    def __init__(
        self,
        managers: int = 3,
        workers: int = 0,
        engine: str = "20.10",
        *,
        disk_mb: int | None = None,
        say: Callable[[str], None] | None = None,
        _base: bases.Base | None = None,
    ) -> None:
        self.managers, self.workers, self.engine, self.disk_mb = managers, workers, engine, disk_mb
        self._release = _base.release if _base else bases.release_for(engine)
        self._ready_base = _base
        self._say = say
        self._claim: state.Claim | None = None
        self._recording = threading.Lock()
        self._calm: Memory | None = None
        self._autolock = False
        self.reset_reason = ""
        self._images: dict[str, tuple[bytes, tuple[str, ...]]] = {}
        self.hosts: list[Host] = []

    # --- what it is -------------------------------------------------------------------------------------------

    @property
    def number(self) -> int:
        """The third number of its addresses, and its name on this machine."""
        if self._claim is None:
            raise LabError("the lab is not open")
        return self._claim.number

    @property
    def folder(self) -> Path:
        return STATE / str(self.number)

    @property
    def home(self) -> Path:
        """A private home folder (0700) with .ssh/id_ed25519, known_hosts and config for all hosts.

        asyncssh follows HOME. OpenSSH does not (it asks the passwd file): use `ssh_env()`, or `ssh -F`.
        """
        return self.folder / "home"

    def __getitem__(self, name: str) -> Host:
        for host in self.hosts:
            if host.name == name:
                return host
        raise KeyError(name)

    def ssh_env(self, **extra: str) -> dict[str, str]:
        """An environment in which `ssh`, `docker -H ssh://` and the product know the hosts and the key."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("DOCKER_") and k != "SSH_AUTH_SOCK"}
        environment["HOME"] = str(self.home)
        environment["PATH"] = f"{self.home / 'bin'}:{environment.get('PATH', '')}"
        return environment | extra

    # --- up and down ------------------------------------------------------------------------------------------

    def __enter__(self) -> Lab:
        return self if self._claim else self.open()

    def open(self) -> Lab:
        """Start the hosts and wait until sshd and Docker answer on all of them (about 3 s for three).

        Raises:
            LabError: it could not; nothing is left behind.
        """
        if self._claim is not None:
            raise LabError("this lab is open already")
        self.base = self._ready_base or bases.ensure(self._release, fill_template, self._say)
        state.sweep()
        if not _open:
            _guard_signals()
        self._claim = state.claim()
        _open.append(self)
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def _build(self) -> None:
        self.network = Network(self.number)
        self.folder.mkdir(parents=True, mode=0o711)
        raise_limits()
        names = [f"mgr{i + 1}" for i in range(self.managers)] + [f"wrk{i + 1}" for i in range(self.workers)]
        self.hosts = [Host(self, name, index) for index, name in enumerate(names, 1)]
        self.record()
        self._make_key()
        self.each(Host.make_disk)
        self.write_home()
        self.network.build()
        for host in self.hosts:
            self.network.plug(host.name, host.index)
        self.each(Host.power_on)

    def record(self) -> None:
        """Write down, by id, all that is made outside the lab's folder, so that a later run can sweep it."""
        with self._recording:
            sessions = [host.session for host in self.hosts]
            state.Record(
                owner=os.getpid(),
                boot=state.boot_id(),
                interface=self.network.interface,
                namespaces=self.network.names([host.name for host in self.hosts]),
                sessions=[(session.pid, session.started) for session in sessions if session],
                cgroups=[str(group) for host in self.hosts for group in host.cgroups],
            ).save(self.folder)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take everything down. Ctrl-C waits until that is done. May be called again."""
        if self._claim is None:
            return
        with unbroken():
            if self.folder.exists():
                self.each(Host.power_off)
                if (self.folder / "state.json").exists():
                    state.Record.load(self.folder).take_down()
                remove_tree(self.folder)
            lower_limits()
            self._claim.release()
            self._claim = None
            self.hosts = []
            _open.remove(self)
            if not _open:
                _unguard_signals()

    def each(self, work: Callable[[Host], T], hosts: Iterable[Host] | None = None) -> list[T]:
        """Do something on all hosts (or these) at once; the first error is raised when all have ended."""
        targets = list(self.hosts if hosts is None else hosts)
        if not targets:
            return []
        with ThreadPoolExecutor(max_workers=len(targets), thread_name_prefix="lab") as pool:
            waiting = [pool.submit(work, host) for host in targets]
        return [future.result() for future in waiting]

    # --- keys -------------------------------------------------------------------------------------------------

    def _make_key(self) -> None:
        ssh = self.home / ".ssh"
        for folder in (self.home, ssh, self.home / "bin"):
            folder.mkdir(mode=0o700)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(ssh / "id_ed25519")])
        self.public_key = (ssh / "id_ed25519.pub").read_text()

    def write_home(self) -> None:
        """Write known_hosts, the ssh config and the `ssh` that uses them."""
        ssh = self.home / ".ssh"
        known = "".join(f"{h.name},{h.address} {h.public_host_key}\n" for h in self.hosts)
        names = "".join(f"Host {h.name}\n  HostName {h.address}\n" for h in self.hosts)
        (ssh / "known_hosts").write_text(known)
        (ssh / "config").write_text(
            f"{names}Host {self.network.prefix}.* {' '.join(h.name for h in self.hosts)}\n"
            f"  User root\n  IdentityFile {ssh / 'id_ed25519'}\n  IdentitiesOnly yes\n  IdentityAgent none\n"
            f"  UserKnownHostsFile {ssh / 'known_hosts'}\n  GlobalKnownHostsFile /dev/null\n"
            "  StrictHostKeyChecking yes\n  BatchMode yes\n"
        )
        wrapper = self.home / "bin/ssh"
        wrapper.write_text(f'#!/bin/sh\nexec {which("ssh")} -F {ssh / "config"} "$@"\n')
        wrapper.chmod(0o755)

    # --- the Swarm --------------------------------------------------------------------------------------------

    def swarm(self, *, autolock: bool = False) -> Lab:
        """Make one Swarm of all hosts, in the roles their names say; wait until all are ready.

        With `autolock`, `unlock_key` has the key afterwards.
        """
        first, *others = [host for host in self.hosts if host.is_manager]
        workers = [host for host in self.hosts if not host.is_manager]
        first.api(
            "POST",
            "/swarm/init",
            {
                "ListenAddr": "0.0.0.0:2377",
                "AdvertiseAddr": first.address,
                "Spec": {"EncryptionConfig": {"AutoLockManagers": autolock}},
            },
            timeout=60,
        )
        tokens: dict[str, str] = first.api("GET", "/swarm")["JoinTokens"]
        for host in others:  # one after the other: raft takes one new member at a time
            self.join(host, first, tokens["Manager"])
        self.each(lambda host: self.join(host, first, tokens["Worker"]), workers)
        self.wait_ready()
        self._calm = remember(self)
        self._autolock = autolock
        return self

    def reset(self) -> None:
        """Back to a calm Swarm, as `swarm()` made it: in place if that is quick, else on new machines (about 5 s).

        Addresses, ssh host keys and images given with `add_image` stay in any case. `reset_reason`
        tells why new machines were needed, else it is "".
        """
        if self._calm is None:
            raise LabError("reset() goes back to a calm Swarm, and this lab has none: call swarm() first")
        self.reset_reason = ""
        try:
            calm_down(self, self._calm)
        except NewMachinesNeeded as reason:
            self.reset_reason = str(reason)
            self.rebuild()
            self.swarm(autolock=self._autolock)

    def rebuild(self) -> None:
        """New empty machines in place of all hosts, with the same names, addresses and ssh host keys; no Swarm."""
        self.each(Host.power_off)
        self.each(lambda host: host.make_disk(keep_key=True))
        self.write_home()
        for host in self.hosts:
            self.network.mend(host.name)
        self.each(Host.power_on)
        self.import_images(self.hosts)

    # --- images -----------------------------------------------------------------------------------------------

    def add_image(self, name: str, root: bytes, changes: Iterable[str] = images.CHANGES) -> None:
        """Make an image on every host (see `Host.import_image`), and on every new machine from now on."""
        self._images[name] = (root, tuple(changes))
        self.each(lambda host: host.import_image(name, *self._images[name]))

    def import_images(self, hosts: Iterable[Host]) -> None:
        """Bring the images of `add_image` to these hosts."""
        if self._images:
            self.each(self._import_all, hosts)

    def _import_all(self, host: Host) -> None:
        for name, (root, changes) in self._images.items():
            host.import_image(name, root, changes)

    # --- the Swarm, again -------------------------------------------------------------------------------------

    def save(self) -> Saved:
        """Copy all disks, for `restore`; see `disks.save`."""
        return save(self)

    def restore(self, saved: Saved) -> None:
        """Go back to saved disks; see `disks.restore`."""
        restore(self, saved)

    def join(self, host: Host, by: Host, token: str) -> None:
        """Let a host join the Swarm of another."""
        body = {"RemoteAddrs": [f"{by.address}:2377"], "JoinToken": token}
        body |= {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": host.address}
        try:
            host.api("POST", "/swarm/join", body, timeout=60)
        except LabError as error:
            if "in the background" not in str(error):  # the engine waits 20 s itself, and goes on joining after that
                raise

    @property
    def unlock_key(self) -> str:
        """The Swarm's present unlock key, or "" without autolock."""
        return str(self["mgr1"].api("GET", "/swarm/unlockkey")["UnlockKey"])

    @property
    def leader(self) -> Host:
        """The host whose engine says that it leads.

        Raises:
            LabError: none does, for now.
        """
        for host in self.hosts:
            if host.is_on() and not host.is_frozen() and host.swarm_state() == "active" and host.is_manager:
                for node in self.nodes(host):
                    if node.get("ManagerStatus", {}).get("Leader"):
                        return self[node["Description"]["Hostname"]]
        raise LabError("no manager leads")

    def nodes(self, seen_by: Host | None = None) -> list[dict[str, Any]]:
        """The nodes as a manager lists them (decoded API answer), sorted by hostname."""
        found: list[dict[str, Any]] = (seen_by or self.hosts[0]).api("GET", "/nodes")
        return sorted(found, key=lambda node: (node["Description"].get("Hostname", ""), node["ID"]))

    def wait_ready(self, timeout: float = 60) -> None:
        """Wait until mgr1 lists every host as ready, and every manager as reachable."""
        wait_for("the Swarm is ready", lambda: not unready(self), timeout, every=0.1)


def fill_template(base: bases.Base) -> None:
    """Boot one host on a new base tree and keep its image store: every host starts with a copy of it."""
    base.docker.mkdir(mode=0o710)
    with Lab(managers=1, _base=base) as lab:
        host = lab["mgr1"]
        host.import_image(images.STOCK[0], images.busybox_root())
        for name in images.STOCK[1:]:
            host.docker("tag", images.STOCK[0], name)
        host.stop_docker()
        for name in ("image", "overlay2"):  # the images; neither engine id nor networks nor Swarm
            copy_tree(host.docker_folder / name, base.docker / name)


# --- signals: the end of the process takes every lab down -----------------------------------------------------------

_before: dict[int, Any] = {}


def _guard_signals() -> None:
    """Let SIGTERM and SIGHUP unwind like Ctrl-C does, while a lab is open."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                _before[number] = signal.signal(number, _interrupt)


def _unguard_signals() -> None:
    if threading.current_thread() is threading.main_thread():
        while _before:
            number, handler = _before.popitem()
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(f"signal {signal.Signals(number).name}")


@atexit.register
def _close_all() -> None:
    for lab in _open.copy():
        try:
            lab.close()
        except (LabError, OSError):
            traceback.print_exc(file=sys.stderr)
