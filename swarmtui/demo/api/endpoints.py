"""All endpoints of a simulated engine: importing them registers them."""

from __future__ import annotations

from swarmtui.demo.api import containers, local, logs, nodes, objects, services, swarm, system, volumes
from swarmtui.demo.api.router import Router

ENDPOINTS = (containers, local, logs, nodes, objects, services, swarm, system, volumes)

__all__ = ["ENDPOINTS", "Router"]
