"""The keys of DTR's view that change something."""

from __future__ import annotations

from swarmtui.ui.action import Action


def _dtr(
    key: str, verb: str, label: str, tooltip: str, asks: tuple[str, ...] = (), words: tuple[str, ...] = ()
) -> Action:
    return Action(key, f"dtr.{verb}", label, tooltip, "dtr", "", asks, words)


DTR_ACTIONS = (
    _dtr("B", "backup", "Back up", "Back up DTR's metadata, always from the same replica; images are not in it"),
    _dtr("J", "join", "Join", "Join another replica, on a worker of its own", ("node",)),
    Action("X", "dtr.remove", "Remove", "Take the replica out gracefully, and tell the others", "dtr", "replica"),
    Action(
        "D",
        "dtr.destroy",
        "Destroy",
        "Force what is left of a replica off its node; the others are not told",
        "dtr",
        "replica",
        one=True,
    ),
    Action(
        "E",
        "dtr.repair",
        "Emergency",
        "Emergency repair: this replica's data becomes the whole of DTR, after its majority was lost",
        "dtr",
        "replica",
        one=True,
    ),
    _dtr(
        "R",
        "restore",
        "Restore",
        "Bring DTR back from a backup, where nothing gentler is left",
        words=("backup", "node"),
    ),
    _dtr(
        "I", "install", "Install", "Install the first replica", ("version", "node", "url"), ("storage", "certificates")
    ),
    _dtr("S", "storage", "Storage", "Tell where DTR keeps images, or have it keep them elsewhere", words=("to",)),
    _dtr(
        "C",
        "reconfigure",
        "Configure",
        "Change its external URL, its certificates, or where its logs go",
        words=("url", "certificates", "log-level"),
    ),
)
