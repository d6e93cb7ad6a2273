"""A lab of real Docker Swarm hosts on one machine: whole Debian hosts under systemd-nspawn. See `lab.Lab`."""

from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.machine import LabError

__all__ = ["Host", "Lab", "LabError"]
