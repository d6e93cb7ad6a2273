"""How the bootstrapper is run by hand."""

from __future__ import annotations

from tests.lab.standins import names

SOCKET = "/var/run/docker.sock"


def docker_run(version: str, command: str, *, tty: bool = False, options: str = "") -> str:
    """The documented command line."""
    mode = "-it" if tty else "-i"
    image = names(version)[0]
    return f"docker container run --rm {mode} --name ucp {options} -v {SOCKET}:{SOCKET} {image} {command}"
