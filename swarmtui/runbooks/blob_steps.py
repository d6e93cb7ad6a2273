"""Creating secrets and configs: their content comes from a file or standard input, and nowhere else."""

from __future__ import annotations

import asyncio
import base64
import json
import shlex
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from swarmtui.errors import EngineError, UsageError
from swarmtui.runbooks.files import read_file, read_stdin
from swarmtui.runbooks.runbook import ConflictError, Facts, Shown, Step, StepError, Voice
from swarmtui.session import Session

BLOB_BYTES = {"secret": 500 * 1024, "config": 1000 * 1024}
"""What swarmkit takes (controlapi/secret.go: MaxSecretSize; api/validation: MaxConfigSize)."""
STDIN = "-"


def content_of(kind: str, file: str) -> bytes:
    """The content of a new secret or config.

    Args:
        file: a path, or "-" for standard input, which is read once and remembered.

    Raises:
        UsageError: it cannot be read, is empty, or is larger than the engine takes.
    """
    what = f"The content of the {kind}:"
    content = read_stdin(BLOB_BYTES[kind], what) if file == STDIN else read_file(Path(file), BLOB_BYTES[kind], what)
    if not content:
        raise UsageError(f"The {kind} would be empty, which the engine does not take.", "Nothing was created.")
    return content


async def blob_id(session: Session, kind: str, name: str) -> str:
    """The id of the secret or config of this name, "" where there is none. Raises EngineError or LinkError."""
    wire = {"filters": json.dumps({"name": [name]})}
    try:
        found = json.loads(await session.get(f"/{kind}s", wire)) or []
        # The filter takes the beginning of a name as well.
        return next((str(item["ID"]) for item in found if item["Spec"]["Name"] == name), "")
    except (ValueError, TypeError, KeyError) as error:
        raise EngineError(
            f"The engine's list of {kind}s cannot be read.",
            "Is it a Docker engine, and not a proxy that answers in its place?",
        ) from error


@dataclass(frozen=True, kw_only=True)
class NewBlob(Step):
    """Creates a secret or a config, wherever its content comes from.

    Attributes:
        kind: secret or config.
        alone: whether nothing that comes after it in the plan uses it; else removing it does not take the plan back.
    """

    kind: str
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    alone: bool = True

    @property
    def undo(self) -> tuple[Shown, ...]:
        return (Shown(f"docker {self.kind} rm {shlex.quote(self.name)}"),) if self.alone else ()

    @abstractmethod
    async def spec(self, session: Session) -> dict[str, Any]:
        """What the engine is given, with the content."""

    async def before(self, session: Session) -> Facts:
        return {"id": await blob_id(session, self.kind, self.name)}

    async def already_done(self, session: Session, before: Facts) -> str:
        found = await blob_id(session, self.kind, self.name)
        if not found:
            return ""
        if before.get("id"):
            raise ConflictError(
                f"There is a {self.kind} {self.name} already, which somebody created after you confirmed.",
                "Nothing was changed by this step.",
            )
        return f"The {self.kind} {self.name} is there: it was created before the answer was lost."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        await session.post(f"/{self.kind}s/create", json=await self.spec(session))

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if not await blob_id(session, self.kind, self.name):
            raise StepError(f"The {self.kind} {self.name} is not there.", "Retry.")
        voice.say(f"The {self.kind} {self.name} is there.")


@dataclass(frozen=True, kw_only=True)
class CreateBlob(NewBlob):
    """Creates one from a file.

    Attributes:
        file: where the content comes from: a path, or "-" for standard input.
    """

    file: str

    @property
    def shown(self) -> tuple[Shown, ...]:
        labels = [word for key, value in sorted(self.labels.items()) for word in ("--label", f"{key}={value}")]
        return (Shown(shlex.join(["docker", self.kind, "create", *labels, "--", self.name, self.file])),)

    async def spec(self, session: Session) -> dict[str, Any]:
        content = await asyncio.to_thread(content_of, self.kind, self.file)
        return {"Name": self.name, "Labels": dict(self.labels), "Data": base64.b64encode(content).decode()}
