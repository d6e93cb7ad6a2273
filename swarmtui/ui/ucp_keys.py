"""The keys of UCP's view that change something."""

from __future__ import annotations

from swarmtui.ui.action import Action

UCP_ACTIONS = (
    Action("B", "ucp.backup", "Back up", "Back up UCP, from a manager where it is healthy", "ucp"),
    Action(
        "N",
        "ucp.user",
        "New user",
        "Make a user of UCP, and log in as it",
        "ucp",
        "",
        ("name",),
        ("admin", "full-name"),
    ),
    Action("C", "ucp.bundle", "Bundle", "Download a client bundle, as a connection", "ucp", "", ("to",), ("user",)),
    Action(
        "J", "ucp.join", "Join", "Let a host join, and wait until UCP on it is well", "ucp", "", ("host",), ("role",)
    ),
    Action(
        "R",
        "ucp.restore",
        "Restore",
        "Bring UCP back from a backup; the Swarm stays",
        "ucp",
        words=("backup", "host", "host-address", "san"),
    ),
    Action(
        "I",
        "ucp.install",
        "Install",
        "Install UCP on this Swarm",
        "ucp",
        "",
        ("version",),
        ("host", "host-address", "san", "certificates", "licence", "admin"),
    ),
    Action("X", "ucp.uninstall", "Uninstall", "Take UCP off every node; the Swarm stays", "ucp"),
)
