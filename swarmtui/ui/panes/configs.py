"""The configs: who uses them. `y` shows what is in one, as the engine gives it."""

from __future__ import annotations

from swarmtui.model.objects import config_users
from swarmtui.ui.panes.blobs import blob_view

VIEW = blob_view("config", lambda snapshot: snapshot.configs, config_users, "y shows what is in it (base64).")
