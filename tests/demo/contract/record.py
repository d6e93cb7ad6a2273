"""Writes down what a platform answers: `python -m tests.demo.contract.record 20.10|26.1|simulator`.

For a real engine it writes `real-<engine>.json` beside this file, which the tests hold both the simulator and the
engine itself to. For the simulator it prints the differences.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.demo.contract.case import Case, resolve
from tests.demo.contract.cases import conversation
from tests.demo.contract.platform import Client, Platform, Real, Simulated
from tests.demo.contract.shapes import mask, shape
from tests.lab import Lab

HERE = Path(__file__).parent
HEADERS = ("content-type", "api-version", "docker-experimental", "ostype", "server", "cache-control", "pragma")


def recorded(engine: str) -> dict[str, Any]:
    """What a real engine answered."""
    found: dict[str, Any] = json.loads((HERE / f"real-{engine}.json").read_text())
    return found


def answer(client: Client, case: Case) -> dict[str, Any]:
    """What a platform answers to one case, in the form that is compared."""
    if case.wait is not None:
        case.wait(client)
    path = resolve(client, case.path)
    body = case.body if case.make is None else case.make(client)
    found = client.ask(case.host, case.method, path, body, raw=case.raw)
    result: dict[str, Any] = {
        "status": found.status,
        "headers": sorted(name for name in found.headers if name in HEADERS),
        "type": found.headers.get("content-type", ""),
    }
    if case.read is not None and found.status < 400:
        return {**result, "read": case.read(found.body)}
    text = found.body.decode()
    if case.values or found.status >= 400:
        result["text"] = mask(text).strip()
    elif found.headers.get("content-type") == "application/json" and text.strip():
        result["shape"] = shape(json.loads(text))
    else:
        result["text"] = mask(text).strip()
    return result


def converse(platform: Platform) -> dict[str, Any]:
    """The whole conversation with a platform."""
    client = Client(platform)
    return {case.name: answer(client, case) for case in conversation()}


def differences(expected: Any, found: Any, path: str = "") -> list[str]:
    """Where two answers differ, one line each."""
    if expected == found:
        return []
    if isinstance(expected, dict) and isinstance(found, dict):
        lines = []
        for key in sorted(expected.keys() | found.keys()):
            place = f"{path}.{key}" if path else key
            if key not in found:
                lines.append(f"{place}: missing, should be {expected[key]}")
            elif key not in expected:
                lines.append(f"{place}: not in a real engine, is {found[key]}")
            else:
                lines += differences(expected[key], found[key], place)
        return lines
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found) == 1:
        return differences(expected[0], found[0], f"{path}[]")
    return [f"{path}: should be {expected!r}, is {found!r}"]


def main(what: str) -> None:
    """Record or compare."""
    if what == "simulator":
        with Simulated() as simulated:
            print("\n".join(differences(recorded("20.10"), converse(simulated))))
        return
    with Lab(managers=3, workers=2, engine=what) as lab:
        lab.swarm()
        found = converse(Real(lab))
    (HERE / f"real-{what}.json").write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
