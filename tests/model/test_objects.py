"""Networks, secrets, configs and volumes as engines give them, and who uses them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from swarmtui.link.decode import Collection, volumes_of
from swarmtui.model.objects import (
    Config,
    Network,
    Secret,
    Users,
    Volume,
    config_users,
    network_users,
    secret_users,
    stack_of,
    volume_users,
    without_local,
)
from swarmtui.model.snapshot import Reading, Snapshot
from tests import builders as b

OVERLAY: b.Json = {
    "Name": "shop_back",
    "Id": "net1",
    "Created": "2024-05-01T10:00:00.1Z",
    "Scope": "swarm",
    "Driver": "overlay",
    "EnableIPv4": True,
    "EnableIPv6": True,
    "IPAM": {"Driver": "default", "Options": None, "Config": [{"Subnet": "10.0.1.0/24", "Gateway": "10.0.1.1"}]},
    "Internal": True,
    "Attachable": True,
    "Ingress": False,
    "ConfigFrom": {"Network": ""},
    "ConfigOnly": False,
    "Containers": None,
    "Options": {"com.docker.network.driver.overlay.vxlanid_list": "4097", "encrypted": ""},
    "Labels": {"com.docker.stack.namespace": "shop"},
}
INGRESS: b.Json = {"Name": "ingress", "Id": "net0", "Scope": "swarm", "Driver": "overlay", "Ingress": True}
BRIDGE: b.Json = {
    "Name": "bridge",
    "Id": "local1",
    "Scope": "local",
    "Driver": "bridge",
    "IPAM": {"Driver": "default", "Config": []},
    "Labels": None,
}


def networks(*made: b.Json) -> dict[str, Network]:
    return dict(Collection("networks", Network)(json.dumps(made).encode()))


def service(name: str, *, ports: tuple[b.Json, ...] = (), **container: Any) -> b.Json:
    made = b.service(name, ports=ports)
    made["Spec"]["TaskTemplate"]["ContainerSpec"].update(container)
    return made


def names(users: Users) -> dict[str, list[str]]:
    return {key: [service.name for service in services] for key, services in users.items()}


def test_a_network_as_the_engine_gives_it() -> None:
    found = networks(OVERLAY, BRIDGE)
    overlay, bridge = found["net1"], found["local1"]
    assert (overlay.name, overlay.scope, overlay.driver, overlay.subnets) == (
        "shop_back",
        "swarm",
        "overlay",
        ("10.0.1.0/24",),
    )
    assert overlay.enable_ipv6 and overlay.internal and overlay.attachable and not overlay.ingress
    assert overlay.is_encrypted and not overlay.is_local and stack_of(overlay.labels) == "shop"
    assert bridge.is_local and not bridge.is_encrypted and bridge.subnets == () and stack_of(bridge.labels) == ""


def test_a_secret_has_a_name_and_never_a_value() -> None:
    made = {
        "ID": "sec1",
        "Version": {"Index": 11},
        "CreatedAt": "2024-05-01T10:00:00Z",
        "UpdatedAt": "2024-05-02T10:00:00Z",
        "Spec": {"Name": "db_password", "Labels": {"a": "b"}, "Data": "aHVudGVyMg==", "Driver": {"Name": "vault"}},
    }
    (secret,) = Collection("secrets", Secret)(json.dumps([made]).encode()).values()
    assert (secret.id, secret.name, secret.version.index, secret.spec.labels) == ("sec1", "db_password", 11, {"a": "b"})
    assert secret.spec.driver is not None and secret.spec.driver.name == "vault"
    assert "aHVudGVyMg" not in repr(secret)


def test_a_config_comes_without_its_data() -> None:
    made = {"ID": "cfg1", "Spec": {"Name": "nginx", "Data": "eA==" * 1000, "Templating": {"Name": "golang"}}}
    (config,) = Collection("configs", Config)(json.dumps([made]).encode()).values()
    assert config.name == "nginx" and config.spec.templating is not None and "eA==" not in repr(config)


def test_what_has_no_name_is_called_by_the_start_of_its_id() -> None:
    assert Secret(id="abcdefghijklmnop").name == Config(id="abcdefghijklmnop").name == "abcdefghijkl"


def test_volumes_go_by_their_name() -> None:
    made = {"Name": "db", "Driver": "local", "Mountpoint": "/v/db", "Scope": "local", "Labels": None, "Options": None}
    body, missing = volumes_of(json.dumps({"Volumes": [made], "Warnings": None}).encode())
    found = Collection("volumes", Volume)(body)
    assert found["db"].mountpoint == "/v/db" and found["db"].id == "db" and missing == ""


# -- who uses it -----------------------------------------------------------------------------------------------------


def test_secrets_and_configs_are_used_by_id_whatever_they_are_called_inside() -> None:
    web = service(
        "web",
        Secrets=[
            {"File": {"Name": "password"}, "SecretID": "s1", "SecretName": "old_name"},
            {"File": {"Name": "again"}, "SecretID": "s1", "SecretName": "old_name"},
        ],
        Configs=[{"ConfigID": "c1", "ConfigName": "nginx"}],
    )
    api = service("api", Secrets=[{"SecretID": "s2"}, {"SecretID": "s1"}], Configs=None)
    now = b.snapshot([], [web, api, service("idle")])
    assert names(secret_users(now.services.values())) == {"s1": ["web", "api"], "s2": ["api"]}
    assert names(config_users(now.services.values())) == {"c1": ["web"]}


def test_volumes_are_used_by_the_mounts_that_name_them() -> None:
    web = service(
        "web",
        Mounts=[
            {"Type": "volume", "Source": "data", "Target": "/data"},
            {"Type": "bind", "Source": "/srv", "Target": "/srv"},
            {"Type": "tmpfs", "Target": "/tmp"},
            {"Type": "volume", "Target": "/nameless"},
        ],
    )
    csi = service("csi", Mounts=[{"Type": "cluster", "Source": "shared", "Target": "/s"}])
    now = b.snapshot([], [web, csi])
    assert names(volume_users(now.services.values())) == {"data": ["web"], "shared": ["csi"]}


def test_networks_are_used_by_id_or_by_name_and_the_mesh_by_those_that_publish() -> None:
    new, old, by_name = b.service("new"), b.service("old"), b.service("by_name")
    new["Spec"]["TaskTemplate"]["Networks"] = [{"Target": "net1", "Aliases": ["new"]}, {"Target": "gone"}]
    old["Spec"]["Networks"] = [{"Target": "net1"}]
    by_name["Spec"]["TaskTemplate"]["Networks"] = [{"Target": "shop_back"}]
    mesh, host_mode = service("mesh", ports=(b.port(80),)), service("host_mode", ports=(b.port(81, mode="host"),))
    now = b.snapshot([], [new, old, by_name, mesh, host_mode])
    assert names(network_users(now.services.values(), networks(OVERLAY, INGRESS, BRIDGE))) == {
        "net1": ["new", "old", "by_name"],
        "gone": ["new"],
        "net0": ["mesh"],
    }


def test_a_local_network_of_the_same_name_is_nobodys() -> None:
    attached = b.service("s")
    attached["Spec"]["TaskTemplate"]["Networks"] = [{"Target": "bridge"}]
    now = b.snapshot([], [attached])
    assert names(network_users(now.services.values(), networks(BRIDGE))) == {"bridge": ["s"]}


@pytest.mark.parametrize("known", [True, False])
def test_only_what_the_other_engine_had_is_dropped(known: bool) -> None:
    readings = {"networks": Reading(5.0), "secrets": Reading(6.0)} | ({"volumes": Reading(7.0)} if known else {})
    now = Snapshot(
        networks=networks(OVERLAY, BRIDGE),
        secrets={"s": Secret(id="s")},
        volumes={"db": Volume(name="db")},
        readings=readings,
    )
    after = without_local(now)
    assert after.networks.keys() == {"net1"} and after.volumes == {} and after.secrets is now.secrets
    assert after.readings == {"networks": Reading(5.0), "secrets": Reading(6.0)}
