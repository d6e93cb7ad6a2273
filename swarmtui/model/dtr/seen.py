"""What was read of DTR beside the polls: from each node's engine, from its web servers, from its API. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct, field

from swarmtui.model.container import Container
from swarmtui.model.dtr.behind import Behind
from swarmtui.model.ucp.status import Door

BALANCER: Final = ""
"""Where there is a replica's id else: DTR's external URL, which leads to the load balancer before the replicas."""


class Part(Container, frozen=True):
    """One container of a replica.

    Attributes:
        component: "nginx", "rethinkdb", …
        replica: the id of the replica.
        version: of DTR, by its label or its image; "" where neither tells.
        http, https: where its web server is published on the host; 0 for every other component.
    """

    component: str = ""
    replica: str = ""
    version: str = ""
    http: int = 0
    https: int = 0


class Held(Struct, frozen=True):
    """What of DTR lies on one node, as that node's own engine told it.

    Attributes:
        volumes: name of each volume → the id of its replica.
        at: when that was, seconds since the epoch; 0.0 for never.
        trouble: why the newest try failed; "" when it did not.
    """

    parts: tuple[Part, ...] = ()
    volumes: Mapping[str, str] = field(default_factory=dict)
    at: float = 0.0
    trouble: str = ""

    @property
    def replicas(self) -> frozenset[str]:
        """The ids of all replicas of which something lies here."""
        return frozenset((*(part.replica for part in self.parts), *self.volumes.values()))


class Tables(Struct, frozen=True):
    """What RethinkDB's tables are on one replica.

    Attributes:
        held: tables of which it has a copy; led: of which it is the primary.
        bad: state → how many of its copies are in it, other than "ready".
    """

    held: int = 0
    led: int = 0
    bad: Mapping[str, int] = field(default_factory=dict)


class Place(Struct, frozen=True):
    """Where a replica is by DTR's own settings.

    Attributes:
        node: hostname.
    """

    node: str = ""
    http: int = 0
    https: int = 0


class Storage(Struct, frozen=True):
    """Where images are kept, by DTR's own settings, which name only what is a file system.

    Attributes:
        kind: nfs, volume (one that somebody named), object, or unnamed: each replica's own disk, unless an object
            storage was set.
        where: nfs://HOST/PATH, the name of the volume, or the kind of object storage.
    """

    kind: str = "unnamed"
    where: str = ""

    def __str__(self) -> str:
        return f"volume {self.where}" if self.kind == "volume" else self.where or "not named"


class Told(Struct, frozen=True):
    """What DTR's API told, each part as far as it could be read.

    Attributes:
        health: replica id → "OK", or what is wrong with it in DTR's own words.
        timestamps: replica id → when it wrote its health, RFC 3339.
        readonly: replica id → whether it takes no pushes.
        gc_holder: the replica that collects garbage now; "" for none.
        tables: replica id → its tables; total: how many tables there are; unwritable: those that nobody can write.
        servers: the replicas whose RethinkDB is connected.
        issues: RethinkDB's own words on what is wrong.
        url: external URL.
        places: replica id → where it is.
        storage: None where the settings could not be read.
        gc_mode: how garbage is collected.
        jobs: names of the jobs that run now; None where they could not be read.
        at: when it was asked, seconds since the epoch.
        unread: what could not be read, and why, a sentence each.
    """

    health: Mapping[str, str] = field(default_factory=dict)
    timestamps: Mapping[str, str] = field(default_factory=dict)
    readonly: Mapping[str, bool] = field(default_factory=dict)
    gc_holder: str = ""
    tables: Mapping[str, Tables] = field(default_factory=dict)
    total: int = 0
    unwritable: tuple[str, ...] = ()
    servers: frozenset[str] = frozenset()
    issues: tuple[str, ...] = ()
    url: str = ""
    places: Mapping[str, Place] = field(default_factory=dict)
    storage: Storage | None = None
    gc_mode: str = ""
    jobs: tuple[str, ...] | None = None
    at: float = 0.0
    unread: tuple[str, ...] = ()

    @property
    def members(self) -> frozenset[str]:
        """The replicas that DTR itself knows."""
        return frozenset((*self.health, *self.places))


class DtrSeen(Struct, frozen=True):
    """What was read of DTR beside the polls.

    Attributes:
        held: node id → what of DTR lies there; nodes with nothing of it are among them once they were read.
        doors: replica id → its web server; `BALANCER` → the external URL.
        told: what its API told when it last answered; None where it never did.
        trouble: why the newest try to ask its API failed, one sentence; "" when it did not.
        named: whether somebody said in the configuration where it is.
        remembered: replica id → where it was when its API last told this machine, maybe long ago.
        behind: who answered through the load balancer; None where nobody looked, or there is one replica only.
    """

    held: Mapping[str, Held] = field(default_factory=dict)
    doors: Mapping[str, Door] = field(default_factory=dict)
    told: Told | None = None
    trouble: str = ""
    named: bool = False
    remembered: Mapping[str, Place] = field(default_factory=dict)
    behind: Behind | None = None
