"""One way into a cluster: an engine, and the SSH connection it is reached over where there is one."""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING, Literal

from swarmtui.link.reasons import LinkError, Reason
from swarmtui.link.ssh_settings import SshSettings
from swarmtui.link.target import SocketTarget, SshTarget, Target, TcpTarget
from swarmtui.model.swarm import Info

if TYPE_CHECKING:
    # asyncssh and the SDK take 250 ms to import: they are imported where they are used, the SDK while SSH connects.
    from swarmtui.link.engine import Engine
    from swarmtui.link.ssh import Person, SshHost

SOCKET = "/var/run/docker.sock"
Via = Literal["forward", "dial-stdio", "socket", "tls"]


class Manager:
    """An engine that answers, and how it is reached. Made by `open`. Whether it is a manager, `standing(info)` tells.

    Attributes:
        label: what people call it, "root@10.77.0.1".
        host: the SSH connection; None for a local socket or TLS.
        via: forward (the remote socket), dial-stdio (a command on the host), socket (local) or tls.
    """

    def __init__(self, target: Target, label: str, engine: Engine, host: SshHost | None, via: Via) -> None:
        self.target = target
        self.label = label
        self.engine = engine
        self.host = host
        self.via: Via = via

    @classmethod
    async def open(cls, target: Target, settings: SshSettings, person: Person) -> Manager:
        """Connects.

        Raises:
            LinkError: there is no way in; says what to do.
        """
        match target:
            case SshTarget():
                return await cls._over_ssh(target, settings, person)
            case SocketTarget():
                engines = await asyncio.to_thread(_engines)
                engine = await engines.connect(str(target), where=str(target))
                return cls(target, str(target), engine, None, "socket")
            case TcpTarget():
                engines = await asyncio.to_thread(_engines)
                engine = await engines.connect(str(target), tls=target.tls, where=target.label)
                return cls(target, target.label, engine, None, "tls")

    @classmethod
    async def _over_ssh(cls, target: SshTarget, settings: SshSettings, person: Person) -> Manager:
        ssh = await asyncio.to_thread(importlib.import_module, "swarmtui.link.ssh")
        importing = asyncio.ensure_future(asyncio.to_thread(_engines))
        try:
            host: SshHost = await ssh.SshHost.connect(target, settings, person)
        finally:
            engines = await importing
        try:
            return await cls._on(host, settings, engines)
        except BaseException:
            await host.close()
            raise

    @classmethod
    async def on(cls, host: SshHost, settings: SshSettings) -> Manager:
        """Takes the engine of a host that we are logged in to; closing the result closes that login as well.

        Raises:
            LinkError: no engine answers there; says why.
        """
        return await cls._on(host, settings, await asyncio.to_thread(_engines))

    @classmethod
    async def _on(cls, host: SshHost, settings: SshSettings, engines: type[Engine]) -> Manager:
        # The usual case first, and without a question: the other side is only looked at when it fails.
        path = await host.forward_socket(SOCKET)
        try:
            engine = await engines.connect(f"unix://{path}", where=host.label, forwarded=True)
            return cls(host.target, host.label, engine, host, "forward")
        except LinkError as error:
            if error.reason is not Reason.CONNECTION_LOST or host.closed:
                raise
            from swarmtui.link.diagnosis import other_way

            command = await other_way(host, settings)
            path, stdio = await host.forward_command(command)
            try:
                engine = await engines.connect(f"unix://{path}", where=host.label, calls=4, forwarded=True)
            except LinkError as failed:
                raise LinkError(
                    failed.reason, host.label, because=stdio.trouble or "the docker command there ended"
                ) from failed
            return cls(host.target, host.label, engine, host, "dial-stdio")

    async def info(self) -> Info:
        """Reads `GET /info`. Raises EngineError or LinkError."""
        return await self.engine.info()

    async def wait_lost(self) -> None:
        """Returns when the connection is gone: SSH ended, or a call or a stream of the engine found nobody."""
        waiting = [asyncio.ensure_future(self.engine.wait_lost())]
        if self.host is not None:
            waiting.append(asyncio.ensure_future(self.host.wait_closed()))
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in waiting:
                waiter.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def why_lost(self) -> LinkError:
        """Looks why the connection was lost: over SSH, if that still stands, at the host's Docker."""
        if self.host is None or self.host.closed:
            return LinkError(Reason.CONNECTION_LOST, self.label)
        from swarmtui.link.diagnosis import look

        try:
            findings = await look(self.host)
        except LinkError as error:
            return error
        return findings.trouble(self.host) or LinkError(Reason.CONNECTION_LOST, self.label)

    async def close(self) -> None:
        """Ends all of it; repeating does no harm."""
        await self.engine.close()
        if self.host is not None:
            await self.host.close()


def _engines() -> type[Engine]:
    engine: type[Engine] = importlib.import_module("swarmtui.link.engine").Engine
    return engine
