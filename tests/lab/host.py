"""A host as tests use it: a machine, and what one does to it to make its night bad. `Lab.reset()` undoes all of it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

from tests.lab import images
from tests.lab.machine import LabError, cgroup_pids, wait_for
from tests.lab.nspawn import Machine

STOP = "systemctl stop docker.socket docker.service"
START = "systemctl reset-failed docker.service docker.socket; systemctl start docker.socket docker.service"


class Host(Machine):
    """A host of a lab, with its faults."""

    def import_image(self, name: str, root: bytes, changes: Iterable[str] = images.CHANGES) -> None:
        """Make an image on this host from a tar of its root folder (`images.busybox_root`, `images.tar_of`).

        Args:
            changes: Dockerfile lines, as `docker import --change` takes them.
        """
        words = " ".join(f"--change {shlex.quote(change)}" for change in changes)
        self.sh(f"docker import {words} - {shlex.quote(name)}", data=root)

    # --- network ----------------------------------------------------------------------------------------------

    def cut(self) -> None:
        """Pull the network cable: neither the other hosts nor this machine reach it."""
        self.lab.network.cut(self.name)

    def separate(self, *others: Host) -> None:
        """Drop what this host and the others (all others, if none is named) send each other; SSH still works."""
        for other in others or [host for host in self.lab.hosts if host is not self]:
            self.lab.network.separate(self.name, [other.address])
            self.lab.network.separate(other.name, [self.address])

    def mend(self) -> None:
        """Undo `cut` and `separate` for this host, on both sides."""
        self.lab.network.mend(self.name)
        for other in self.lab.hosts:
            if other is not self:
                self.lab.network.mend_towards(other.name, self.address)

    def block(self, *ports: int) -> None:
        """Drop what comes in for these TCP ports (22, 2377, ...), from everybody; `unblock` lets it in again."""
        for port in ports:
            self.sh(f"iptables -I INPUT -p tcp --dport {port} -j DROP")

    def unblock(self) -> None:
        """Undo `block`."""
        self.sh("iptables -F INPUT")

    def drop_ssh(self) -> None:
        """Kill every SSH connection to this host in mid-air; new ones are accepted."""
        self.sh(r"pkill -KILL -f '^sshd(-session)?: [a-z]+ ?[@\[]'", check=False)

    # --- Docker -----------------------------------------------------------------------------------------------

    def stop_docker(self) -> None:
        """Stop Docker, its socket too: otherwise the next `docker ...` of anybody starts it again."""
        self.sh(STOP)

    def start_docker(self, wait: bool = True) -> None:
        """Start Docker and its socket; with `wait`, until the engine answers."""
        self.sh(START, timeout=120)  # a manager without a quorum lets systemctl wait for 20 s
        if wait:
            self.wait_docker()

    def restart_docker(self, wait: bool = True) -> None:
        """`systemctl restart docker`."""
        self.sh("systemctl reset-failed docker.service; systemctl restart docker.service", timeout=120)
        if wait:
            self.wait_docker()

    def kill_docker(self) -> None:
        """kill -9 of the engine (systemd starts it again after a moment: Restart=on-failure)."""
        self.sh("systemctl kill --kill-who=main -s KILL docker.service")

    def docker_unit_active(self) -> bool:
        """Whether docker.service runs, without waking it through its socket."""
        return self.sh("systemctl is-active -q docker.service", check=False).returncode == 0

    # --- the whole host ---------------------------------------------------------------------------------------

    def freeze(self) -> None:
        """Stop every process of the host in mid-air: connections stay open and nothing answers."""
        self._set_frozen(True)

    def thaw(self) -> None:
        """Let a frozen host go on."""
        self._set_frozen(False)

    def _set_frozen(self, frozen: bool) -> None:
        file = self._freezer()
        value = ("1" if frozen else "0") if file.name == "cgroup.freeze" else ("FROZEN" if frozen else "THAWED")

        def done() -> bool:
            file.write_text(value)
            return file.read_text().strip() == value

        wait_for(f"{self.name} is {'frozen' if frozen else 'thawed'}", done, 5)

    def is_frozen(self) -> bool:
        """Whether `freeze` holds the host."""
        return self.is_on() and self._freezer().read_text().strip() not in ("0", "THAWED")

    def _freezer(self) -> Path:
        for name in ("freezer.state", "cgroup.freeze"):  # cgroup v1, then v2 (in a hybrid, either may have it)
            for group in self.cgroups:
                if (group / name).exists():
                    return group / name
        raise LabError("this machine has no freezer among its control groups")

    def process_count(self) -> int:
        """How many processes the host has, its containers included."""
        return len(cgroup_pids(self.cgroups[:1]))

    def replace(self, wait: bool = True) -> None:
        """A new machine in its place: same name and address, empty disk, other ssh host key.

        Images given with `Lab.add_image` are there again with `wait` only.
        """
        self.power_off()
        self.make_disk()
        self.lab.write_home()
        self.power_on(wait)
        if wait:
            self.lab.import_images([self])

    # --- disk -------------------------------------------------------------------------------------------------

    def fill_disk(self, folder: str, size_kb: int = 256) -> None:
        """Put a full little disk over a folder: writing there ends with "No space left on device".

        What was in the folder is hidden until `free_disk`. (For a full /var/lib/docker, give the lab `disk_mb`
        and write the space away.)
        """
        self.sh(
            f"mkdir -p {folder} && mount -t tmpfs -o size={size_kb}k lab-full {folder}"
            f" && {{ cat /dev/zero >{folder}/.full 2>/dev/null; true; }}"
        )

    def free_disk(self, folder: str | None = None) -> None:
        """Take the full disks away again (one, or all)."""
        if folder:
            self.sh(f"umount {folder}")
        else:
            self.sh("awk '$1 == \"lab-full\" { print $2 }' /proc/mounts | xargs -r -n 1 umount -l")

    # --- clock ------------------------------------------------------------------------------------------------

    def set_clock_offset(self, seconds: int) -> None:
        """Let `date` on this host tell a time that is off by so many seconds (0: right again).

        Only `date` is fooled: nothing but the machine under all hosts has a clock, and that one is never set.
        """
        if not seconds:
            self.sh("rm -f /usr/local/bin/date")
            return
        shim = f'#!/bin/sh\nexec /bin/date -d "@$(($(/bin/date +%s) + {seconds}))" "$@"\n'
        self.sh("cat >/usr/local/bin/date && chmod 755 /usr/local/bin/date", data=shim.encode())

    # --- sshd -------------------------------------------------------------------------------------------------

    def sshd(self, *lines: str) -> None:
        """Give sshd these settings before all others, and reload it; without any, back to normal.

        Example: `host.sshd("AllowStreamLocalForwarding no")`.
        """
        file = "/etc/ssh/sshd_config.d/00-test.conf"
        if lines:
            self.sh(f"cat >{file}", data=("\n".join(lines) + "\n").encode())
        else:
            self.sh(f"rm -f {file}")
        self.sh("sshd -t && systemctl reload ssh.service")
        self.wait_ssh()
