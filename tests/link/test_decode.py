"""Answers of the engine as bytes: what becomes of good, old, unchanged, broken and hostile ones."""

from __future__ import annotations

import json
from itertools import chain
from sys import getsizeof
from typing import Any

import pytest

from swarmtui.errors import EngineError
from swarmtui.link import decode
from swarmtui.link.decode import Collection, decode_one, volumes_of
from swarmtui.model.objects import Config, Volume
from swarmtui.model.services import Service, Task
from swarmtui.model.swarm import Info, Node
from tests import builders as b


def body(*objects: Any) -> bytes:
    return json.dumps(objects).encode()


ONE, TWO = b.node("one", id="1"), b.node("two", id="2")


def nodes() -> Collection[Node]:
    return Collection("nodes", Node)


def test_objects_come_by_their_id_with_all_their_fields() -> None:
    made = b.node(
        "mgr1",
        id="abc",
        manager="leader",
        labels={"zone": "a"},
        engine_labels={"disk": "ssd"},
        addr="10.0.0.1",
        cpus=2,
        memory=5,
        generic={"gpu": 2, "fpga": ["x"]},
        engine="20.10.24",
        message="fine",
        version=7,
    )
    (node,) = nodes()(body(made)).values()
    assert (node.id, node.name, node.version.index, dict(node.labels)) == ("abc", "mgr1", 7, {"zone": "a"})
    assert (node.spec.role, node.spec.availability, node.status.state) == ("manager", "active", "ready")
    assert (node.status.addr, node.status.message, dict(node.engine_labels)) == ("10.0.0.1", "fine", {"disk": "ssd"})
    assert (node.is_leader, node.is_reachable) == (True, True)
    resources = node.description.resources
    assert (resources.nano_cpus, resources.memory_bytes, len(resources.generic_resources or [])) == (
        2_000_000_000,
        5,
        2,
    )
    assert node.description.engine.engine_version == "20.10.24" and node.description.platform.os == "linux"


def test_services_and_tasks_come_with_what_placement_needs() -> None:
    made = b.service(
        "api",
        constraints=["node.role==worker"],
        max_replicas=2,
        platforms=[("linux", "amd64")],
        cpus=1,
        ports=[b.port(80, mode="host")],
        mounts=[{"Type": "volume", "Source": "v", "VolumeOptions": {"DriverConfig": {"Name": "local"}}}],
        update="paused",
    )
    (service,) = Collection("services", Service)(body(made)).values()
    (task,) = Collection("tasks", Task)(body(b.task(made, ONE, 3))).values()
    for template in (service.spec.task_template, task.spec):
        assert template.placement is not None and template.container_spec is not None and template.resources is not None
        assert (template.placement.constraints, template.placement.max_replicas) == (["node.role==worker"], 2)
        assert template.placement.platforms and template.placement.platforms[0].architecture == "amd64"
        assert template.resources.reservations and template.resources.reservations.nano_cpus == 1_000_000_000
        (mount,) = template.container_spec.mounts or []
        assert mount.volume_options and mount.volume_options.driver_config
        assert mount.volume_options.driver_config.name == "local"
    assert service.spec.endpoint_spec and service.spec.endpoint_spec.ports
    assert (service.spec.endpoint_spec.ports[0].publish_mode, service.spec.endpoint_spec.ports[0].published_port) == (
        "host",
        80,
    )
    assert service.update_status and service.update_status.state == "paused"
    assert (task.service_id, task.slot, task.node_id, task.desired_state) == (service.id, 3, "1", "running")


@pytest.mark.parametrize("null", [b"null", b" null\n", b"[]", b"[ ]"])
def test_nothing_is_an_empty_list_in_both_of_gos_spellings(null: bytes) -> None:
    decode = nodes()
    assert decode(null) == {}
    decode(body(ONE))
    assert decode(null) == {}


def test_fields_that_old_engines_leave_out_or_null_have_defaults_and_new_ones_are_ignored() -> None:
    bare: b.Json = {"ID": "1"}
    nulls: b.Json = {"ID": "2", "ManagerStatus": None, "Spec": {"Labels": None}, "Tomorrow": {"x": [1]}}
    nulls["Description"] = {"Engine": {"Labels": None, "Plugins": None}, "Resources": {"GenericResources": None}}
    found = nodes()(body(bare, nulls))
    assert [node.is_voter for node in found.values()] == [False, False]
    assert [dict(node.labels) for node in found.values()] == [{}, {}]
    attachment = {"ID": "t", "Spec": {"NetworkAttachmentSpec": {}, "Placement": None, "Resources": None}}
    assert Collection("tasks", Task)(body(attachment))["t"].service_id == ""
    service = {"ID": "s", "Spec": {"EndpointSpec": None, "TaskTemplate": {"ContainerSpec": {"Mounts": None}}}}
    assert Collection("services", Service)(body(service))["s"].replicas is None


# -- identity: everything above repaints only what is another object -------------------------------------------------


def test_an_answer_that_did_not_change_is_the_very_same_mapping() -> None:
    decode = nodes()
    first = decode(body(ONE, TWO))
    assert decode(body(ONE, TWO)) is first
    assert decode(body(TWO, ONE)) is first


def test_what_did_not_change_stays_the_same_object_and_what_did_is_new() -> None:
    decode = nodes()
    first = decode(body(ONE, TWO))
    second = decode(body(ONE, b.node("two", id="2", state="down")))
    assert second is not first and second["1"] is first["1"]
    assert second["2"].status.state == "down" and first["2"].status.state == "ready"


def test_what_comes_and_goes_is_seen() -> None:
    decode = nodes()
    assert decode(body(ONE)).keys() == {"1"}
    assert decode(body(ONE, TWO)).keys() == {"1", "2"}
    assert decode(body(TWO)).keys() == {"2"}
    assert decode(body(ONE)).keys() == {"1"}


def test_a_state_that_comes_back_is_read_right() -> None:
    decode, down = nodes(), b.node("one", id="1", state="down")
    states = [decode(body(made))["1"].status.state for made in (ONE, down, ONE, down, down)]
    assert states == ["ready", "down", "ready", "down", "down"]


def test_a_broken_answer_in_between_changes_nothing() -> None:
    decode = nodes()
    first = decode(body(ONE, TWO))
    with pytest.raises(EngineError):
        decode(b'[{"ID":"1"},')
    assert decode(body(ONE, TWO)) is first


# -- what is no such answer ------------------------------------------------------------------------------------------

BROKEN = {
    "empty": b"",
    "cut off": b'[{"ID":"1"',
    "html": b"<html><body>502 Bad Gateway</body></html>",
    "an object": b'{"message":"This node is not a swarm manager."}',
    "a number": b"7",
    "list of null": b"[null]",
    "list of text": b'["one"]',
    "id is a number": b'[{"ID":5}]',
    "labels are a list": b'[{"ID":"1","Spec":{"Labels":["a"]}}]',
    "label is a number": b'[{"ID":"1","Spec":{"Labels":{"a":1}}}]',
    "version is a text": b'[{"ID":"1","Version":{"Index":"7"}}]',
    "version is a float": b'[{"ID":"1","Version":{"Index":1.5}}]',
    "trailing": b"[] []",
    "raw control character": b'[{"ID":"a\x1b[31m"}]',
    "not utf-8": b'[{"ID":"1","Description":{"Hostname":"caf\xe9"}}]',
    "utf-8 of half a surrogate pair": b'[{"ID":"\xed\xa0\x80"}]',
    "deep": b"[" * 100_000,
    "deep inside": b'[{"ID":"1","Tomorrow":' + b"[" * 100_000 + b"]" * 100_000 + b"}]",
}


@pytest.mark.parametrize("what", BROKEN)
def test_an_answer_that_is_none_is_an_error_for_a_person(what: str) -> None:
    """Any other exception would end the whole watch, and with it the session."""
    with pytest.raises(EngineError) as caught:
        nodes()(BROKEN[what])
    assert "list of nodes" in caught.value.what and caught.value.next_step
    assert caught.value.what.isprintable()


@pytest.mark.parametrize("what", ["empty", "cut off", "html", "a number", "not utf-8", "deep inside"])
def test_a_single_object_that_is_none_is_an_error_for_a_person(what: str) -> None:
    answer = BROKEN[what].removeprefix(b"[").removesuffix(b"]")
    with pytest.raises(EngineError, match="about the node"):
        decode_one(answer, Node, "the node")


def test_a_single_object_is_read() -> None:
    info = decode_one(b'{"Name":"mgr1","Swarm":{"NodeID":"n1","Cluster":{"ID":"c1"}}}', Info, "itself")
    assert (info.name, info.swarm.node_id, info.swarm.cluster and info.swarm.cluster.id) == ("mgr1", "n1", "c1")


# -- hostile strings -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["\x1b[31mred", "\x9b2J", "a\x00b", "\u202etxt.exe", "zero\u200bwidth", "bell\x07", "\x7f"]
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_nothing_hostile_is_kept_anywhere(text: str, ascii_only: bool) -> None:
    made = b.node(text, id="1", labels={text: text}, engine_labels={text: text}, engine=text, message=text)
    answer = json.dumps([made], ensure_ascii=ascii_only).encode()
    node = nodes()(answer)["1"]
    kept = [node.hostname, *node.labels, *node.labels.values(), *node.engine_labels, node.status.message]
    kept += [node.description.engine.engine_version, decode_one(answer[1:-1], Node, "the node").hostname]
    assert all(other == kept[0] and other.isprintable() and other != text for other in kept)


def test_markup_and_quotes_are_text_and_stay() -> None:
    for text in ("[bold red]x[/]", 'a"b\\c', "größe 🐳", "\\u001b[31m"):
        assert nodes()(body(b.node(text, id="1")))["1"].hostname == text


def test_one_hostile_object_does_not_hide_all_others() -> None:
    bad = b'{"ID":"bad","Description":{"Hostname":"half \\ud800 pair"}}'
    answer = b"[" + json.dumps(ONE).encode() + b"," + bad + b"]"
    assert nodes()(answer).keys() == {"1", "bad"}


def test_what_carries_much_is_known_again_without_being_kept() -> None:
    """A config comes with up to 1 MB of data, which nobody looks at."""
    data = "QUJD" * 10_000
    decode = Collection("configs", Config)
    first = decode(body({"ID": "c1", "Spec": {"Name": "big", "Data": data}}, {"ID": "c2", "Spec": {"Name": "small"}}))
    again = decode(body({"ID": "c1", "Spec": {"Name": "big", "Data": data}}, {"ID": "c2", "Spec": {"Name": "other"}}))
    assert again["c1"] is first["c1"] and again["c2"] is not first["c2"]
    assert sum(map(getsizeof, decode._seen)) < 100
    changed = decode(body({"ID": "c1", "Spec": {"Name": "big", "Data": data + "QUJE"}}))
    assert changed["c1"] is not first["c1"]


@pytest.mark.parametrize("answer", [b"[]", b'{"Volumes": {}}', b"", b'{"Warnings": 3}'])
def test_volumes_that_cannot_be_read(answer: bytes) -> None:
    with pytest.raises(EngineError, match="cannot be read"):
        Collection("volumes", Volume)(volumes_of(answer)[0])


def many(count: int, **extra: Any) -> list[Any]:
    return [{"ID": f"n{number}", "Spec": {"Name": "x" * 200, **extra}} for number in range(count)]


@pytest.mark.parametrize("separators", [(",", ":"), None])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_long_list_is_split_in_pieces_and_nothing_is_lost(
    separators: Any, end: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "PIECE", 1000)
    made = many(100, Labels={"mean": '},{"ID":"n5"', "worse": '\\\\"},{"ID":"n6"}]'})
    text = json.dumps(made, separators=separators).encode() + end
    found = Collection("nodes", Node)(text)
    assert list(found) == [each["ID"] for each in made]
    assert found["n7"].labels["mean"] == '},{"ID":"n5"'
    pieces = [json.loads(piece) for piece in decode._pieces(text)]
    assert list(chain.from_iterable(pieces)) == made and len(pieces) == (1 if separators is None else 25)


def test_a_list_within_an_object_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks with cluster volumes have a list of objects that begin with an ID, too (API 1.42)."""
    monkeypatch.setattr(decode, "PIECE", 50)
    made = [{"ID": f"n{number}", "Volumes": [{"ID": "v1"}, {"ID": "v2"}, {"ID": "v3"}]} for number in range(20)]
    found = Collection("nodes", Node)(json.dumps(made, separators=(",", ":")).encode())
    assert list(found) == [f"n{number}" for number in range(20)]


@pytest.mark.parametrize("keep", [0.3, 0.7, 0.999])
def test_a_long_list_that_was_cut_off_cannot_be_read(keep: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "PIECE", 1000)
    text = json.dumps(many(50), separators=(",", ":")).encode()
    with pytest.raises(EngineError, match="cannot be read"):
        Collection("nodes", Node)(text[: int(len(text) * keep)])
