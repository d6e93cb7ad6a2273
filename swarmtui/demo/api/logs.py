"""/services/{id}/logs and /tasks/{id}/logs: made-up lines in the engine's framing."""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import AsyncIterator

from swarmtui.demo.api.http import Response
from swarmtui.demo.api.router import Call, route
from swarmtui.demo.api.services import find_task
from swarmtui.demo.world.control import Control
from swarmtui.demo.world.errors import ApiError
from swarmtui.demo.world.find import find
from swarmtui.demo.world.ids import stamp
from swarmtui.demo.world.images import log_line, spoken
from swarmtui.demo.world.objects import Task

EVERY = 7.0
"""Seconds between two lines of one task."""
KEPT = 40
"""Lines of the past that a task still has."""


@route("GET", "/services/{id}/logs")
async def service_logs(call: Call) -> Response:
    _check(call)
    control = await call.manager()
    service = find(control.cluster.services, call.args["id"], "service")
    _bounds(call)
    return _answer(call, control, service_id=service.id)


@route("GET", "/tasks/{id}/logs")
async def task_logs(call: Call) -> Response:
    _check(call)
    control = await call.manager()
    task = find_task(control, call.args["id"])
    _bounds(call)
    return _answer(call, control, task_id=task.id)


def _check(call: Call) -> None:
    if not (call.flag("stdout") or call.flag("stderr")):
        raise ApiError(500, "Bad parameters: you must choose at least one stream")


def _bounds(call: Call) -> tuple[int | None, float]:
    """How many lines of each task are wanted (None for all), and since when, in seconds since the epoch.

    Raises:
        ApiError: one of them is no number.
    """
    tail, since = call.query.get("tail") or "all", call.query.get("since") or "0"
    if tail != "all" and not tail.isdigit():
        raise ApiError(500, 'tail value must be a positive integer or "all"')
    if not since.replace(".", "", 1).isdigit():
        bad = since.partition(".")[0]
        raise ApiError(500, f'could not parse since timestamp: strconv.ParseInt: parsing "{bad}": invalid syntax')
    return (None if tail == "all" else int(tail)), float(since)


def _answer(call: Call, control: Control, service_id: str = "", task_id: str = "") -> Response:
    return Response(stream=_lines(call, control, service_id, task_id), content_type="")


def _tasks(control: Control, service_id: str, task_id: str) -> list[Task]:
    if task_id:
        task = control.cluster.tasks.get(task_id)
        return [task] if task else []
    return list(control.cluster.tasks_in(service_id))


def task_lines(task: Task, now: float) -> list[tuple[float, str, str]]:
    """What a task has written so far, as (time, stream, text): always the same for the same task."""
    if not task.started:
        return []
    end = task.when if task.over else now
    container = task.spec["ContainerSpec"]
    told = spoken([*(container.get("Command") or []), *(container.get("Args") or [])])
    if told is not None:
        return [(task.started + after, stream, text) for after, stream, text in told if task.started + after <= end]
    image = str(container["Image"])
    offset = zlib.crc32(task.id.encode()) % 1000 / 2000
    count = int((end - task.started - offset) // EVERY) + 1
    result = []
    for number in range(max(count - KEPT, 0), count):
        when = task.started + offset + number * EVERY
        source = random.Random(f"{task.id}/{number}")
        stream, text = log_line(image, source)
        result.append((when, stream, text))
    return result


async def _lines(call: Call, control: Control, service_id: str, task_id: str) -> AsyncIterator[bytes]:
    tail, begin = _bounds(call)
    seen: dict[str, float] = {}
    entries = []
    for task in _tasks(control, service_id, task_id):
        lines = [line for line in task_lines(task, call.world.kernel.now()) if line[0] >= begin]
        if lines:
            seen[task.id] = lines[-1][0]
        wanted = lines if tail is None else lines[max(len(lines) - tail, 0) :]
        entries += [(line, task) for line in wanted]
    for line, task in sorted(entries, key=lambda entry: entry[0][0]):
        yield _frame(call, control, task, *line)
    if not call.flag("follow"):
        return
    while call.host.running:
        await asyncio.sleep(0.5)
        for task in _tasks(control, service_id, task_id):
            for line in task_lines(task, call.world.kernel.now()):
                if line[0] > seen.get(task.id, begin):
                    seen[task.id] = line[0]
                    yield _frame(call, control, task, *line)


def _frame(call: Call, control: Control, task: Task, when: float, stream: str, text: str) -> bytes:
    """One line of one task, if its stream was asked for."""
    if not call.flag(stream):
        return b""
    prefix = log_prefix(call, when)
    if call.flag("details"):
        labels = {
            "com.docker.swarm.node.id": task.node_id,
            "com.docker.swarm.service.id": task.service_id,
            "com.docker.swarm.task.id": task.id,
        }
        prefix += ",".join(f"{key}={value}" for key, value in labels.items()) + " "
    return frame(stream, prefix + text)


def log_prefix(call: Call, when: float) -> str:
    """The time before a line, if it was asked for."""
    return f"{stamp(when)} " if call.flag("timestamps") else ""


def frame(stream: str, text: str) -> bytes:
    """One line in the engine's framing: a stream number, the length in four bytes, the text."""
    data = f"{text}\n".encode()
    return bytes([2 if stream == "stderr" else 1, 0, 0, 0]) + len(data).to_bytes(4, "big") + data
