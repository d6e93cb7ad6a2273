"""Secrets and configs: making, relabelling and removing them."""

from __future__ import annotations

from swarmtui.demo.world import errors, specs
from swarmtui.demo.world.cluster import Cluster
from swarmtui.demo.world.objects import Json
from swarmtui.demo.world.resources import Blob


class Blobs:
    """The secrets and configs of one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def create(self, spec: Json, *, secret: bool) -> Blob:
        """A new secret or config.

        Raises:
            ApiError: in the engine's words.
        """
        kind = "secret" if secret else "config"
        specs.check_blob_name(str(spec.get("Name") or ""))
        driver = (spec.get("Driver") or {}).get("Name")
        if secret and driver:
            raise errors.rpc("Unknown", f'plugin "{driver}" not found')
        limit = 512000 if secret else 1024000
        if not 0 < len(spec.get("Data") or "") * 3 // 4 < limit:
            raise errors.rpc("InvalidArgument", f"{kind} data must be larger than 0 and less than {limit} bytes")
        table = self.cluster.secrets if secret else self.cluster.configs
        if any(item.name == spec["Name"] for item in table.values()):
            raise errors.rpc("AlreadyExists", f"{kind} {spec['Name']} already exists")
        kept = {"Name": spec["Name"], "Labels": dict(spec.get("Labels") or {}), "Data": spec.get("Data") or ""}
        blob = Blob(id=self.cluster.ids.object(), spec=kept, secret=secret)
        self.cluster.commit(blob)
        self.cluster.announce(blob, "create")
        return blob

    def update(self, blob: Blob, version: int, spec: Json) -> None:
        """Change the labels of a secret or config; nothing else may change.

        Raises:
            ApiError: in the engine's words.
        """
        if spec.get("Name") != blob.name or (spec.get("Data") and spec["Data"] != blob.spec["Data"]):
            raise errors.rpc("InvalidArgument", "only updates to Labels are allowed")
        if version != blob.index:
            raise errors.out_of_sequence()
        blob.spec = {**blob.spec, "Labels": dict(spec.get("Labels") or {})}
        self.cluster.commit(blob)
        self.cluster.announce(blob, "update")

    def remove(self, blob: Blob) -> None:
        """Remove a secret or config that no service uses.

        Raises:
            ApiError: some service does.
        """
        kind = "secret" if blob.secret else "config"
        key, field = f"{kind.capitalize()}s", f"{kind.capitalize()}ID"
        users = [
            service.name
            for service in self.cluster.services.values()
            if any(r.get(field) == blob.id for r in service.template["ContainerSpec"].get(key) or [])
        ]
        if users:
            word = "service" if len(users) == 1 else "services"
            raise errors.rpc(
                "InvalidArgument",
                f"{kind} '{blob.name}' is in use by the following {word}: {', '.join(users)}",
            )
        self.cluster.delete(blob)
        self.cluster.announce(blob, "remove")
