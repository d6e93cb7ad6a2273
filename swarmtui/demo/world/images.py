"""What simulated images do: how big they are, how they start and stop, whether they crash, what they log.

Nothing is ever run. What an image does follows from its name and from the command it is given, so that a rollout to
`shop/cart:2.5-broken` fails as a bad release does, and `sleep 3` ends after three seconds.
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

_SLEEP = re.compile(r"\bsleep\s+(\d{1,8}(?:\.\d{1,3})?)\b")
_EXIT = re.compile(r"\bexit\s+(\d{1,3})\b")


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a container of an image does.

    Attributes:
        missing: no node can pull it.
        size: bytes.
        pull: seconds for the first pull on a node.
        start: seconds from starting to running.
        stop: seconds from SIGTERM to its end, if the grace period lets it.
        lives: seconds until it ends by itself; None if it does not.
        exit_code: with which code it ends by itself.
    """

    missing: bool
    size: int
    pull: float
    start: float
    stop: float
    lives: float | None
    exit_code: int


_STOPS = {"postgres": 1.6, "redis": 0.4, "nginx": 0.3, "traefik": 0.6, "rabbitmq": 4.0, "elasticsearch": 6.0}


def behaviour(image: str, command: Sequence[str]) -> Behaviour:
    """What a container of `image`, given `command`, does."""
    name, _, tag = image.partition("@")[0].rpartition(":") if ":" in image else (image, "", "latest")
    base = name.rpartition("/")[2]
    weight = zlib.crc32(name.encode()) % 1000 / 1000
    line = " ".join(command)
    lives: float | None = None
    code = 0
    slept = sum(float(text) for text in _SLEEP.findall(line))
    ended = _EXIT.search(line)
    if ended:
        lives, code = slept or 0.2, int(ended.group(1))
    elif slept:
        lives = slept
    elif line in ("true", "false"):
        lives, code = 0.1, int(line == "false")
    if any(word in tag for word in ("broken", "crash")):
        lives, code = 1.2, 1
    elif base == "flaky":
        lives, code = 30 + 60 * weight, 1
    shell = bool(slept)
    return Behaviour(
        missing="missing" in tag or base.startswith("nosuch"),
        size=int((20 + 400 * weight) * 1e6),
        pull=0.8 + 2.5 * weight,
        start=0.3 + 0.5 * weight,
        stop=60.0 if shell else _STOPS.get(base, 0.5 + 3 * weight),
        lives=lives,
        exit_code=code,
    )


_LINES = {
    "postgres": (
        "LOG:  checkpoint starting: time",
        "LOG:  checkpoint complete: wrote 214 buffers (1.3%)",
        'LOG:  automatic vacuum of table "shop.public.orders": index scans: 1',
    ),
    "redis": (
        "1:M * 100 changes in 300 seconds. Saving...",
        "1:M * Background saving started by pid 27",
        "27:C * DB saved on disk",
    ),
    "nginx": (
        '10.0.1.7 - - "GET /healthz HTTP/1.1" 200 2 "-" "curl/8.5.0"',
        '10.0.1.9 - - "GET /api/cart HTTP/1.1" 200 814 "-" "Mozilla/5.0"',
        '10.0.1.9 - - "POST /api/checkout HTTP/1.1" 201 96 "-" "Mozilla/5.0"',
    ),
}
_DEFAULT = (
    'level=info msg="request served" path=/api/items status=200 took=12ms',
    'level=info msg="request served" path=/api/items/17 status=200 took=9ms',
    'level=warn msg="upstream slow" upstream=search took=1840ms',
    'level=info msg="cache refreshed" entries=4096',
)


_ECHO = re.compile(r"^echo ([\w .,:=/-]+?)\s*(>&2)?$")


def spoken(command: Sequence[str]) -> list[tuple[float, str, str]] | None:
    """What a container says whose command tells it: seconds after its start, stream and text of each line.

    Returns:
        None where the command tells nothing: then `log_line` makes something up.
    """
    line = " ".join(command)
    if not (_SLEEP.search(line) or _EXIT.search(line) or "echo " in line):
        return None
    script = command[-1] if len(command) == 3 and command[1] == "-c" else line
    said = []
    after = 0.0
    for part in script.split(";"):
        after += 0.001 + sum(float(text) for text in _SLEEP.findall(part))
        match = _ECHO.match(part.strip())
        if match:
            said.append((after, "stderr" if match[2] else "stdout", match[1]))
    return said


def log_line(image: str, source: random.Random) -> tuple[str, str]:
    """One line that a container of `image` writes, as (stream, text)."""
    base = image.partition("@")[0].rpartition("/")[2].partition(":")[0]
    text = source.choice(_LINES.get(base, _DEFAULT))
    return ("stderr" if "warn" in text or base == "postgres" else "stdout"), text
