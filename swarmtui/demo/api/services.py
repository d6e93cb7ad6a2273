"""/services and /tasks."""

from __future__ import annotations

from swarmtui.demo.api import filters
from swarmtui.demo.api.http import Response, json_response
from swarmtui.demo.api.nodes import join_json
from swarmtui.demo.api.router import Call, route
from swarmtui.demo.world.control import Control
from swarmtui.demo.world.errors import ApiError
from swarmtui.demo.world.find import find
from swarmtui.demo.world.objects import STATES, Service, Task

_MODES = {
    "Replicated": "replicated",
    "Global": "global",
    "ReplicatedJob": "replicated-job",
    "GlobalJob": "global-job",
}


@route("GET", "/services")
async def list_services(call: Call) -> Response:
    text = call.query.get("filters", "")
    swarm_filters = filters.parse(text, ("name", "id", "label", "mode", "runtime"), malformed=400)
    control = await call.manager()
    services = [
        service for _, service in sorted(control.cluster.services.items()) if _service_matches(service, swarm_filters)
    ]
    if call.flag("status") and call.version >= (1, 41):
        return Response(body=join_json([s.status(*control.counts(s)) for s in services]))
    return Response(body=join_json([service.encoded() for service in services]))


def _service_matches(service: Service, wanted: filters.Filters) -> bool:
    return (
        filters.prefixed(service.name, wanted.get("name", []))
        and filters.prefixed(service.id, wanted.get("id", []))
        and filters.labels_match(service.spec["Labels"], wanted.get("label", []))
        and (not wanted.get("mode") or _MODES[service.mode] in wanted["mode"])
        and (not wanted.get("runtime") or "container" in wanted["runtime"])
    )


@route("POST", "/services/create")
async def create(call: Call) -> Response:
    spec = call.json("swarm.ServiceSpec")
    control = await call.manager(write=True)
    return json_response({"ID": control.create_service(spec).id}, 201)


@route("GET", "/services/{id}")
async def inspect(call: Call) -> Response:
    control = await call.manager()
    service = find(control.cluster.services, call.args["id"], "service")
    if call.flag("insertDefaults"):
        return json_response({**service.doc(), "Spec": _with_defaults(service.spec)})
    return Response(body=service.encoded() + b"\n")


def _with_defaults(spec: dict[str, object]) -> dict[str, object]:
    template = dict(spec["TaskTemplate"])  # type: ignore[call-overload]
    template["ContainerSpec"] = {"DNSConfig": {}, "StopGracePeriod": 10**10, **template["ContainerSpec"]}
    restart = {"Condition": "any", "Delay": 5 * 10**9, "MaxAttempts": 0}
    template["RestartPolicy"] = {**restart, **(template.get("RestartPolicy") or {})}
    template.setdefault("Resources", {})
    template.setdefault("Placement", {})
    config = {
        "Parallelism": 1,
        "FailureAction": "pause",
        "Monitor": 5 * 10**9,
        "MaxFailureRatio": 0,
        "Order": "stop-first",
    }
    result = {**spec, "TaskTemplate": template}
    for key in ("UpdateConfig", "RollbackConfig"):
        result[key] = {**config, **(spec.get(key) or {})}  # type: ignore[dict-item]
    return result


@route("POST", "/services/{id}/update")
async def update(call: Call) -> Response:
    spec = call.json("swarm.ServiceSpec")
    version = call.object_version("service")
    control = await call.manager(write=True)
    service = find(control.cluster.services, call.args["id"], "service")
    control.update_service(service, version, spec, call.query.get("rollback", ""))
    return json_response({"Warnings": None})


@route("DELETE", "/services/{id}")
async def remove(call: Call) -> Response:
    control = await call.manager(write=True)
    control.remove_service(find(control.cluster.services, call.args["id"], "service"))
    return Response()


@route("GET", "/tasks")
async def list_tasks(call: Call) -> Response:
    control = await call.manager()
    names = ("name", "id", "label", "service", "node", "desired-state", "_up-to-date", "runtime")
    wanted = filters.parse(call.query.get("filters", ""), names)
    tasks = _candidates(control, wanted)
    for state in wanted.get("desired-state", []):
        if state and state.lower() not in STATES:
            raise ApiError(500, f"Invalid desired-state filter: '{state}'")
    chosen = sorted((task for task in tasks if _task_matches(control, task, wanted)), key=lambda t: t.id)
    return Response(body=join_json([task.encoded() for task in chosen]))


def _candidates(control: Control, wanted: filters.Filters) -> list[Task]:
    cluster = control.cluster
    tasks: list[Task] | None = None
    if wanted.get("service"):
        ids = [find(cluster.services, text, "service").id for text in wanted["service"]]
        tasks = [task for service_id in ids for task in cluster.tasks_in(service_id)]
    if wanted.get("node"):
        nodes = {find(cluster.nodes, text, "node").id for text in wanted["node"]}
        if tasks is None:
            tasks = [task for node_id in nodes for task in cluster.tasks_on(node_id)]
        tasks = [task for task in tasks if task.node_id in nodes]
    return list(cluster.tasks.values()) if tasks is None else tasks


def _task_matches(control: Control, task: Task, wanted: filters.Filters) -> bool:
    if not wanted:
        return True
    service = control.cluster.services.get(task.service_id)
    states = [state.lower() for state in wanted.get("desired-state", []) if state]
    if states and task.desired not in states:
        return False
    if wanted.get("_up-to-date") and (service is None or service.spec_version != task.spec_version):
        return False
    name = f"{service.name if service else task.service_id}.{task.slot or task.node_id}.{task.id}"
    return (
        filters.prefixed(task.id, wanted.get("id", []))
        and filters.prefixed(name, wanted.get("name", []))
        and filters.labels_match(service.spec["Labels"] if service else {}, wanted.get("label", []))
    )


def find_task(control: Control, text: str) -> Task:
    """A task by id, full name or the beginning of its id.

    Raises:
        ApiError: 404 for none, 400 for several.
    """
    return find(control.cluster.tasks, text, "task")


@route("GET", "/tasks/{id}")
async def inspect_task(call: Call) -> Response:
    control = await call.manager()
    return Response(body=find_task(control, call.args["id"]).encoded() + b"\n")
