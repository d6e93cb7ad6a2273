"""What a test does to a host to make its night bad. All of it can be undone by `Lab.reset()`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.machine import LabError, cgroup_pids, unified, wait_for

if TYPE_CHECKING:
    from tests.lab.host import Host

STOP = "systemctl stop docker.socket docker.service"
START = "systemctl reset-failed docker.service docker.socket; systemctl start docker.socket docker.service"


class Faults:
    """The faults of a host; `Host` inherits them."""

    # --- network ----------------------------------------------------------------------------------------------

    def cut(self: Host) -> None:
        """Pull the network cable: neither the other hosts nor this machine reach it."""
        self.lab.network.cut(self.name)

    def separate(self: Host, *others: Host) -> None:
        """Drop what this host and the others (all others, if none is named) send each other; SSH still works."""
        for other in others or [host for host in self.lab.hosts if host is not self]:
            self.lab.network.separate(self.name, [other.address])
            self.lab.network.separate(other.name, [self.address])

    def mend(self: Host) -> None:
        """Undo `cut` and `separate` for this host, on both sides."""
        self.lab.network.mend(self.name)
        for other in self.lab.hosts:
            if other is not self:
                self.lab.network.mend_towards(other.name, self.address)

    # --- Docker -----------------------------------------------------------------------------------------------

    def stop_docker(self: Host) -> None:
        """Stop Docker, its socket too: otherwise the next `docker ...` of anybody starts it again."""
        self.sh(STOP)

    def start_docker(self: Host, wait: bool = True) -> None:
        """Start Docker and its socket; with `wait`, until the engine answers."""
        self.sh(START)
        if wait:
            self.wait_docker()

    def restart_docker(self: Host, wait: bool = True) -> None:
        """`systemctl restart docker`."""
        self.sh("systemctl reset-failed docker.service; systemctl restart docker.service")
        if wait:
            self.wait_docker()

    def kill_docker(self: Host) -> None:
        """kill -9 of the engine (systemd starts it again after a moment: Restart=on-failure)."""
        self.sh("systemctl kill --kill-who=main -s KILL docker.service")

    def docker_unit_active(self: Host) -> bool:
        """Whether docker.service runs, without waking it through its socket."""
        return self.sh("systemctl is-active -q docker.service", check=False).returncode == 0

    # --- the whole host ---------------------------------------------------------------------------------------

    def freeze(self: Host) -> None:
        """Stop every process of the host in mid-air: connections stay open and nothing answers."""
        self._set_frozen(True)

    def thaw(self: Host) -> None:
        """Let a frozen host go on."""
        self._set_frozen(False)

    def _set_frozen(self: Host, frozen: bool) -> None:
        for group in self.cgroups:
            file, value = (
                (group / "cgroup.freeze", "1" if frozen else "0")
                if unified()
                else (group / "freezer.state", "FROZEN" if frozen else "THAWED")
            )
            if file.exists():
                if unified():
                    file.write_text(value)
                else:
                    wait_for(f"{self.name} {value}", lambda f=file, v=value: _write_and_check(f, v), 5)
                return
        raise LabError("this machine has no freezer control group")

    def is_frozen(self: Host) -> bool:
        """Whether `freeze` holds the host."""
        for group in self.cgroups:
            for name in ("cgroup.freeze", "freezer.state"):
                if (group / name).exists():
                    return (group / name).read_text().strip() not in ("0", "THAWED")
        return False

    def process_count(self: Host) -> int:
        """How many processes the host has, its containers included."""
        return len(cgroup_pids(self.cgroups[:1]))

    # --- disk -------------------------------------------------------------------------------------------------

    def fill_disk(self: Host, folder: str, size_kb: int = 256) -> None:
        """Put a full little disk over a folder: writing there ends with "No space left on device".

        What was in the folder is hidden until `free_disk`. (For a full /var/lib/docker, give the lab `disk_mb`
        and write the space away.)
        """
        self.sh(
            f"mkdir -p {folder} && mount -t tmpfs -o size={size_kb}k lab-full {folder}"
            f" && {{ cat /dev/zero >{folder}/.full 2>/dev/null; true; }}"
        )

    def free_disk(self: Host, folder: str | None = None) -> None:
        """Take the full disks away again (one, or all)."""
        if folder:
            self.sh(f"umount {folder}")
        else:
            self.sh("awk '$1 == \"lab-full\" { print $2 }' /proc/mounts | xargs -r -n 1 umount -l")

    # --- clock ------------------------------------------------------------------------------------------------

    def set_clock_offset(self: Host, seconds: int) -> None:
        """Let `date` on this host tell a time that is off by so many seconds (0: right again).

        Only `date` is fooled: nothing but the machine under all hosts has a clock, and that one is never set.
        """
        if not seconds:
            self.sh("rm -f /usr/local/bin/date")
            return
        shim = f'#!/bin/sh\nexec /bin/date -d "@$(($(/bin/date +%s) + {seconds}))" "$@"\n'
        self.sh("cat >/usr/local/bin/date && chmod 755 /usr/local/bin/date", data=shim.encode())

    # --- sshd -------------------------------------------------------------------------------------------------

    def sshd(self: Host, *lines: str) -> None:
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


def _write_and_check(file: Path, value: str) -> bool:
    file.write_text(value)
    return file.read_text().strip() == value
