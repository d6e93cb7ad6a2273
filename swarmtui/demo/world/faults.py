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


def fill_disk(host: Host, left: int = 0) -> None:
    """Nearly nothing more can be written on a host.

    Args:
        left: bytes that are still free.
    """
    host.room = left


def free_disk(host: Host) -> None:
    """There is plenty of room again."""
    host.room = None
