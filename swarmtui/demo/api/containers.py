"""What may be done to the containers of one host: stop, kill, start, remove, and read their logs."""

from __future__ import annotations

from collections.abc import AsyncIterator

from swarmtui.demo.api.http import Response
from swarmtui.demo.api.local import find_container
from swarmtui.demo.api.logs import frame, log_prefix, task_lines
from swarmtui.demo.api.router import Call, route
from swarmtui.demo.world.errors import ApiError
from swarmtui.demo.world.host import Container
from swarmtui.demo.world.objects import Task


def _task(call: Call, container: Container) -> Task | None:
    swarm = call.host.swarm
    return swarm.cluster.tasks.get(container.task) if swarm is not None and container.task else None


def _end(call: Call, container: Container, code: int) -> None:
    """The container ends; if it is a task's, its service starts another one."""
    task = _task(call, container)
    if task is not None:
        call.world.agents[call.host.name].crash(task, code)
        return
    container.state, container.exit_code, container.pid = "exited", code, 0
    container.finished = call.world.kernel.now()
    call.world.on_platform_change()


@route("POST", "/containers/{id}/stop")
async def stop(call: Call) -> Response:
    container = find_container(call.host, call.args["id"])
    if container.state != "running":
        return Response(304)
    await call.world.kernel.sleep(0.5)
    _end(call, container, 0)
    return Response(204)


@route("POST", "/containers/{id}/kill")
async def kill(call: Call) -> Response:
    container = find_container(call.host, call.args["id"])
    if container.state != "running":
        raise ApiError(409, f"Cannot kill container: {call.args['id']}: Container {container.id} is not running")
    _end(call, container, 137)
    return Response(204)


@route("POST", "/containers/{id}/start")
async def start(call: Call) -> Response:
    container = find_container(call.host, call.args["id"])
    if container.state == "running":
        return Response(304)
    container.state, container.started = "running", call.world.kernel.now()
    container.pid = call.host.next_pid()
    call.world.on_platform_change()
    return Response(204)


@route("DELETE", "/containers/{id}")
async def remove(call: Call) -> Response:
    container = find_container(call.host, call.args["id"])
    if container.state == "running":
        if not call.flag("force"):
            raise ApiError(
                409,
                f"You cannot remove a running container {container.id}. Stop the container before attempting removal "
                "or force remove",
            )
        _end(call, container, 137)
    call.host.containers.pop(container.id, None)
    return Response(204)


@route("GET", "/containers/{id}/logs")
async def logs(call: Call) -> Response:
    container = find_container(call.host, call.args["id"])
    if not (call.flag("stdout") or call.flag("stderr")):
        raise ApiError(400, "Bad parameters: you must choose at least one stream")
    return Response(stream=_lines(call, _task(call, container)), content_type="")


async def _lines(call: Call, task: Task | None) -> AsyncIterator[bytes]:
    if task is None:
        return
    tail = call.query.get("tail", "all")
    lines = task_lines(task, call.world.kernel.now())
    for when, stream, text in lines[-int(tail) :] if tail.isdigit() and int(tail) else lines:
        if call.flag(stream):
            yield frame(stream, log_prefix(call, when) + text)
    last = lines[-1][0] if lines else 0.0
    while call.flag("follow") and not task.over:
        await call.world.kernel.sleep(0.5)
        for when, stream, text in task_lines(task, call.world.kernel.now()):
            if when > last:
                last = when
                if call.flag(stream):
                    yield frame(stream, log_prefix(call, when) + text)
