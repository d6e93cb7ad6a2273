"""The runbook swarm.rotate-tokens, and its step: procedures.md B4."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec

from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import ConflictError, Facts, Plan, Runbook, Shown, Step, StepError, Voice, binding_of
from swarmtui.runbooks.swarm.cluster_steps import (
    ROLES,
    SwarmObject,
    read_swarm,
    token_fingerprint,
    update_swarm,
)
from swarmtui.session import Session
from swarmtui.vault import Secret


def join_command(token: Secret, address: str) -> Secret:
    """What joins a host: to be shown only on request, and typed on that host.

    Args:
        address: HOST:PORT of a manager, as the raft knows it.
    """
    return Secret(f"docker swarm join --token {token.reveal()} {address}")


@dataclass(frozen=True, kw_only=True)
class RotateToken(Step):
    """Makes the Swarm take a new join token for a role; whoever has the old one cannot join with it any more."""

    cluster_id: str
    role: str

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (Shown(f"docker swarm join-token --rotate -q {self.role} >/dev/null"),)

    async def _token(self, session: Session) -> str:
        now = await read_swarm(session)
        self._check(now)
        return token_fingerprint(now.tokens[self.role])

    def _check(self, now: SwarmObject) -> None:
        if now.id != self.cluster_id:
            raise ConflictError("This is another Swarm than the plan was made for.", "See: swarmtui status")

    async def before(self, session: Session) -> Facts:
        return {"token": await self._token(session)}

    async def already_done(self, session: Session, before: Facts) -> str:
        changed = await self._token(session) != before["token"]
        return f"The {self.role} token is another one already." if changed else ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        async def unrotated(now: SwarmObject) -> bool:
            self._check(now)
            return token_fingerprint(now.tokens[self.role]) == str(before["token"])

        await update_swarm(session, unrotated, lambda spec: None, rotate=f"rotate{self.role.capitalize()}Token")

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if await self._token(session) == before["token"]:
            raise StepError(f"The {self.role} token is still the old one.", "Retry.")
        voice.say(f"The {self.role} token is a new one; the old one lets nobody in any more.")


class TokenFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the plan is made from. Fingerprints: by role."""

    cluster: str
    cluster_id: str
    fingerprints: dict[str, str]


def _role(value: str) -> str:
    """worker, manager or both."""
    if value not in (*ROLES, "both"):
        raise ValueError("is neither worker nor manager nor both")
    return value


class RotateTokens(Runbook):
    name = "swarm.rotate-tokens"
    summary = "make the join tokens useless that are about, and let the Swarm have new ones"
    params: ClassVar[Sequence[Param]] = (Param("role", "whose token", _role, "worker|manager|both", required=True),)

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        swarm = await read_swarm(session)
        built: Facts = msgspec.to_builtins(
            TokenFacts(
                cluster=session.name,
                cluster_id=swarm.id,
                fingerprints={role: token_fingerprint(token) for role, token in swarm.tokens.items()},
            )
        )
        return built

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        known = msgspec.convert(facts, TokenFacts)
        roles = ROLES if params["role"] == "both" else (params["role"],)
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Rotate the {' and the '.join(roles)} token of {known.cluster}",
            why="A token lets any host that has it join. Nodes that are in already need none, and stay.",
            steps=tuple(
                RotateToken(
                    id=f"rotate-token-{role}",
                    title=f"Rotate the {role} token",
                    why="Proved when the Swarm has another one; the engine refuses the old one from then on.",
                    cluster_id=known.cluster_id,
                    role=role,
                )
                for role in roles
            ),
            touches=(known.cluster,),
            notes=("Whatever joins hosts by itself (images, cloud-init, scripts) needs the new token.",),
            binding=binding_of(known.cluster_id, [known.fingerprints.get(role) for role in roles]),
        )
