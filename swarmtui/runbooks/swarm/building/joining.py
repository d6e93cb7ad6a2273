"""How a host is told to join: through its own engine's API. The token travels in a request's body, and in no argv."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from swarmtui.errors import EngineError
from swarmtui.link.target import SshTarget
from swarmtui.runbooks.runbook import StepError, Voice
from swarmtui.runbooks.swarm.cluster_steps import read_swarm
from swarmtui.session import Session

IN_BACKGROUND = "Timeout was reached before node joined"
"""What an engine answers after 20 s of joining; it goes on by itself (dockerd, daemon/cluster/cluster.go)."""


@dataclass(frozen=True, kw_only=True)
class JoinRequest:
    """What a host's engine is asked for, but for the token.

    Attributes:
        role: worker or manager.
        remotes: "IP:PORT" of managers that it may dial.
        advertise: its own address as the others shall see it; "" lets its engine choose.
        listen: "IP:PORT" on which it listens as a manager.
        availability: what it joins as: active, pause or drain.
    """

    role: str
    remotes: tuple[str, ...]
    advertise: str
    listen: str
    availability: str

    def body(self, token: str) -> dict[str, Any]:
        """The body of `POST /swarm/join`."""
        return {
            "ListenAddr": self.listen,
            "AdvertiseAddr": self.advertise,
            "RemoteAddrs": list(self.remotes),
            "JoinToken": token,
            "Availability": self.availability,
        }

    async def send(self, session: Session, host: SshTarget, name: str, voice: Voice) -> None:
        """Makes the host's engine begin to join, if it does not do so already; the caller waits until it is in.

        Raises:
            StepError: its engine refuses.
            LinkError, EngineError: it, or the Swarm, cannot be asked.
        """
        engine = await session.engine_of(host)
        if (await engine.info()).swarm.local_node_state not in ("inactive", ""):
            return  # an earlier try got through, though its answer did not
        token = (await read_swarm(session)).tokens[self.role]
        try:
            await engine.post("/swarm/join", json=self.body(token.reveal()))
        except EngineError as error:
            # Without an answer nobody knows whether it joins.
            if error.status and IN_BACKGROUND not in error.message:
                what = f"{name} could not join: {error.what}"
                way = f"Can it reach {' or '.join(self.remotes)}? {error.next_step}".strip()
                raise StepError(what, way) from error
            voice.say(f"{name} takes its time to join; it goes on by itself.")
