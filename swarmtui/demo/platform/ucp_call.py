"""One call of the image of UCP: what every command of it looks at first."""

from __future__ import annotations

from swarmtui.demo.platform import ucp_nodes
from swarmtui.demo.platform.commands import Call, Failed, Log, options
from swarmtui.demo.platform.releases import Release
from swarmtui.demo.platform.ucp import Ucp
from swarmtui.demo.world import faults, images
from swarmtui.demo.world.cluster import Cluster
from swarmtui.demo.world.host import Host
from swarmtui.demo.world.world import World

STEP = 2.0
"""Seconds that one step of a command takes."""
_SOCKET = "/var/run/docker.sock"
_UNREACHABLE = "unable to get valid Docker client: unable to ping Docker daemon"


class UcpCall:
    """One call of one command of one release."""

    def __init__(self, call: Call, release: Release, command: str) -> None:
        self.call = call
        self.release = release
        self.command = command

    @property
    def world(self) -> World:
        """The world."""
        return self.call.world

    @property
    def host(self) -> Host:
        """Where it runs."""
        return self.call.host

    @property
    def log(self) -> Log:
        """Its log."""
        return self.call.log

    async def sleep(self, seconds: float) -> None:
        """Work for simulated seconds. Raises Killed."""
        await self.call.sleep(seconds)

    def write(self, data: bytes) -> None:
        """Write to standard output."""
        self.call.write(data)

    def changed(self) -> None:
        """What runs of UCP is another now."""
        self.world.on_platform_change()

    def options(self) -> dict[str, str]:
        """What was asked for. Raises Failed."""
        flags = self.release.commands[self.command]
        return options(self.call.args, flags.valued, set(flags.bare), self.call.env)

    def reach_engine(self) -> None:
        """Without the engine's socket there is nothing it can do. Raises Failed."""
        if self.call.mounts.get(_SOCKET) != _SOCKET:
            raise Failed(_UNREACHABLE)
        if faults.SELINUX in self.host.faults and "label=disable" not in self.call.container.labels.get("opt", ""):
            raise Failed(
                f"{_UNREACHABLE}: Got permission denied while trying to connect to the Docker daemon socket at "
                f"unix://{_SOCKET}"
            )

    def compatible(self, *, text: bool = False) -> None:
        """Say that the engine will do."""
        words = f"Your engine version {self.host.engine}, build 5d6db84 (6.1.0-28-amd64) is compatible"
        (self.log.phase2 if text else self.log.info)(words)

    def no_prompt(self, given: dict[str, str]) -> None:
        """Nobody is there to answer. Raises Failed."""
        if given.get("interactive"):
            raise Failed("unable to prompt: the input is not a terminal")

    def cluster(self) -> Cluster:
        """The Swarm this manager belongs to. Raises Failed."""
        swarm = self.host.swarm
        if swarm is None or swarm.role != "manager":
            raise Failed("This command must be run on a manager of the Swarm")
        if swarm.locked or not swarm.raft.leads_for(self.host):
            raise Failed("The Swarm of this node does not answer: it is locked or has no leader")
        return swarm.cluster

    def instance(self) -> tuple[Cluster, str]:
        """The Swarm, and the instance that its services tell of, whether that still works or not. Raises Failed."""
        cluster = self.cluster()
        instance, version = ucp_nodes.instance_of(cluster)
        if not instance:
            raise Failed("UCP is not installed on this cluster")
        if version != self.release.version:
            raise Failed(f"This is the image of UCP {self.release.version}, and UCP {version} is installed here")
        return cluster, instance

    def installed(self) -> Ucp:
        """UCP as it works here. Raises Failed."""
        cluster, _ = self.instance()
        ucp = self.world.ucp
        if ucp is None or ucp.cluster is not cluster or not ucp_nodes.components(self.host):
            raise Failed("Unable to find the UCP components of this node")
        return ucp

    def confirmed(self, given: dict[str, str], instance: str) -> None:
        """Is it the instance that was meant? Raises Failed."""
        if "id" not in given:
            raise Failed(f'We detected the UCP instance "{instance}": to confirm, specify it with --id')
        if given["id"] != instance:
            raise Failed(f'The UCP instance here is "{instance}", not "{given["id"]}"')

    def pull(self, policy: str) -> None:
        """Get the images that are missing. Raises Failed."""
        for image in self.release.needed:
            if image in self.host.images and policy != "always":
                continue
            if policy == "never":
                raise Failed(f"The image {image} is not on this node, and --pull is never")
            self.log.info(f"Pulling {image}")
            if image not in self.world.registry:
                raise Failed(f"Error response from daemon: pull access denied for {image.partition(':')[0]}")
            self.world.remember_image(self.host, image, images.behaviour(image, ()).size)
