"""The steps that bring a node back as it is: restart its Docker, reboot its host, and wait (swarm-dr.md §4, §5)."""

from __future__ import annotations

import asyncio
import shlex
import time
from dataclasses import dataclass

from swarmtui.errors import EngineError
from swarmtui.link.reasons import LinkError
from swarmtui.link.ssh import SshHost
from swarmtui.runbooks.node_steps import NodeStep
from swarmtui.runbooks.node_waits import WaitStep, wait_line
from swarmtui.runbooks.runbook import Danger, Facts, Shown, StepError, Voice
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where, swarm_state
from swarmtui.session import Session

RESTART_SECONDS = 180.0
"""A manager lets systemctl wait for its Swarm; stopping waits for the tasks' grace periods."""
PAUSE_SECONDS = 1.0
LOOK_AGAIN_SECONDS = 10.0
MARKER = "systemctl show --property=ActiveState,ActiveEnterTimestampMonotonic docker.service"
BOOT_ID = "cat /proc/sys/kernel/random/boot_id"


@dataclass(frozen=True, kw_only=True)
class OnHost(NodeStep):
    """A step on the host of a node, over SSH.

    Attributes:
        at: the host.
        otherwise: what to do when this does not help: the next rung.
    """

    at: Where
    otherwise: str = ""

    def there(self, line: str) -> Shown:
        """A command on the host."""
        return Shown(line, self.at.host, self.at.port)

    def anew(self, line: str) -> str:
        """A command with NODE in it, about the node that the host is by then: its id is known only when it joined."""
        who = self.there(self.at.root("docker info -f '{{.Swarm.NodeID}}'")).as_sh
        before, _, after = line.rpartition("NODE")
        return f'{before}"$({who})"{after}'

    async def not_back(self, session: Session, node_id: str, *, manager: bool) -> tuple[str, int]:
        """What `is_back` still misses of a node, as `WaitStep.missing` tells it."""
        node, _ = await session.node(node_id)
        if not node.is_ready:
            return f"{self.name} is still {node.status.state}.", 1
        if manager and not node.is_reachable:
            return f"{self.name} is not yet a reachable manager.", 1
        return "", 0


@dataclass(frozen=True, kw_only=True)
class RestartDocker(OnHost):
    """Starts Docker anew on the host. systemd goes on with it also when we are cut off."""

    danger: Danger = Danger.DISRUPTIVE

    @property
    def _line(self) -> str:
        if not self.at.systemd:
            return self.at.root("service docker restart")
        # After too many failures systemd starts nothing until it is told to forget them.
        return f"{self.at.root('systemctl reset-failed docker.service')}; {self.at.root('systemctl restart docker')}"

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (self.there(self._line),)

    async def before(self, session: Session) -> Facts:
        host = await self.at.reach(session)
        return {"started": await self._marker(host)}

    async def _marker(self, host: SshHost) -> str:
        line = MARKER if self.at.systemd else "cat /var/run/docker.pid"
        return (await host.run(line, timeout=20.0)).out.strip()

    async def already_done(self, session: Session, before: Facts) -> str:
        host = await self.at.reach(session)
        now = await self._marker(host)
        runs = "ActiveState=active" in now if self.at.systemd else bool(now)
        return f"Docker on {self.name} was started since." if runs and now != before["started"] else ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        host = await self.at.reach(session)
        completed = await host.run(self._line, timeout=RESTART_SECONDS)
        if completed.code != 0:
            raise StepError(
                f"Docker on {self.name} does not start: {completed.words}.",
                f"Look there: journalctl -u docker -n 50. {self.otherwise}",
            )

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if not await self.already_done(session, before):
            raise StepError(
                f"Docker on {self.name} does not run after its restart.",
                f"Look there: journalctl -u docker -n 50. {self.otherwise}",
            )
        voice.say(f"Docker on {self.name} runs.")


@dataclass(frozen=True, kw_only=True)
class Reboot(OnHost):
    """Boots the host anew, and waits until it lets us in again. seconds: when it gives up."""

    seconds: int = 600
    danger: Danger = Danger.DISRUPTIVE

    @property
    def _line(self) -> str:
        return self.at.root("systemctl reboot" if self.at.systemd else "reboot")

    @property
    def shown(self) -> tuple[Shown, ...]:
        again = (
            f"ssh -n {f'-p {self.at.port} ' if self.at.port else ''}-o ConnectTimeout=5 -- {shlex.quote(self.at.host)}"
        )
        # The pause: until sshd is down it would still answer.
        return (
            self.there(self._line),
            Shown(f"sleep 5; {wait_line(f'{again} true', self.seconds)}", here=True),
        )

    async def before(self, session: Session) -> Facts:
        host = await self.at.reach(session)
        return {"boot": await self._boot(host)}

    async def _boot(self, host: SshHost) -> str:
        completed = await host.run(BOOT_ID, timeout=20.0)
        if completed.code != 0 or not completed.out.strip():
            raise StepError(f"{self.name} does not tell its boot id: {completed.words}.", "Reboot it by hand.")
        return completed.out.strip()

    async def already_done(self, session: Session, before: Facts) -> str:
        try:
            host = await self.at.reach(session)
            now = await self._boot(host)
        except LinkError:
            return ""  # it may be on its way up: `run` waits for it, and reboots it only if it was not
        return f"{self.name} was booted since." if now != before["boot"] else ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        end = time.monotonic() + self.seconds
        told = False
        why = ""
        while time.monotonic() < end:
            try:
                host = await self.at.reach(session)
                if await self._boot(host) != before["boot"]:
                    return
                if not told:
                    told = True
                    await host.run(self._line, timeout=20.0)
                    voice.progress(0, 1, f"{self.name} goes down, and comes back.")
            except LinkError as error:
                why = error.what
            await asyncio.sleep(PAUSE_SECONDS)
        raise StepError(
            f"{self.name} did not come back within {self.seconds} s of its reboot: {why}",
            f"Look at its console. {self.otherwise}",
        )

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if await self._boot(await self.at.reach(session)) == before["boot"]:
            raise StepError(f"{self.name} has not been booted.", f"Look at its console. {self.otherwise}")
        voice.say(f"{self.name} is up again.")


@dataclass(frozen=True, kw_only=True)
class WaitBack(OnHost, WaitStep):
    """Waits until the managers hear from the node again. manager: as a member of the raft."""

    manager: bool

    @property
    def condition(self) -> str:
        return is_back(shlex.quote(self.name), manager=self.manager)

    async def missing(self, session: Session, before: Facts) -> tuple[str, int]:
        return await self.not_back(session, self.node_id, manager=self.manager)

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        watch = asyncio.ensure_future(self._until_locked(session))
        wait = asyncio.ensure_future(super().run(session, before, voice))
        try:
            await asyncio.wait({watch, wait}, return_when=asyncio.FIRST_COMPLETED)
            if wait.done():
                wait.result()
            else:
                watch.result()
        except StepError as error:
            raise StepError(error.what, self.otherwise or error.next_step) from error
        finally:
            for task in (watch, wait):
                task.cancel()
            await asyncio.gather(watch, wait, return_exceptions=True)

    async def _until_locked(self, session: Session) -> None:
        """Fails once the host says that it is locked: no waiting helps then."""
        while True:
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
            try:
                host = await self.at.reach(session)
                state = await swarm_state(host, self.at)
            except (EngineError, LinkError):
                continue
            if state.local_node_state == "locked":
                raise StepError(f"{self.name} is locked: it waits for its unlock key.", unlock_advice(self.name))


def is_back(node: str, *, manager: bool) -> str:
    """The test in sh whether the managers hear from a node again, of a manager also as a member of the raft.

    Args:
        node: what `docker node inspect` gets, quoted.
    """
    state = "{{.Status.State}}{{with .ManagerStatus}} {{.Reachability}}{{end}}"
    wanted = shlex.quote("ready reachable" if manager else "ready")
    return f"[ \"$(docker node inspect -f '{state}' {node})\" = {wanted} ]"


def unlock_advice(name: str) -> str:
    """What to do about a locked manager."""
    return f"Unlock it: swarmtui run swarm.unlock node={shlex.quote(name)}"
