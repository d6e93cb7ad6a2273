"""The secrets: who uses them. Their values are never given by a Swarm."""

from __future__ import annotations

from swarmtui.model.objects import secret_users
from swarmtui.ui.panes.blobs import blob_view

VIEW = blob_view(
    "secret", lambda snapshot: snapshot.secrets, secret_users, "A Swarm never gives the value of a secret."
)
