"""The stock docker command on a node, as a rule the manager in use: over SSH, or here where its socket is local."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from swarmtui.errors import UsageError
from swarmtui.model.text import harmless, one_line
from swarmtui.runbooks.runbook import StepError
from swarmtui.session import Session

REASON_LENGTH = 300


@dataclass(frozen=True, slots=True)
class Ran:
    """A docker command that ran to its end.

    Attributes:
        where: name of the host.
        lines, errors: what it said on standard output and standard error, made harmless.
    """

    where: str
    code: int
    lines: tuple[str, ...]
    errors: tuple[str, ...]

    @property
    def why(self) -> str:
        """What it said last, for a sentence."""
        last = self.errors[-2:] or self.lines[-1:]
        return one_line(" ".join(last))[-REASON_LENGTH:].rstrip(".") or f"exit code {self.code}"


def check_way(session: Session, command: str) -> None:
    """Whether the docker command can run on the manager in use.

    Raises:
        UsageError: it is reached over TLS only.
    """
    if session.connection.via == "tls":
        raise UsageError(
            f"`docker {command}` runs on a manager, and {session.connection.through} is reached through its API only.",
            "Open the cluster over SSH (ssh://USER@MANAGER), or on a manager itself (unix:///var/run/docker.sock).",
        )


async def docker(session: Session, arguments: Sequence[str], *, stdin: bytes | None = None, timeout: float) -> Ran:
    """Runs `docker ARGUMENTS` on the manager in use, whatever its outcome.

    Args:
        stdin: what it reads; secrets belong here, and not into the arguments.
        timeout: seconds.

    Raises:
        LinkError: the connection was lost, or the time was up: it may have done some or all of its work.
        StepError: it could not be started, or this manager is not reached in a way that can run it.
    """
    connection = session.connection
    if connection.via == "tls":
        raise StepError(
            f"{connection.through} cannot be given a command: it is reached through its API only.",
            "Open the cluster over SSH, or on a manager itself.",
        )
    return await docker_on(session, connection.node_id, arguments, stdin=stdin, timeout=timeout)


async def docker_on(
    session: Session, node_id: str, arguments: Sequence[str], *, stdin: bytes | None = None, timeout: float
) -> Ran:
    """Like `docker`, on the host of a node: over SSH, or here where it is the one whose socket is in use."""
    connection = session.connection
    if connection.via == "socket" and node_id == connection.node_id:
        return await _here(connection.through, arguments, stdin, timeout)
    node = session.snapshot.nodes.get(node_id)
    if node is None:
        raise StepError("The node is no entry of the Swarm any more.", "Look at the nodes: swarmtui status")
    host = await session.host(node)
    sudo = "sudo -n " if session.opening.cluster.sudo else ""
    completed = await host.run(f"{sudo}docker {shlex.join(arguments)}", stdin=stdin, timeout=timeout)
    return Ran(node.name, completed.code, _lines(completed.out), _lines(completed.err))


async def _here(socket: str, arguments: Sequence[str], stdin: bytes | None, timeout: float) -> Ran:
    environment = {key: value for key, value in os.environ.items() if key not in ("DOCKER_HOST", "DOCKER_CONTEXT")}
    try:
        process = await asyncio.create_subprocess_exec(
            "docker",
            "--host",
            socket,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
        )
    except OSError as error:
        raise StepError(
            f"The docker command cannot be run here: {error.strerror}.",
            "Install the docker CLI, or open the cluster over SSH.",
        ) from error
    try:
        async with asyncio.timeout(timeout):
            out, err = await process.communicate(stdin or b"")
    except TimeoutError as error:
        raise StepError(
            f"`docker {arguments[0]} {arguments[1]}` did not end within {timeout:g} s.",
            "It may have done some of its work: look at the Swarm, then retry.",
        ) from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    told = [_lines(stream.decode("utf-8", "replace")) for stream in (out, err)]
    return Ran("this machine", process.returncode or 0, told[0], told[1])


def _lines(text: str) -> tuple[str, ...]:
    return tuple(harmless(line) for line in text.splitlines() if line.strip())
