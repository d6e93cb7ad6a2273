"""A whole Debian machine under systemd-nspawn: its disk, its power, the ways in. `host.Host` is what tests use."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.lab.machine import (
    PATH,
    LabError,
    Process,
    cgroup_pids,
    copy_tree,
    empty_cgroups,
    kill_group,
    new_cgroups,
    remove_tree,
    run,
    unified,
    wait_for,
    which,
)

if TYPE_CHECKING:
    from tests.lab.lab import Lab

BOOT = Path(__file__).with_name("boot.sh")


class Machine:
    """A machine of a lab, with systemd, Docker, sshd and cron.

    Attributes:
        name: `mgr1`, `wrk2`, ... its hostname as well.
        address: its IPv4 address; port 22 has sshd, with the users root, op and nodocker.
        folder: what makes up its disk (`upper`, `docker`), on this machine.
    """

    def __init__(self, lab: Lab, name: str, index: int) -> None:
        self.lab = lab
        self.name = name
        self.index = index
        self.address = lab.network.address(index)
        self.folder = lab.folder / "hosts" / name
        self.cgroups: list[Path] = []
        self._host_key: tuple[str, str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._leader: Process | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name}, {self.address})"

    @property
    def is_manager(self) -> bool:
        """Whether it is meant to be a manager (by its name; a test may have made something else of it)."""
        return self.name.startswith("mgr")

    @property
    def target(self) -> str:
        """The host as the product's TARGET, logging in as root."""
        return f"ssh://root@{self.address}"

    @property
    def docker_folder(self) -> Path:
        """The host's /var/lib/docker, to be read from this machine (also while the host is off).

        With `disk_mb` it is empty: the folder is then a file system in `docker.img` beside it.
        """
        return self.folder / "docker"

    # --- disk and power ---------------------------------------------------------------------------------------

    def make_disk(self, keep_key: bool = False) -> None:
        """A new empty machine: own machine-id, own ssh host key (or the one it had), the stock images, no Swarm."""
        old_key = self._host_key if keep_key else None
        remove_tree(self.folder)
        etc = self.folder / "upper/etc"
        for folder in (etc / "ssh", self.folder / "work", self.folder / "root"):
            folder.mkdir(parents=True)
        for folder in (self.folder / "upper", etc, etc / "ssh"):  # whatever our umask: these become the host's own
            folder.chmod(0o755)
        (etc / "hostname").write_text(self.name + "\n")
        (etc / "machine-id").write_text(uuid.uuid4().hex + "\n")
        hosts = "".join(f"{host.address} {host.name}\n" for host in self.lab.hosts)
        (etc / "hosts").write_text(f"127.0.0.1 localhost\n{hosts}")
        key = etc / "ssh/ssh_host_ed25519_key"
        if old_key is None:
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", str(key)])
            self._host_key = (key.read_text(), key.with_suffix(".pub").read_text())
        else:
            key.touch(0o600)
            key.write_text(old_key[0])
            key.with_suffix(".pub").write_text(old_key[1])
        (etc / "ssh/authorized_keys.lab").write_text(self.lab.public_key)
        image = self.folder / "docker.img"
        if self.lab.disk_mb is None:
            copy_tree(self.lab.base.docker, self.docker_folder)
        else:
            self.docker_folder.mkdir(mode=0o710)
            run(["truncate", "-s", f"{self.lab.disk_mb}M", str(image)])
            run(["mkfs.ext4", "-q", "-F", "-d", str(self.lab.base.docker), str(image)])

    @property
    def public_host_key(self) -> str:
        """The host's public ssh key, `TYPE BASE64`."""
        if self._host_key is None:
            raise LabError(f"{self.name} has no disk yet")
        return " ".join(self._host_key[1].split()[:2])

    @property
    def machine(self) -> str:
        """Its name among all machines and control groups here."""
        return f"swarmtui-lab-{self.lab.number}-{self.name}"

    def power_on(self, wait: bool = True) -> None:
        """Start the host; with `wait`, until sshd and Docker answer (about 3 s)."""
        if self.is_on():
            return
        if not (self.folder / "upper").is_dir():
            raise LabError(f"{self.name} was destroyed; replace() gives a new machine of that name")
        self._forget_process()
        self.cgroups = new_cgroups(self.machine)
        self.lab.record()
        f = self.folder
        image = f / "docker.img"
        overlay = f"lowerdir={self.lab.base.tree},upperdir={f / 'upper'},workdir={f / 'work'}"
        legacy = not unified() and self.lab.base.release != "bookworm"
        nspawn = [
            which("systemd-nspawn") or "systemd-nspawn",
            *("-q", "--boot", "--register=no", "--keep-unit", "-D", str(f / "root")),
            *(f"--hostname={self.name}", f"--machine={self.machine}"),
            f"--network-namespace-path=/run/netns/{self.lab.network.namespace(self.name)}",
            *("--capability=all", "--private-users=no", "--system-call-filter=add_key keyctl bpf"),
            *("--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=pipe"),
            f"--bind={self.docker_folder}:/var/lib/docker",
            # systemd of trixie refuses cgroup v1 unless told twice.
            *(("systemd.unified_cgroup_hierarchy=0", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1") if legacy else ()),
        ]
        groups = [str(group) for group in self.cgroups]
        disk = str(image) if image.exists() else ""
        arguments = [str(len(groups)), *groups, overlay, str(f / "root"), disk, str(self.docker_folder), *nspawn]
        unshare = [which("unshare") or "unshare", "--mount", "--propagation", "private"]
        with (f / "console.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*unshare, "/bin/sh", str(BOOT), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={"PATH": PATH, "LANG": "C.UTF-8"},
            )
        self.lab.record()
        if wait:
            self.wait_up()

    @property
    def session(self) -> Process | None:
        """The session leader of the host's processes on this machine."""
        return Process.of(self._process.pid) if self._process else None

    def is_on(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def power_off(self) -> None:
        """Pull the plug: kill -9 of everything, nothing is flushed or told. What is on disk stays."""
        if self._process is None:
            return
        session = self.session
        if session:
            kill_group(session)
        empty_cgroups(self.cgroups)
        self._forget_process()
        self.lab.record()

    def _forget_process(self) -> None:
        if self._process is not None:
            self._process.wait(10)
            self._process = None
        self._leader = None

    def reboot(self, wait: bool = True) -> None:
        """`systemctl reboot`: an orderly restart."""
        before = self.leader
        self.sh("systemctl reboot", check=False)
        wait_for(f"{self.name} goes down for its reboot", lambda: not before.alive(), 90)
        self._leader = None
        if wait:
            self.wait_up()

    def destroy(self) -> None:
        """Lost for good: the power and the disk."""
        self.power_off()
        remove_tree(self.folder)
        self.lab.record()

    # --- running things on it ---------------------------------------------------------------------------------

    @property
    def leader(self) -> Process:
        """The host's PID 1, as this machine sees it.

        Raises:
            LabError: the host is off, or not yet that far in its start.
        """
        if self._leader is None or not self._leader.alive():
            self._leader = self._find_leader()
        if self._leader is None:
            raise LabError(f"{self.name} is not running{self._last_words()}")
        return self._leader

    def _find_leader(self) -> Process | None:
        for pid in sorted(cgroup_pids(self.cgroups[:1])):
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except OSError:
                continue
            ids = next((line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")), [])
            # PID 1 of a namespace one below ours, and already systemd (nspawn's own child sets things up before).
            if len(ids) == len(_our_ids()) + 1 and ids[-1] == "1" and status.startswith("Name:\tsystemd\n"):
                return Process.of(pid)
        return None

    def _last_words(self) -> str:
        try:
            lines = (self.folder / "console.log").read_text(errors="replace").strip().splitlines()
        except OSError:
            return ""
        return ": " + " / ".join(line.strip() for line in lines[-3:]) if lines else ""

    def sh(
        self,
        command: str,
        *,
        check: bool = True,
        timeout: float = 60,
        data: bytes | None = None,
        user: str = "root",
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command on the host, past the network (works while it is cut off or sshd is down).

        Args:
            user: `root`, `op` or `nodocker`.
            data: given on its standard input.

        Raises:
            LabError: it failed (with `check`) or took longer than `timeout` seconds.
        """
        home = "/root" if user == "root" else f"/home/{user}"
        environment = [f"PATH={PATH}", f"HOME={home}", f"USER={user}", "LANG=C.UTF-8"]
        become = [] if user == "root" else ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
        enter = ["nsenter", "-t", str(self.leader.pid), "-m", "-u", "-i", "-n", "-p", "-C"]
        argv = [*enter, "env", "-i", *environment, *become, "/bin/sh", "-c", f"cd ~ && {command}"]
        return run(argv, data=data, check=check, timeout=timeout)

    def docker(self, *args: str, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run the host's own docker CLI."""
        argv = ["nsenter", "-t", str(self.leader.pid), "-m", "-u", "-i", "-n", "-p", "-C"]
        argv += ["env", "-i", f"PATH={PATH}", "HOME=/root", "LANG=C.UTF-8", "docker", *args]
        return run(argv, check=check, timeout=timeout)

    def ssh(
        self, command: str, *, user: str = "root", check: bool = True, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command over real SSH, as an operator would."""
        config = str(self.lab.home / ".ssh/config")
        return run(["ssh", "-F", config, f"{user}@{self.address}", command], check=check, timeout=timeout)

    def api(self, method: str, path: str, body: Any = None, timeout: float = 30) -> Any:
        """Ask the host's engine directly, through its socket file: a few ms, and independent of the product.

        Returns:
            The decoded JSON (or the text, or None without a body).

        Raises:
            LabError: the engine refused; the message has its status and its words.
            OSError: nothing listens.
        """
        link = _SocketConnection(Path(f"/proc/{self.leader.pid}/root/run/docker.sock"), timeout)
        try:
            headers = {"Content-Type": "application/json"} if body is not None else {}
            link.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = link.getresponse()
            text = answer.read().decode(errors="replace")
        finally:
            link.close()
        if answer.status >= 400:
            raise LabError(f"{self.name}: {method} {path}: {answer.status} {text.strip()[:500]}")
        try:
            return json.loads(text) if text.strip() else None
        except ValueError:
            return text

    # --- waiting ----------------------------------------------------------------------------------------------

    def wait_up(self, timeout: float = 60) -> None:
        """Wait until the host runs and both sshd and Docker answer."""
        wait_for(f"{self.name} starts", lambda: self._running() is not None, timeout)
        self.wait_docker(timeout)
        self.wait_ssh(timeout)

    def _running(self) -> Process | None:
        if not self.is_on():
            raise LabError(f"{self.name} did not start{self._last_words()}")
        if self._leader is None or not self._leader.alive():
            self._leader = self._find_leader()
        return self._leader

    def wait_ssh(self, timeout: float = 30) -> None:
        """Wait until sshd sends its greeting to this machine."""
        wait_for(f"sshd on {self.name}", self.ssh_answers, timeout)

    def ssh_answers(self) -> bool:
        try:
            with socket.create_connection((self.address, 22), timeout=1) as link:
                link.settimeout(2)
                return link.recv(4) == b"SSH-"
        except OSError:
            return False

    def wait_docker(self, timeout: float = 30) -> None:
        """Wait until the engine answers (asking starts it, if its socket listens)."""
        wait_for(f"Docker on {self.name}", self.docker_answers, timeout)

    def docker_answers(self) -> bool:
        try:
            return bool(self.api("GET", "/_ping", timeout=10) == "OK")
        except (OSError, http.client.HTTPException, LabError):
            return False

    def swarm_state(self) -> str:
        """`LocalNodeState`: inactive, pending, active, error or locked."""
        return str(self.api("GET", "/info")["Swarm"]["LocalNodeState"])


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a socket file."""

    def __init__(self, file: Path, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self._file = file

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.sock.settimeout(self.timeout)
            self.sock.connect(str(self._file))
        except BaseException:
            self.sock.close()
            raise


def _our_ids() -> list[str]:
    status = Path(f"/proc/{os.getpid()}/status").read_text()
    return next(line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:"))
