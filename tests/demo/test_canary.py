"""Hostile commands over SSH: no shell, no file and no Docker of this machine is ever reached.

The demo is started where every tool that a shell could find is a canary that leaves a mark, where DOCKER_HOST leads
to a canary socket, and beside a file with a secret in it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from pathlib import Path

import asyncssh

from tests.demo.conftest import Serve, Served
from tests.demo.test_shell import HOSTILE

SECRET = "the canary sings"
TOOLS = ("docker", "sh", "bash", "systemctl", "service", "tar", "rm", "ip", "touch", "cat", "openssl", "env", "sudo")
READING = [
    "cat {secret}",
    "/bin/cat {secret}",
    "cat {here}/../{folder}/secret",
    "cat /proc/self/environ",
    "cat /proc/self/root{secret}",
    "cat '{secret}'",
    "grep . {secret}",
    "sha256sum {secret}",
    "cp {secret} /root/copy && cat /root/copy",
    "cp -r {here} /root/all && cat /root/all/secret",
    "mv {secret} /root/moved; cat /root/moved",
    "openssl x509 -noout -subject -in {secret}",
    "docker run --env-file {secret} alpine env",
    "docker run -v {here}:/x docker/ucp:2.2.5 backup",
    "docker -H unix://{here}/docker.sock ps -a",
    "docker --context default info",
    "DOCKER_HOST=unix://{here}/docker.sock docker info",
    "DOCKER_CONFIG={here} docker secret ls",
    "docker service update --env-add-file {secret} shop_web",
    "rm -rf {here}",
    "rm -f {secret}",
    "mv /etc/hostname {secret}",
    "chmod 777 {secret}",
    "mkdir -p {here}/new",
    "touch {here}/new",
    "tar -cf - {here}",
    "tar -xf {secret} -C {here}",
]


async def _say(served: Served, lines: list[str]) -> str:
    """Runs lines on one host; returns all that came back."""
    heard = ""
    folder = served.folder
    async with await asyncssh.connect(
        "mgr1", config=[str(folder / "ssh_config")], known_hosts=str(folder / "known_hosts"), agent_path=None
    ) as connection:
        for line in lines:
            done = await connection.run(line, encoding=None, stdin=asyncssh.DEVNULL)
            heard += bytes(done.stdout or b"").decode(errors="replace")
            heard += bytes(done.stderr or b"").decode(errors="replace")
    return heard


def test_nothing_of_this_machine_is_reached(serve: Serve, tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    secret, marks, tools = here / "secret", tmp_path / "marks", tmp_path / "bin"
    secret.write_text(SECRET)
    marks.mkdir()
    tools.mkdir()
    for name in TOOLS:
        tool = tools / name
        tool.write_text(f'#!/bin/sh\n: > "{marks}/{name}"\n')
        tool.chmod(0o755)
    daemon = socket.socket(socket.AF_UNIX)
    daemon.bind(str(here / "docker.sock"))
    daemon.listen()
    daemon.settimeout(0.1)
    before = sorted((path, path.stat().st_mtime_ns) for path in here.rglob("*"))
    try:
        served = serve(
            PATH=f"{tools}:{os.environ['PATH']}", DOCKER_HOST=f"unix://{here}/docker.sock", SHELL=str(tools / "sh")
        )
        words = {"here": here, "secret": secret, "folder": here.name}
        lines = [line.format(mark=marks / "x") for line in HOSTILE if "\0" not in line]
        lines += [line.format(**words) for line in READING]
        heard = asyncio.run(_say(served, lines))
        try:
            daemon.accept()
        except TimeoutError:
            reached = False
        else:
            reached = True
    finally:
        daemon.close()
    assert "not found" in heard, "they were answered"
    assert "not supported here" in heard
    assert not reached
    assert SECRET not in heard
    assert list(marks.iterdir()) == []
    assert secret.read_text() == SECRET
    assert sorted((path, path.stat().st_mtime_ns) for path in here.rglob("*")) == before
    assert served.ssh("mgr1", "hostname").stdout == "mgr1\n", "and the host goes on"


def test_the_canaries_sing(tmp_path: Path) -> None:
    """A real shell reaches them: else the test above proves nothing."""
    (tmp_path / "docker").write_text(f'#!/bin/sh\n: > "{tmp_path}/mark"\n')
    (tmp_path / "docker").chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-c", "docker ps"], env=env, check=True)
    assert (tmp_path / "mark").exists()
