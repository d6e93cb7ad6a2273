"""What can be made to go wrong on a simulated host: put these into `Host.faults`, or call the functions.

More of it is in World: crash, reboot, partition, stop_docker.
"""

from __future__ import annotations

from swarmtui.demo.world.host import Host

TAR_KILLED = "tar-killed"
"""Whatever kills processes kills tar in the middle of its work."""
DOCKER_WILL_NOT_STOP = "docker-will-not-stop"
"""`systemctl stop docker` hangs, and Docker goes on."""
DOCKER_WILL_NOT_START = "docker-will-not-start"
"""Docker's unit fails whenever it is started."""
SELINUX = "selinux"
"""Its engine separates containers by SELinux: they do not get at its socket without `label=disable`."""
UCP_FATAL_EXITS_0 = "ucp-fatal-exits-0"
"""The image of UCP ends with 0 also after a fatal line."""
UCP_INSTALL_FAILS = "ucp-install-fails"
"""`install` ends in the middle, and leaves what it had begun."""
UCP_UNINSTALL_HANGS = "ucp-uninstall-hangs"
"""`uninstall-ucp` does not get this node clean in time."""
UCP_BACKUP_TRUNCATED = "ucp-backup-truncated"
"""`backup` loses most of its archive, and says that all is well."""
UCP_STAYS_STOPPED = "ucp-stays-stopped"
"""`backup` does not start again what it has stopped."""
UCP_RESTORE_FAILS = "ucp-restore-fails"
"""`restore` ends in the middle, and leaves what it had begun."""
DTR_PHASE2_FAILS = "dtr-phase2-fails"
"""The second phase of `install`, `join` and `restore` ends in the middle on this node, and leaves what it had begun."""
DTR_FATAL_EXITS_0 = "dtr-fatal-exits-0"
"""The image of DTR ends with 0 also after a fatal line."""
DTR_BACKUP_TRUNCATED = "dtr-backup-truncated"
"""`backup` loses most of its archive, and says that all is well."""


def fill_disk(host: Host, left: int = 0) -> None:
    """Nearly nothing more can be written on a host.

    Args:
        left: bytes that are still free.
    """
    host.room = left


def free_disk(host: Host) -> None:
    """There is plenty of room again."""
    host.room = None
