"""One call of the image of DTR: its options, its log-in at UCP, and its second phase in a container on a node."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate

from swarmtui.demo.platform.commands import Call, Failed, Killed, Log, on, options
from swarmtui.demo.platform.dtr import PHASE2, Dtr, found_on
from swarmtui.demo.platform.dtr_releases import SWITCHES, DtrRelease
from swarmtui.demo.platform.ucp import Ucp
from swarmtui.demo.world import images
from swarmtui.demo.world.host import Container, Host
from swarmtui.demo.world.world import World

_LOOKS = 0.5
"""Seconds between two looks at the second phase."""


class DtrCall:
    """One call of one command of one release."""

    def __init__(self, call: Call, release: DtrRelease, command: str) -> None:
        self.call = call
        self.release = release
        flags = release.commands[command]
        self.given = options(call.args, flags.valued, set(flags.bare), call.env)
        for name, variable in SWITCHES.items():
            if name in flags.bare and call.env.get(variable):
                self.given.setdefault(name, call.env[variable])

    @property
    def world(self) -> World:
        """The world."""
        return self.call.world

    @property
    def log(self) -> Log:
        """Its log."""
        return self.call.log

    def on(self, name: str) -> bool:
        """Is a flag without a value set?"""
        return on(self.given, name)

    async def sleep(self, seconds: float) -> None:
        """Work for simulated seconds. Raises Killed."""
        await self.call.sleep(seconds)

    def changed(self) -> None:
        """What runs of DTR is another now."""
        self.world.on_platform_change()

    def ucp(self) -> Ucp:
        """The UCP that the options lead to, after a log-in as an administrator. Raises Failed."""
        given = self.given
        for name in ("ucp-url", "ucp-username", "ucp-password"):
            if not given.get(name):
                raise Failed(f"unable to prompt for {name}: the input is not a terminal")
        ucp = self.world.ucp
        if ucp is None or not _reached(ucp, given["ucp-url"]):
            raise Failed(f"Couldn't connect to UCP at {given['ucp-url']}")
        if not self.on("ucp-insecure-tls") and given.get("ucp-ca", "").strip() != ucp.ca_pem.strip():
            raise Failed("Failed to validate UCP cert: x509: certificate signed by unknown authority")
        self.log.info("Validating UCP cert")
        account = ucp.accounts.check(given["ucp-username"], given["ucp-password"])
        if account is None or not account.admin:
            raise Failed("Failed to log in to UCP: an administrator's name and password are needed")
        self.log.info("Connecting to UCP")
        return ucp

    def found(self, ucp: Ucp) -> dict[str, list[Host]]:
        """The replicas of which UCP sees containers, and on which hosts."""
        found: dict[str, list[Host]] = {}
        for host in ucp.hosts():
            for replica_id in sorted(found_on(host)):
                found.setdefault(replica_id, []).append(host)
        return found

    def dtr(self) -> Dtr:
        """The registry of this release. Raises Failed."""
        dtr = self.world.dtr
        if dtr is None or not dtr.replicas:
            raise Failed("There are no DTR replicas in this UCP cluster")
        if dtr.release is not self.release:
            raise Failed(f"This is the image of DTR {self.release.version}, and DTR {dtr.release.version} is installed")
        return dtr

    def existing(self, dtr: Dtr) -> str:
        """The replica that it works through. Raises Failed where none is named, or that one is not healthy."""
        replica_id = self.given.get("existing-replica-id", "")
        if not replica_id:
            raise Failed("unable to prompt for existing-replica-id: the input is not a terminal")
        if replica_id not in dtr.replicas:
            raise Failed(f"No such replica: {replica_id}; this cluster contains the replicas: {' '.join(dtr.replicas)}")
        if dtr.ill(dtr.replicas[replica_id]):
            raise Failed(f"The existing replica {replica_id} is not healthy: {dtr.ill(dtr.replicas[replica_id])}")
        return replica_id

    def own(self) -> dict[str, str]:
        """The certificates that were given. Raises Failed."""
        found = {
            f"{name}.pem": self.given[f"dtr-{name}"] for name in ("ca", "cert", "key") if self.given.get(f"dtr-{name}")
        }
        if not found:
            return {}
        try:
            certificate = load_pem_x509_certificate(found["cert.pem"].encode())
            key = load_pem_private_key(found["key.pem"].encode(), None)
        except KeyError:
            raise Failed("--dtr-cert and --dtr-key must be given together") from None
        except (ValueError, TypeError):
            raise Failed("Failed to read the certificates: no PEM") from None
        if certificate.public_key() != key.public_key():
            raise Failed("tls: private key does not match public key")
        return {"ca.pem": found["cert.pem"], **found}

    def storage(self) -> str:
        """Where images shall lie; empty where nothing was said."""
        if self.given.get("nfs-storage-url"):
            return self.given["nfs-storage-url"]
        volume = self.given.get("dtr-storage-volume", "")
        return f"volume:{volume}" if volume else ""

    async def phase2(self, host: Host, work: Callable[[Phase2], Awaitable[None]]) -> None:
        """Do the rest in a container on a node: that one goes on when this one is killed. Raises Failed, Killed."""
        self.log.info("starting phase 2")
        phase = Phase2(self, host)
        task = asyncio.ensure_future(phase.whole(work))
        self.world.runs.add(task)
        task.add_done_callback(self.world.runs.discard)
        while not task.done():
            await self.sleep(_LOOKS)
        if task.result():
            raise Failed(phase.failure)


class Phase2:
    """The container on a node that does the work of a command. Raises Failed where one has its name already."""

    def __init__(self, call: DtrCall, host: Host) -> None:
        self.call = call
        self.host = host
        self.failure = f"phase 2 on {host.name} ended unexpectedly"
        if any(one.name == PHASE2 for one in host.containers.values()):
            raise Failed(f'Conflict. The container name "/{PHASE2}" is already in use on {host.name}')
        now = call.world.kernel.now()
        self.container = Container(
            id=call.world.ids.container(), name=PHASE2, image=call.release.image, command=["phase2"], created=now,
            state="running", started=now, pid=host.next_pid(),
        )  # fmt: skip
        host.containers[self.container.id] = self.container
        call.log.restart()

    async def whole(self, work: Callable[[Phase2], Awaitable[None]]) -> int:
        """Do it all; leaves no container of its own behind. Returns its exit status."""
        try:
            await work(self)
        except Failed as error:
            self.failure = str(error)
            return 1
        except Killed:
            return 137
        finally:
            self.host.containers.pop(self.container.id, None)
        return 0

    def say(self, text: str) -> None:
        """A line of its log, while somebody follows it."""
        if self.call.call.container.state == "running" and self.call.call.host.running:
            self.call.log.phase2(text)

    async def sleep(self, seconds: float) -> None:
        """Work for simulated seconds. Raises Killed."""
        await self.call.world.kernel.sleep(seconds)
        if self.container.state != "running" or not self.host.running:
            raise Killed

    def pull(self) -> None:
        """Get the images that are missing on this node. Raises Failed."""
        for image in self.call.release.needed:
            if image in self.host.images:
                continue
            self.say(f"Pulling {image}")
            if image not in self.call.world.registry:
                raise Failed(f"Error response from daemon: pull access denied for {image.partition(':')[0]}")
            self.call.world.remember_image(self.host, image, images.behaviour(image, ()).size)


def _reached(ucp: Ucp, address: str) -> bool:
    """Does an address lead to a manager that is well? Names of the load balancer lead to any of them."""
    url = urlsplit(address if "//" in address else f"https://{address}")
    named = url.hostname or ""
    managers = ucp.managers()
    direct = [host for host in managers if named in (host.name, host.ip)]
    behind = managers if named in ("127.0.0.1", "localhost", *ucp.sans) else []
    return any(not ucp.ill(host) for host in direct or behind)
