"""One question of the contract conversation."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tests.demo.contract.platform import Client, filters


@dataclass(frozen=True)
class Case:
    """One question.

    Attributes:
        make: makes the body, where it needs to know something.
        values: compare the answer's values as well, with ids and addresses masked.
        read: reads the body of an answer that is not one JSON document.
        wait: what must be true before it is asked.
    """

    name: str
    method: str
    path: str
    body: Any = None
    host: str = "mgr1"
    raw: bytes | None = None
    make: Callable[[Client], Any] | None = None
    values: bool = False
    read: Callable[[bytes], Any] | None = None
    wait: Callable[[Client], object] | None = None


def wanted(**wished: list[str]) -> str:
    """A `filters` parameter."""
    return f"filters={filters(**wished)}"


def text_filter(value: str) -> str:
    """A `filters` parameter as it is typed."""
    return f"filters={quote(value)}"


_REFERENCE = re.compile(r"\{(version:)?(node|service|secret|config|network|task):([\w-]+)\}")


def resolve(client: Client, path: str) -> str:
    """Put ids, versions and the present second into a path. A task is the one of its service that runs."""

    def look(match: re.Match[str]) -> str:
        version, kind, name = match.groups()
        if kind == "task":
            return str(client.running(name, 1)[0]["ID"])
        found = client.node(name) if kind == "node" else client.get(f"/{kind}s/{name}")
        return str(found["Version"]["Index"]) if version else str(found.get("ID") or found.get("Id"))

    return _REFERENCE.sub(look, path).replace("{now}", str(int(time.time())))
