"""The Swarm's own object (`GET /swarm`): read with its tokens wrapped, and changed in one field only."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from swarmtui.errors import EngineError
from swarmtui.runbooks.runbook import StepError
from swarmtui.session import Session
from swarmtui.vault import Secret
from swarmtui.vault.holding import cluster_key

POLL_SECONDS = 0.5
OUT_OF_SEQUENCE_TRIES = 8
ROLES = ("worker", "manager")


@dataclass(frozen=True, slots=True)
class SwarmObject:
    """The Swarm as the engine gives it.

    Attributes:
        spec: the engine's own Spec, also what we do not know of it.
        tokens: join tokens by role.
        root: certificate of the root CA, PEM; during a rotation still the old one.
        issuer: public key of whoever issues certificates now (base64 DER); "" where the engine does not tell.
        rotating: a rotation of the root CA is under way.
    """

    id: str
    version: int
    created_at: str
    spec: Mapping[str, Any] = field(repr=False)
    tokens: Mapping[str, Secret] = field(repr=False)
    root: str = field(repr=False)
    issuer: str = ""
    rotating: bool = False

    @property
    def autolock(self) -> bool:
        return bool((self.spec.get("EncryptionConfig") or {}).get("AutoLockManagers", False))

    @property
    def force_rotate(self) -> int:
        return int((self.spec.get("CAConfig") or {}).get("ForceRotate", 0) or 0)


async def read_swarm(session: Session) -> SwarmObject:
    """Reads the Swarm now. Raises LinkError, EngineError, or StepError for an answer that is none."""
    body = await session.get("/swarm", clean=False)
    try:
        made = json.loads(body)
        tokens = made.get("JoinTokens") or {}
        tls = made.get("TLSInfo") or {}
        return SwarmObject(
            id=str(made["ID"]),
            version=int(made["Version"]["Index"]),
            created_at=str(made.get("CreatedAt", "")),
            spec=dict(made["Spec"]),
            tokens={role: Secret(str(tokens.get(role.capitalize(), ""))) for role in ROLES},
            root=str(tls.get("TrustRoot", "")),
            issuer=str(tls.get("CertIssuerPublicKey", "")),
            rotating=bool(made.get("RootRotationInProgress", False)),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        # Its words are left out: they may hold a token.
        raise StepError(
            "The engine's answer about the Swarm cannot be read: nothing was changed.",
            "Is it a Docker engine, and not a proxy that answers in its place?",
        ) from None


async def read_key(session: Session) -> Secret | None:
    """The unlock key as the cluster has it now; None while autolock is off. Raises LinkError or EngineError."""
    return await cluster_key(lambda path: session.get(path, clean=False))


async def update_swarm(
    session: Session,
    needed: Callable[[SwarmObject], Awaitable[bool]],
    change: Callable[[dict[str, Any]], None],
    rotate: str = "",
) -> None:
    """Changes the Swarm, as often as it takes until nobody else changed it in between.

    Args:
        needed: looks at the newest state before each try, and tells whether there still is something to do; raises
            ConflictError where somebody else changed the very thing.
        change: changes the Spec in place; what it leaves alone survives, whoever wrote it.
        rotate: a parameter of `POST /swarm/update` that is set to true.

    Raises:
        EngineError, LinkError, StepError, ConflictError.
    """
    for attempt in range(OUT_OF_SEQUENCE_TRIES):
        now = await read_swarm(session)
        if not await needed(now):
            return
        spec = copy.deepcopy(dict(now.spec))
        change(spec)
        parameters = {"version": str(now.version)} | ({rotate: "true"} if rotate else {})
        try:
            await session.post("/swarm/update", parameters, spec)
            return
        except EngineError as error:
            # The version also grows with what the Swarm does by itself: only the field in question is ours to judge.
            if "out of sequence" not in error.message or attempt == OUT_OF_SEQUENCE_TRIES - 1:
                raise
        await asyncio.sleep(POLL_SECONDS)


def token_fingerprint(token: Secret) -> str:
    """Tells two tokens apart in a journal, without a way back: a token's secret part has 129 random bits."""
    return hashlib.sha256(b"swarmtui join token\0" + token.reveal().encode()).hexdigest()[:8]


def root_fingerprint(pem: str) -> str:
    """Tells two root CAs, or their public keys, apart in a journal: of the text without its blanks; "" of none."""
    return hashlib.sha256("".join(pem.split()).encode()).hexdigest()[:16] if pem.strip() else ""
