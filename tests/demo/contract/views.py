"""The second half of the conversation: what the views of services, logs, networks, secrets, configs and volumes ask."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

from tests.demo.contract.case import Case, text_filter, wanted
from tests.demo.contract.platform import Client
from tests.demo.contract.shapes import mask

SAYS = ["sh", "-c", "echo one; sleep 0.3; echo two >&2; sleep 0.3; echo three; sleep 1000000"]
TALKER: dict[str, Any] = {
    "Name": "talker",
    "TaskTemplate": {
        "ContainerSpec": {"Image": "alpine:latest", "Command": SAYS, "StopGracePeriod": 1_000_000_000},
        "RestartPolicy": {"Condition": "any", "Delay": 1_000_000_000},
    },
    "Mode": {"Replicated": {"Replicas": 1}},
    "UpdateConfig": {"Parallelism": 1, "Delay": 0, "Monitor": 500_000_000, "Order": "start-first"},
    "EndpointSpec": {"Mode": "dnsrr"},
}
_STAMP = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z")
_UPDATE = "/services/{service:talker}/update?version={version:service:talker}"


def log_lines(body: bytes) -> list[str]:
    """The lines of an answer in the engine's framing: stream and text, without times and ids."""
    found = []
    while body:
        size = int.from_bytes(body[4:8], "big")
        assert body[:1] in (b"\1", b"\2") and body[1:4] == b"\0\0\0", body[:8]
        text = body[8 : 8 + size].decode()
        assert text.endswith("\n")
        found.append(f"{body[0]} {_STAMP.sub('<time>', mask(text[:-1]))}")
        body = body[8 + size :]
    return sorted(found)


def kinds_of_events(body: bytes) -> list[str]:
    """What sorts of events there are: type, action, scope, and the names of their attributes."""
    found = set()
    for line in body.splitlines():
        event = json.loads(line)
        assert set(event) >= {"Type", "Action", "Actor", "scope", "time", "timeNano"}
        names = " ".join(sorted(event["Actor"]["Attributes"]))
        found.add(f"{event['scope']} {event['Type']} {event['Action']}: {names}")
    return sorted(found)


def _spec(**change: Any) -> dict[str, Any]:
    return {**TALKER, **change}


def _get(path: str, name: str = "", **more: Any) -> Case:
    return Case(name or f"GET {path}", "GET", path, **more)


def _talks(client: Client) -> object:
    return client.running("talker", 1)


def _heard(client: Client) -> object:
    _talks(client)
    asked = "/services/talker/logs?stdout=1&stderr=1"
    return client.until("three lines", lambda: len(log_lines(client.ask("mgr1", "GET", asked).body)) == 3)


def _state(state: str) -> Any:
    def reached(client: Client) -> object:
        return client.until(
            f"the update is {state}",
            lambda: (client.service("talker").get("UpdateStatus") or {}).get("State") == state,
            90,
        )

    return reached


def logs() -> Iterator[Case]:
    """Logs of a service and of a task."""
    yield Case("create talker", "POST", "/services/create", TALKER)
    for name, query in (
        ("both", "stdout=1&stderr=1"),
        ("stdout", "stdout=1"),
        ("stderr", "stderr=true"),
        ("with times", "stdout=1&stderr=1&timestamps=1"),
        ("with details", "stdout=1&stderr=1&details=1"),
        ("with times and details", "stdout=1&timestamps=1&details=1"),
        ("the last one", "stdout=1&tail=1"),
        ("the last two", "stdout=1&stderr=1&tail=2"),
        ("none of the past", "stdout=1&stderr=1&tail=0"),
        ("all by name", "stdout=1&tail=all"),
        ("tail that is no number", "stdout=1&tail=zz"),
        ("since long ago", "stdout=1&since=1"),
        ("since the future", "stdout=1&stderr=1&since=9999999999"),
        ("since a time with fractions", "stdout=1&since=1.500000000"),
    ):
        yield _get(f"/services/talker/logs?{query}", f"service logs: {name}", read=log_lines, wait=_heard)
    yield _get("/tasks/{task:talker}/logs?stdout=1&stderr=1", "task logs", read=log_lines)
    yield _get("/tasks/{task:talker}/logs?stdout=1&stderr=1&timestamps=1&tail=1", "task logs: one", read=log_lines)
    yield _get("/tasks/{task:talker}/logs", "task logs without a stream", values=True)
    yield _get("/tasks/nope/logs?stdout=1", "task logs of nobody", values=True)
    yield _get("/services/talker/logs?stdout=1&since=zz", "service logs: since nonsense")
    yield _get("/services/talker/logs?stdout=1", "service logs on a worker", host="wrk1", values=True)
    yield _get("/tasks/{task:talker}")


def changes() -> Iterator[Case]:
    """Scale, update, roll back, restart, remove."""
    two = {"Replicated": {"Replicas": 2}}
    yield Case("service scale", "POST", _UPDATE, _spec(Mode=two), values=True)
    yield _get("/services/talker", "service after scaling", wait=lambda c: c.running("talker", 2))
    container = {**TALKER["TaskTemplate"]["ContainerSpec"], "Env": ["V=2"]}
    template = {**TALKER["TaskTemplate"], "ContainerSpec": container, "ForceUpdate": 1}
    changed = _spec(Mode=two, TaskTemplate=template, Labels={"v": "2"})
    yield Case("service update: image and more", "POST", f"{_UPDATE}&registryAuthFrom=spec", changed, values=True)
    yield _get("/services/talker", "service with a past", wait=_state("completed"))
    yield Case("service update: an old version", "POST", "/services/{service:talker}/update?version=7", changed,
               values=True)  # fmt: skip
    yield Case("service rollback", "POST", f"{_UPDATE}&rollback=previous", changed, values=True)
    yield _get("/services/talker", "service after a rollback", wait=_state("rollback_completed"))
    yield _get("/services?status=true&" + wanted(name=["talker"]), "one service with its status")
    for name, body in (
        ("no name", _spec(Name="")),
        ("unknown config", _spec(TaskTemplate=_with(Configs=[_reference("Config", "a" * 25, "zz")]))),
        ("less than no replicas", _spec(Mode={"Replicated": {"Replicas": -1}})),
        ("a constraint that is none", _spec(TaskTemplate=_placed("zzz"))),
        ("a bad image", _spec(TaskTemplate=_with(Image="UPPER case"))),
        ("unknown network", _spec(TaskTemplate={**TALKER["TaskTemplate"], "Networks": [{"Target": "zz"}]})),
        ("less delay than none", _spec(UpdateConfig={"Delay": -1})),
        ("a bad order", _spec(UpdateConfig={"Order": "zz"})),
        ("no such action", _spec(RollbackConfig={"FailureAction": "rollback"})),
        ("two modes", _spec(Mode={"Replicated": {"Replicas": 1}, "Global": {}})),
    ):
        yield Case(f"talker update: {name}", "POST", _UPDATE, body, values=True)
    yield Case("talker rm", "DELETE", "/services/{service:talker}", values=True)
    yield Case("talker rm again", "DELETE", "/services/talker", values=True)


def _with(**container: Any) -> dict[str, Any]:
    template: dict[str, Any] = TALKER["TaskTemplate"]
    return {**template, "ContainerSpec": {**template["ContainerSpec"], **container}}


def _placed(constraint: str) -> dict[str, Any]:
    return {**TALKER["TaskTemplate"], "Placement": {"Constraints": [constraint]}}


def _reference(kind: str, key: str, name: str) -> dict[str, Any]:
    return {f"{kind}ID": key, f"{kind}Name": name, "File": {"Name": name, "UID": "0", "GID": "0", "Mode": 292}}


def _user(client: Client, name: str) -> dict[str, Any]:
    """A service without tasks that uses a secret, a config and a network."""
    container = {
        "Image": "alpine:latest",
        "Secrets": [_reference("Secret", client.get("/secrets/key")["ID"], "key")],
        "Configs": [_reference("Config", client.get("/configs/conf")["ID"], "conf")],
    }
    return {
        "Name": name,
        "TaskTemplate": {
            "ContainerSpec": container,
            "Networks": [{"Target": client.get("/networks/views")["Id"], "Aliases": [name]}],
        },
        "Mode": {"Replicated": {"Replicas": 0}},
        "EndpointSpec": {"Ports": [{"TargetPort": 80, "PublishedPort": 8000 + len(name)}]},
    }


def _vip(client: Client) -> object:
    return client.until("a virtual address", lambda: len(client.service("user")["Endpoint"].get("VirtualIPs", [])) == 2)


def uses() -> Iterator[Case]:
    """Secrets, configs and networks, and who uses them."""
    for kind, name in (("secret", "key"), ("config", "conf")):
        body = {"Name": name, "Data": "eAo=", "Labels": {"a": "b"}}
        yield Case(f"create {kind} {name}", "POST", f"/{kind}s/create", body)
        big = {"Name": "big", "Data": "QUFB" * 400_000}
        yield Case(f"{kind} too big", "POST", f"/{kind}s/create", big, values=True)
        yield Case(f"{kind} that is no base64", "POST", f"/{kind}s/create", {"Name": "b", "Data": "%%"}, values=True)
        yield Case(f"{kind} create: no body", "POST", f"/{kind}s/create", raw=b"", values=True)
        yield Case(f"{kind} create on a worker", "POST", f"/{kind}s/create", body, host="wrk1", values=True)
        good = f"/{kind}s/{{{kind}:{name}}}/update?version={{version:{kind}:{name}}}"
        yield Case(f"{kind} update: labels", "POST", good, {**body, "Labels": {"a": "c"}}, values=True)
        yield _get(f"/{kind}s/{name}", f"{kind} after the update")
        yield _get(f"/{kind}s?{wanted(label=['a=c'])}", f"{kind}s by label")
        yield _get(f"/{kind}s?{wanted(id=['zzz'])}", f"{kind}s by an id that none has", values=True)
        yield _get(f"/{kind}s?{text_filter('zz')}", f"{kind}s, filters no JSON", values=True)
    yield Case("secrets of a driver", "POST", "/secrets/create", {"Name": "d", "Driver": {"Name": "vault"}})
    yield Case("secret rm of a driver", "DELETE", "/secrets/d", values=True)
    network = {"Name": "views", "Driver": "overlay", "CheckDuplicate": True, "Labels": {"a": "b"}}
    yield Case("create network views", "POST", "/networks/create", network)
    for name in ("user", "usertoo"):
        yield Case(f"create {name}", "POST", "/services/create", make=lambda c, name=name: _user(c, name))
    yield _get("/services/user", "a service with networks, secrets and ports", wait=_vip)
    for kind, name in (("secret", "key"), ("config", "conf"), ("network", "views")):
        yield Case(f"{kind} rm: in use", "DELETE", f"/{kind}s/{name}", values=True)
    yield Case("usertoo rm", "DELETE", "/services/usertoo", values=True)
    for kind, name in (("secret", "key"), ("config", "conf")):
        yield Case(f"{kind} rm: in use once", "DELETE", f"/{kind}s/{{{kind}:{name}}}", values=True)
    yield _get("/networks/views")
    yield _get("/networks/views?verbose=true", "a network in detail")
    yield _get("/networks/views", "a network on a worker", host="wrk1", values=True)
    yield _get("/networks/ingress")
    for name, found in (
        ("driver", {"driver": ["overlay"]}),
        ("label", {"label": ["a=b"]}),
        ("type", {"type": ["custom"]}),
        ("builtin", {"type": ["builtin"]}),
        ("scope of one host", {"scope": ["local"]}),
        ("dangling", {"dangling": ["true"], "scope": ["swarm"]}),
    ):
        yield _get(f"/networks?{wanted(**found)}", f"networks by {name}")
    for name, body in (
        ("no name", {"Driver": "overlay"}),
        ("bad name", {"Name": "a b", "Driver": "overlay"}),
        ("no such driver", {"Name": "x1", "Driver": "zz"}),
        ("name taken", {**network}),
        ("bad subnet", {**network, "Name": "x2", "IPAM": {"Config": [{"Subnet": "zz"}]}}),
        ("ingress again", {**network, "Name": "x3", "Ingress": True}),
        ("no body", None),
    ):
        case = {"body": body} if body is not None else {"raw": b""}
        yield Case(f"network create: {name}", "POST", "/networks/create", values=True, **case)  # type: ignore[arg-type]
    yield Case("network rm: ingress", "DELETE", "/networks/bridge", values=True)
    yield Case("user rm", "DELETE", "/services/user", values=True)
    yield Case("network rm: no longer used", "DELETE", "/networks/views", values=True, wait=_unused)
    for kind, name in (("secret", "key"), ("config", "conf")):
        yield Case(f"{kind} rm: no longer used", "DELETE", f"/{kind}s/{name}", values=True)


def _unused(client: Client) -> object:
    return client.until("user is gone", lambda: client.ask("mgr1", "GET", "/services/user").status == 404)


def volumes() -> Iterator[Case]:
    """Volumes of one host."""
    body = {"Name": "v1", "Labels": {"a": "b"}}
    yield Case("create volume", "POST", "/volumes/create", body)
    yield Case("create volume twice", "POST", "/volumes/create", body)
    yield Case("volume with a bad name", "POST", "/volumes/create", {"Name": "v 1"}, values=True)
    yield Case("volume with a short name", "POST", "/volumes/create", {"Name": "v"}, values=True)
    yield Case("volume without a body", "POST", "/volumes/create", raw=b"")
    yield Case("volume of another driver", "POST", "/volumes/create", {"Name": "v2", "Driver": "zz"})
    yield _get("/volumes/v1")
    for name, found in (
        ("name", {"name": ["v1"]}),
        ("label", {"label": ["a=b"]}),
        ("label that none has", {"label": ["zz"]}),
        ("driver", {"driver": ["local"], "name": ["v1"]}),
        ("use", {"dangling": ["true"], "name": ["v1"]}),
        ("no use", {"dangling": ["false"], "name": ["v1"]}),
    ):
        yield _get(f"/volumes?{wanted(**found)}", f"volumes by {name}")
    yield _get(f"/volumes?{wanted(zz=['a'])}", "volumes by what is no filter", values=True)
    yield _get(f"/volumes?{wanted(dangling=['zz'])}", "volumes by a use that is none", values=True)
    yield Case("volume rm: in use", "DELETE", "/volumes/data", host="wrk1")
    yield Case("volume rm", "DELETE", "/volumes/v1", values=True)
    yield Case("volume rm: unknown", "DELETE", "/volumes/v1", values=True)
    yield Case("volume rm: unknown by force", "DELETE", "/volumes/v1?force=1", values=True)


def events() -> Iterator[Case]:
    """What all of this has left in the engine's memory of events."""

    def later(client: Client) -> object:
        return time.sleep(1.1)

    for kind in ("secret", "config", "network", "volume", "service"):
        scope = ["local"] if kind == "volume" else ["swarm"]
        asked = f"/events?since=1&until={{now}}&{wanted(type=[kind], scope=scope)}"
        yield _get(asked, f"events of a {kind}", read=kinds_of_events, wait=later)
    yield _get("/events?since=1&until={now}&" + wanted(event=["remove"], type=["secret"]), "events by what happened",
               read=kinds_of_events)  # fmt: skip


def views() -> Iterator[Case]:
    """All of it, in order."""
    for part in (logs, changes, uses, volumes, events):
        yield from part()
