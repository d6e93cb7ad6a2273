"""Where DTR keeps images: told, and changed only where no tag is lost by it. T2."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from swarmtui import config
from swarmtui.errors import RefusedError, UsageError
from swarmtui.model.dtr.seen import Storage
from swarmtui.opening import find
from swarmtui.runbooks import params as parameters
from swarmtui.runbooks import render
from swarmtui.runbooks.dtr.storage import LOCAL, NOT_MOVED, SetStorage, StorageFacts, words
from swarmtui.runbooks.dtr.storage_steps import SetObjectStorage, key_of
from swarmtui.runbooks.runbook import Plan
from swarmtui.session import Session
from tests.dtr.plans import URL, line_of, replica, steps_of, work
from tests.dtr.seen import ONE
from tests.ucp.test_opened import Typist

NFS = "nfs://nas.example.com/dtr"
KEY = "planted-secretkey-4711"


def storage(version: str = "2.4.1", *, given: dict[str, str] | None = None, **more: Any) -> Plan:
    found: dict[str, Any] = {"storage": Storage(), "tags": True, "members": (replica(1), replica(2)), "url": URL} | more
    told = parameters.parse("dtr.storage", SetStorage.params, given or {})
    made = work(version) if given else None
    facts = StorageFacts(cluster="prod", cluster_id="c", product=f"DTR {version}", username="admin", work=made, **found)
    return SetStorage().plan(told, msgspec.to_builtins(facts))


@pytest.mark.parametrize(
    ("now", "kind", "told"),
    [
        (Storage("nfs", NFS), "", f"on {NFS}"),
        (Storage("volume", "big"), "", "in the volume big"),
        (Storage(), "s3", "in object storage (s3)"),
        (Storage(), "filesystem", "each replica's own disk"),
        (Storage(), "", "which DTR's settings do not tell"),
        (None, "", "where DTR does not tell"),
    ],
)
def test_where_images_lie_is_told(now: Storage | None, kind: str, told: str) -> None:
    plan = storage(storage=now, kind=kind)
    assert told in plan.nothing and not plan.steps and "No backup of DTR has images" in str(plan.notes)
    shared = now is not None and (now.kind != "unnamed" or kind == "s3")
    assert bool(plan.warnings) != shared, "two replicas want shared storage"
    assert told in words(now, kind)


def test_a_share_is_set_by_reconfigure_and_the_place_it_has_is_nothing_to_do() -> None:
    plan = storage(given={"to": NFS}, tags=False)
    assert steps_of(plan) == ["image", "storage", "well", "clear-job"] and not plan.rules
    line = line_of(plan, "storage")
    assert "docker/dtr:2.4.1 reconfigure --ucp-url" in line
    assert line.endswith(f"--existing-replica-id {ONE} --nfs-storage-url {NFS}")
    assert storage(given={"to": NFS}, storage=Storage("nfs", NFS)).nothing


@pytest.mark.parametrize(
    ("version", "given", "tags", "ending", "rules"),
    [
        ("2.4.1", {"to": NFS}, True, f"--nfs-storage-url {NFS}", [NOT_MOVED]),
        ("2.4.1", {"to": NFS, "moved": "true"}, True, f"--nfs-storage-url {NFS}", []),
        ("2.5.0", {"to": NFS}, None, f"--nfs-storage-url {NFS}", [NOT_MOVED]),
        ("2.7.8", {"to": NFS, "moved": "true"}, True, f"--nfs-storage-url {NFS} --storage-migrated", []),
        ("2.7.8", {"to": NFS}, False, f"--nfs-storage-url {NFS}", []),
        ("2.6.0", {"to": NFS}, False, f"--nfs-storage-url {NFS}", []),
        ("2.4.1", {"to": "volume:big"}, False, "--dtr-storage-volume big", [LOCAL]),
    ],
)
def test_a_switch_keeps_the_tags_or_is_a_decision(
    version: str, given: dict[str, str], tags: bool | None, ending: str, rules: list[str]
) -> None:
    plan = storage(version, given=given, tags=tags)
    assert line_of(plan, "storage").endswith(ending)
    assert [one.id for one in plan.rules] == rules


S3 = {"to": "s3", "region": "eu-west-1", "bucket": "b"}


@pytest.mark.parametrize(
    ("version", "given", "more", "what", "way"),
    [
        ("2.7.8", {"to": NFS}, {}, "--storage-migrated", "moved=true"),
        ("2.6.3", {"to": NFS, "moved": "true"}, {}, "forgets every tag", "Upgrade to 2.6.4"),
        ("2.9.4", {**S3, "moved": "true"}, {"tags": None}, "Whether images are in it is not known", "moved=true"),
        ("2.4.1", {"to": NFS}, {"members": (replica(1), replica(2, health="ill"))}, "Not all", "replica="),
        ("2.4.1", {}, {"trouble": "its /_ping says 503."}, "does not answer", "doctor"),
    ],
    ids=["not-moved", "2.6.3", "object-storage", "ill", "silent"],
)
def test_what_would_lose_every_tag_is_refused(
    version: str, given: dict[str, str], more: dict[str, Any], what: str, way: str
) -> None:
    with pytest.raises(RefusedError) as caught:
        storage(version, given=given, **more)
    assert what in caught.value.what and way in caught.value.next_step


def test_object_storage_goes_through_the_settings_and_the_line_as_shown_says_the_same() -> None:
    more = {"rootdirectory": '/50%/a"b\\c', "accesskey-from": "env:A", "secretkey-from": "env:S"}
    plan = storage(given=S3 | more, tags=False)
    assert steps_of(plan) == ["storage", "well"]
    step = plan.steps[0]
    assert isinstance(step, SetObjectStorage) and step.places == {"accesskey": "env:A", "secretkey": "env:S"}
    line, _, curl = step.shown[-2].line.rpartition(" | ")
    assert f"{URL}/api/v0/admin/settings/registry/simple -X PUT" in curl and curl.endswith(" -d @-")
    keys = {"ACCESSKEY": "AKIA", "SECRETKEY": KEY}
    typed = subprocess.run(["sh", "-c", line], env=keys, capture_output=True, text=True, check=True)
    assert json.loads(typed.stdout)["storage"]["s3"] == {
        "rootdirectory": '/50%/a"b\\c',
        "region": "eu-west-1",
        "regionendpoint": "",
        "bucket": "b",
        "secure": True,
        "accesskey": "AKIA",
        "secretkey": KEY,
    }
    assert KEY not in render.script(plan) + render.markdown(plan)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"to": "s3", "bucket": "b"}, "wants region"),
        ({"to": "azure", "accountname": "a", "container": "c", "bucket": "b"}, "azure has no bucket"),
        ({"to": "nas:/x"}, "is no place for images"),
        ({"to": "nfs://nas"}, "is no place for images"),
        ({"to": "nfs://nas/a b"}, "is no place for images"),
        ({"to": "volume:../x"}, "is no place for images"),
        (S3 | {"secretkey-from": KEY}, "never an argument"),
    ],
)
def test_what_cannot_be_meant_is_told_without_a_key(given: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        storage(given=given, tags=False)
    assert words in str(caught.value) and KEY not in str(caught.value)


async def test_keys_come_from_a_variable_or_a_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[clusters.prod]\nmanagers = ["ssh://m1"]\n')
    person = Typist(KEY)
    session = Session(find("cluster:prod", config.load(file), bundles=tmp_path), person)
    monkeypatch.setenv("S3_SECRET", "from-the-environment")
    assert (await key_of(session, "secretkey", "env:S3_SECRET")).reveal() == "from-the-environment"
    assert (await key_of(session, "secretkey", "ask")).reveal() == KEY and "secretkey" in person.asked[0]
    for place, told in (("env:NOT_SET", "in the environment variable NOT_SET"), ("ask", "There is no secretkey")):
        with pytest.raises(UsageError, match=told):
            await key_of(session, "secretkey", place)
    await session.close()
