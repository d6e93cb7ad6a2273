"""What engines write as logs, for tests."""

from __future__ import annotations

import struct

from swarmtui.link.log_frames import STDOUT, Origin

ONE = Origin("task1", "node1")
TWO = Origin("task2", "node2")


def stamp(second: int, nano: int = 0) -> str:
    return f"2026-11-21T03:{second // 60:02d}:{second % 60:02d}.{nano:09d}Z"


def details(origin: Origin) -> str:
    return (
        f"com.docker.swarm.node.id={origin.node},com.docker.swarm.service.id=web,com.docker.swarm.task.id={origin.task}"
    )


def frame(payload: bytes | str, kind: int = STDOUT) -> bytes:
    data = payload.encode() if isinstance(payload, str) else payload
    return struct.pack(">BxxxL", kind, len(data)) + data


def line(text: str, second: int = 0, origin: Origin = ONE, kind: int = STDOUT, end: str = "\n", nano: int = 0) -> bytes:
    return frame(f"{stamp(second, nano)} {details(origin)} {text}{end}", kind)
