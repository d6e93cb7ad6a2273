"""What the contract tests ask of an engine: one long conversation, the same for every platform.

Paths may have `{node:wrk1}`, `{service:web}` or `{version:service:web}` in them: the id, or the present version, of
that object.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.demo.contract.case import Case, text_filter, wanted
from tests.demo.contract.platform import Client
from tests.demo.contract.views import views

SLEEP = ["sleep", "1000000"]
WEB = {
    "Name": "web",
    "Labels": {"team": "shop"},
    "TaskTemplate": {
        "ContainerSpec": {
            "Image": "alpine:latest",
            "Args": SLEEP,
            "Env": ["A=B"],
            "Labels": {"c": "d"},
            "StopGracePeriod": 1_000_000_000,
            "Mounts": [{"Type": "volume", "Source": "data", "Target": "/data"}],
        },
        "Resources": {"Limits": {"MemoryBytes": 1 << 26}, "Reservations": {"NanoCPUs": 10**7}},
        "RestartPolicy": {"Condition": "any", "Delay": 1_000_000_000},
        "Placement": {"Constraints": ["node.role==worker"], "MaxReplicas": 2},
    },
    "Mode": {"Replicated": {"Replicas": 2}},
    "UpdateConfig": {"Parallelism": 1, "Delay": 500_000_000, "Monitor": 500_000_000},
    "EndpointSpec": {"Mode": "dnsrr"},
}
AGENT = {
    "Name": "agent",
    "TaskTemplate": {"ContainerSpec": {"Image": "alpine:latest", "Args": SLEEP, "StopGracePeriod": 1_000_000_000}},
    "Mode": {"Global": {}},
    "EndpointSpec": {
        "Mode": "dnsrr",
        "Ports": [{"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "host"}],
    },
}
NOWHERE = {
    "Name": "nowhere",
    "TaskTemplate": {
        "ContainerSpec": {"Image": "alpine:latest", "Args": SLEEP},
        "Placement": {"Constraints": ["node.labels.disk==ssd"]},
    },
}
MISSING = {
    "Name": "missing",
    "TaskTemplate": {
        "ContainerSpec": {"Image": "nosuch:1"},
        "RestartPolicy": {"Condition": "none"},
    },
}
BARE = {
    "Name": "bare",
    "TaskTemplate": {"ContainerSpec": {"Image": "alpine:latest"}},
    "Mode": {"Replicated": {"Replicas": 0}},
}


def _service(**change: Any) -> dict[str, Any]:
    return {"Name": "other", "TaskTemplate": {"ContainerSpec": {"Image": "alpine:latest"}}, **change}


def _placed(*constraints: str) -> dict[str, Any]:
    container = {"Image": "alpine:latest"}
    return _service(TaskTemplate={"ContainerSpec": container, "Placement": {"Constraints": list(constraints)}})


def _get(path: str, name: str = "", **more: Any) -> Case:
    return Case(name or f"GET {path}", "GET", path, **more)


def before() -> Iterator[Case]:
    """What an engine without services answers."""
    yield _get("/_ping")
    yield Case("HEAD /_ping", "HEAD", "/_ping")
    for path in ("/version", "/info", "/swarm", "/nodes"):
        yield _get(path)
        yield _get(f"/v1.41{path}")
    for path in ("/services", "/tasks", "/secrets", "/configs"):
        yield _get(path, f"empty GET {path}", values=True)
    yield _get("/v1.24/nodes")
    yield _get("/v1.30/info")
    yield _get("/v1.10/nodes", values=True)
    yield _get("/v1.99/nodes", values=True)
    yield _get("/nothing", values=True)
    yield _get("/v1.41/nothing", values=True)
    yield Case("PUT /nodes", "PUT", "/nodes", values=True)
    yield Case("DELETE /nodes", "DELETE", "/nodes", values=True)
    for path in ("/swarm", "/nodes", "/services", "/tasks", "/secrets", "/configs", "/swarm/unlockkey"):
        yield _get(path, f"worker GET {path}", host="wrk1", values=True)
    yield _get("/info", "worker GET /info", host="wrk1")
    yield _get("/nodes/{node:wrk1}")
    yield _get("/nodes/wrk1")
    yield _get("/swarm/unlockkey", values=True)


def nodes() -> Iterator[Case]:
    """Refusals about nodes."""
    yield _get("/nodes/nope", values=True)
    path = "/nodes/{node:wrk1}/update?version="
    spec = {"Role": "worker", "Availability": "active"}
    yield Case("node update: no version", "POST", "/nodes/{node:wrk1}/update", spec, values=True)
    yield Case("node update: no number", "POST", path + "zz", spec, values=True)
    yield Case("node update: old version", "POST", path + "1", spec, values=True)
    yield Case("node update: no body", "POST", path + "1", raw=b"", values=True)
    yield Case("node update: half a body", "POST", path + "1", raw=b"{", values=True)
    yield Case("node update: a list", "POST", path + "1", raw=b"[]")
    yield Case("node update: no JSON", "POST", path + "1", raw=b"zz", values=True)
    yield Case("node update: role", "POST", path + "1", {**spec, "Role": "king"}, values=True)
    yield Case("node update: no role", "POST", path + "1", {"Availability": "active"}, values=True)
    yield Case("node update: availability", "POST", path + "1", {**spec, "Availability": "off"}, values=True)
    yield Case("node update: unknown node", "POST", "/nodes/nope/update?version=1", spec, values=True)
    good = path + "{version:node:wrk1}"
    yield Case("node update", "POST", good, {**spec, "Labels": {"zone": "a"}}, values=True)
    yield _get("/nodes/wrk1", "node after the update")
    for name, wished in (
        ("role", {"role": ["manager"]}),
        ("name", {"name": ["wrk"]}),
        ("node.label", {"node_label": ["zone=a"]}),
        ("node.label without value", {"node_label": ["zone"]}),
        ("membership", {"membership": ["accepted"]}),
        ("nothing", {"name": ["zzz"]}),
        ("unknown filter", {"zz": ["a"]}),
        ("role that is none", {"role": ["zz"]}),
        ("membership that is none", {"membership": ["zz"]}),
    ):
        yield _get(f"/nodes?{wanted(**wished)}", f"nodes by {name}")
    yield _get(f"/nodes?{text_filter('zz')}", "nodes, filters no JSON", values=True)
    yield _get(f"/nodes?{text_filter('[]')}", "nodes, filters a list")
    yield _get("/nodes?" + text_filter('{"role":"manager"}'), "nodes, filter a string", values=True)
    yield _get("/nodes?" + text_filter('{"role":{"worker":true}}'), "nodes, filter a map")
    yield Case("node rm: up", "DELETE", "/nodes/{node:wrk1}", values=True)
    yield Case("node rm: manager", "DELETE", "/nodes/{node:mgr2}", values=True)
    yield Case("node rm: manager by force", "DELETE", "/nodes/{node:mgr2}?force=1", values=True)
    yield Case("node rm: unknown", "DELETE", "/nodes/nope", values=True)
    yield Case("node rm on a worker", "DELETE", "/nodes/nope", host="wrk1", values=True)


def _tasks_settled(client: Client) -> object:
    client.running("web", 2)
    client.running("agent", 5)
    client.until(
        "nowhere is explained",
        lambda: any("no suitable node" in t["Status"].get("Err", "") for t in client.tasks("nowhere")),
    )
    return client.until(
        "missing is rejected",
        lambda: all(t["Status"]["State"] == "rejected" for t in client.tasks("missing")) and client.tasks("missing"),
    )


def services() -> Iterator[Case]:
    """Services, their tasks, and refusals about them."""
    for spec in (WEB, AGENT, NOWHERE, MISSING, BARE):
        yield Case(f"create {spec['Name']}", "POST", "/services/create", spec)
    yield _get("/services", wait=_tasks_settled)
    for name in ("web", "agent", "nowhere", "missing", "bare"):
        yield _get(f"/services/{name}")
        yield _get(f"/tasks?{wanted(service=[name])}", f"tasks of {name}")
    yield _get("/services?status=true")
    yield _get("/v1.40/services?status=true")
    yield _get("/services/web?insertDefaults=true")
    yield _get("/services/bare?insertDefaults=true")
    for name, wished in (
        ("name", {"name": ["we"]}),
        ("mode", {"mode": ["global"]}),
        ("label", {"label": ["team=shop"]}),
        ("id", {"id": ["zzz"]}),
        ("unknown filter", {"zz": ["a"]}),
    ):
        yield _get(f"/services?{wanted(**wished)}", f"services by {name}")
    yield _get(f"/services?{text_filter('zz')}", "services, filters no JSON", values=True)
    for name, wished in (
        ("node", {"node": ["wrk1"], "service": ["agent"]}),
        ("desired state", {"desired-state": ["running"], "service": ["agent"]}),
        ("label", {"label": ["team=shop"]}),
        ("name", {"name": ["agent"], "desired-state": ["running"]}),
        ("nothing", {"id": ["zzz"]}),
    ):
        yield _get(f"/tasks?{wanted(**wished)}", f"tasks by {name}")
    for name, wished in (
        ("state", {"state": ["running"]}),
        ("unknown service", {"service": ["nope"]}),
        ("unknown node", {"node": ["nope"]}),
        ("desired state that is none", {"desired-state": ["zz"]}),
    ):
        yield _get(f"/tasks?{wanted(**wished)}", f"tasks by {name}", values=True)
    for path in ("/services/nope", "/tasks/nope", "/secrets/nope", "/configs/nope", "/networks/nope"):
        yield _get(path, values=True)
    yield from _refused_creations()
    yield from _refused_updates()


def _refused_creations() -> Iterator[Case]:
    host_port = {"Ports": [{"TargetPort": 80, "PublishedPort": 8080}]}
    twice = {"Ports": [{"TargetPort": 80, "PublishedPort": 81}, {"TargetPort": 82, "PublishedPort": 81}]}
    rr = {"Mode": "dnsrr", "Ports": [{"TargetPort": 80, "PublishedPort": 81, "PublishMode": "ingress"}]}
    image = {"Image": "alpine:latest"}
    for name, body in (
        ("name taken", {**WEB}),
        ("bad name", _service(Name="we b")),
        ("long name", _service(Name="x" * 64)),
        ("no image", _service(TaskTemplate={"ContainerSpec": {}})),
        ("bad image", _service(TaskTemplate={"ContainerSpec": {"Image": "UPPER case"}})),
        ("no container", _service(TaskTemplate={})),
        ("constraint without operator", _placed("zzz")),
        ("constraint with a bad key", _placed("node.?==1")),
        ("constraint with a bad value", _placed("node.role==a,b")),
        ("port taken on hosts", _service(EndpointSpec=host_port)),
        ("port twice", _service(EndpointSpec=twice)),
        ("ingress with dnsrr", _service(EndpointSpec=rr)),
        ("two modes", _service(Mode={"Replicated": {"Replicas": 1}, "Global": {}})),
        ("unknown network", _service(TaskTemplate={"ContainerSpec": image, "Networks": [{"Target": "zz"}]})),
        ("little memory", _service(TaskTemplate={"ContainerSpec": image, "Resources": {"Limits": {"MemoryBytes": 1}}})),
        ("little cpu", _service(TaskTemplate={"ContainerSpec": image, "Resources": {"Limits": {"NanoCPUs": 1}}})),
        ("bad ratio", _service(UpdateConfig={"MaxFailureRatio": 2})),
        ("bad action", _service(UpdateConfig={"FailureAction": "zz"})),
        ("bad order", _service(UpdateConfig={"Order": "zz"})),
        (
            "mounts twice",
            _service(
                TaskTemplate={
                    "ContainerSpec": {
                        **image,
                        "Mounts": [
                            {"Type": "volume", "Source": "aa", "Target": "/x"},
                            {"Type": "volume", "Source": "bb", "Target": "/x"},
                        ],
                    }
                }
            ),
        ),
        (
            "unknown secret",
            _service(
                TaskTemplate={
                    "ContainerSpec": {
                        **image,
                        "Secrets": [
                            {"SecretID": "a" * 25, "SecretName": "zz", "File": {"Name": "zz", "UID": "0", "GID": "0"}}
                        ],
                    }
                }
            ),
        ),
    ):
        yield Case(f"service create: {name}", "POST", "/services/create", body, values=True)


def _refused_updates() -> Iterator[Case]:
    path = "/services/{service:web}/update"
    for name, query, body in (
        ("no version", "", WEB),
        ("old version", "?version=1", WEB),
        ("renamed", "?version=1", {**WEB, "Name": "webx"}),
        ("other mode", "?version=1", {**WEB, "Mode": {"Global": {}}}),
        ("rollback that is none", "?version=1&rollback=zz", WEB),
        ("rollback without a past", "?version=1&rollback=previous", WEB),
    ):
        yield Case(f"service update: {name}", "POST", path + query, body, values=True)
    yield Case("service update: unknown", "POST", "/services/nope/update?version=1", WEB, values=True)
    yield Case("service rm: unknown", "DELETE", "/services/nope", values=True)
    yield Case("logs without a stream", "GET", "/services/web/logs", values=True)
    yield Case("logs of nobody", "GET", "/services/nope/logs?stdout=1", values=True)


def _updated(client: Client) -> object:
    return client.until(
        "the update is complete",
        lambda: (client.service("web").get("UpdateStatus") or {}).get("State") == "completed",
        90,
    )


def rollout() -> Iterator[Case]:
    """A service after a rollout."""
    changed = {**WEB, "TaskTemplate": {**WEB["TaskTemplate"], "ForceUpdate": 1}}  # type: ignore[dict-item]
    path = "/services/{service:web}/update?version={version:service:web}"
    yield Case("service update", "POST", path, changed, values=True)
    yield _get("/services/web", "service after the rollout", wait=_updated)
    yield _get(f"/tasks?{wanted(service=['web'])}", "tasks after the rollout")


def _network_allocated(client: Client) -> object:
    return client.until("the network has a subnet", lambda: client.get("/networks/shop_net")["IPAM"]["Config"])


def objects() -> Iterator[Case]:
    """Networks, secrets and configs."""
    secret = {"Name": "s1", "Data": "eAo=", "Labels": {"a": "b"}}
    for kind in ("secret", "config"):
        name = secret["Name"]
        yield Case(f"create {kind}", "POST", f"/{kind}s/create", secret)
        yield Case(f"create {kind} twice", "POST", f"/{kind}s/create", secret, values=True)
        yield Case(f"{kind} with a bad name", "POST", f"/{kind}s/create", {**secret, "Name": "s 1"}, values=True)
        yield Case(f"{kind} without a name", "POST", f"/{kind}s/create", {"Data": "eAo="}, values=True)
        yield _get(f"/{kind}s")
        yield _get(f"/{kind}s/{name}")
        yield _get(f"/{kind}s?{wanted(name=['s'])}", f"{kind}s by name")
        yield _get(f"/{kind}s?{wanted(zz=['s'])}", f"{kind}s by what is no filter", values=True)
        update = f"/{kind}s/{{{kind}:s1}}/update"
        yield Case(f"{kind} update: no version", "POST", update, secret, values=True)
        yield Case(f"{kind} update: old version", "POST", f"{update}?version=1", secret, values=True)
        yield Case(f"{kind} update: data", "POST", f"{update}?version=1", {**secret, "Data": "eHgK"}, values=True)
    yield Case("secret without data", "POST", "/secrets/create", {"Name": "s2"}, values=True)
    network = {"Name": "shop_net", "Driver": "overlay", "CheckDuplicate": True, "Attachable": True}
    yield Case("create network", "POST", "/networks/create", network)
    yield Case("create network twice", "POST", "/networks/create", network, values=True)
    yield _get("/networks/shop_net", wait=_network_allocated)
    yield _get(f"/networks?{wanted(name=['shop_net'])}", "networks by name")
    yield _get(f"/networks?{wanted(scope=['swarm'])}", "networks of the Swarm")
    yield _get(f"/networks?{wanted(zz=['swarm'])}", "networks by what is no filter", values=True)
    yield Case("network rm", "DELETE", "/networks/{network:shop_net}", values=True)
    yield Case("network rm: unknown", "DELETE", "/networks/nope", values=True)
    for kind in ("secret", "config"):
        yield Case(f"{kind} rm", "DELETE", f"/{kind}s/{{{kind}:s1}}", values=True)
        yield Case(f"{kind} rm: unknown", "DELETE", f"/{kind}s/nope", values=True)


def local() -> Iterator[Case]:
    """What a host has."""
    yield _get("/containers/json")
    yield _get("/images/json")
    yield _get("/volumes", host="wrk1")
    yield _get("/system/df", "GET /system/df", host="mgr1")
    for path in ("/containers/nope/json", "/images/nope/json", "/volumes/nope"):
        yield _get(path, values=True)
    yield _get("/events?until=1", "events until long ago", values=True)
    yield _get("/events?until=zz", "events until nonsense")
    yield _get(f"/events?until=1&{text_filter('zz')}", "events, filters no JSON", values=True)


def swarm() -> Iterator[Case]:
    """The Swarm itself."""
    yield Case("swarm init again", "POST", "/swarm/init", {"ListenAddr": "0.0.0.0:2377"}, values=True)
    yield Case("swarm join again", "POST", "/swarm/join", {}, values=True)
    yield Case("swarm leave: manager", "POST", "/swarm/leave", values=True)
    yield Case("swarm unlock: not locked", "POST", "/swarm/unlock", {"UnlockKey": "zz"}, values=True)
    yield Case("swarm unlock: no body", "POST", "/swarm/unlock", raw=b"", values=True)
    yield Case("swarm unlock on a worker", "POST", "/swarm/unlock", {"UnlockKey": "zz"}, host="wrk1", values=True)
    yield Case("swarm update: no version", "POST", "/swarm/update", {}, values=True)
    yield Case("swarm update: old version", "POST", "/swarm/update?version=1", {}, values=True)
    yield Case("swarm update: renamed", "POST", "/swarm/update?version=1", {"Name": "zz"}, values=True)
    for flag in ("rotateWorkerToken", "rotateManagerToken", "rotateManagerUnlockKey"):
        yield Case(f"swarm update: {flag} nonsense", "POST", f"/swarm/update?version=1&{flag}=zz", {}, values=True)


def conversation() -> Iterator[Case]:
    """All of it, in order."""
    for part in (before, nodes, services, rollout, objects, local, views, swarm):
        yield from part()
