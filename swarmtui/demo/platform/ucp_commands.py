"""The commands of the image of UCP: which there are, and the small ones."""

from __future__ import annotations

import gzip
from collections.abc import Awaitable, Callable

from swarmtui.demo.platform import archive, ucp_install, ucp_recovery
from swarmtui.demo.platform.commands import Call, Failed, Killed, on
from swarmtui.demo.platform.releases import Release
from swarmtui.demo.platform.ucp import UcpError
from swarmtui.demo.platform.ucp_call import STEP, UcpCall
from swarmtui.demo.world import faults


async def run(call: Call, release: Release) -> int:
    """Run one command; returns its exit status."""
    name, args = (call.args[0], call.args[1:]) if call.args else ("help", [])
    command = _COMMANDS.get(name)
    if command is None or name not in release.commands:
        call.log.write(f"No help topic for '{name}'\n")
        return 3
    call.args = args
    call.log.json = "--jsonlog" in args or "--jsonlog=true" in args
    try:
        ucp_call = UcpCall(call, release, name)
        ucp_call.reach_engine()
        await command(ucp_call)
    except (Failed, UcpError) as error:
        call.log.fatal(str(error))
        return 0 if faults.UCP_FATAL_EXITS_0 in call.host.faults else 1
    except Killed:
        return 137
    return 0


async def _id(call: UcpCall) -> None:
    call.options()
    _, instance = call.instance()
    call.write(f"{instance}\n".encode())


async def _images(call: UcpCall) -> None:
    given = call.options()
    if on(given, "list"):
        call.write("".join(f"{image}\n" for image in call.release.needed).encode())
        return
    call.pull(given.get("pull", "missing"))
    call.log.info("All required images are present")


async def _dump_certs(call: UcpCall) -> None:
    given = call.options()
    ucp = call.installed()
    if on(given, "cluster"):
        call.write(ucp.cluster.authority.pem.encode())
        return
    certificate, _ = ucp.certificate(call.host)
    call.write(ucp.ca_pem.encode() if on(given, "ca") else (ucp.ca_pem + certificate).encode())


async def _stop(call: UcpCall) -> None:
    call.options()
    ucp = call.installed()
    call.log.info("Stopping all UCP components on this node")
    await call.sleep(STEP)
    ucp.stop_on(call.host)
    call.changed()
    call.world.journal.note("ucp.stop", f"UCP was stopped on {call.host.name}.")


async def _restart(call: UcpCall) -> None:
    call.options()
    ucp = call.installed()
    call.log.info("Restarting all UCP components on this node")
    ucp.stop_on(call.host)
    call.changed()
    await call.sleep(STEP)
    ucp.start_on(call.host)
    call.changed()


async def _support(call: UcpCall) -> None:
    """A dump of this node; no secret is in it."""
    call.options()
    ucp = call.installed()
    call.log.info("Gathering the support dump of this node")
    await call.sleep(STEP)
    here = sorted(f"{c.name} {c.image} {c.state}" for c in call.host.containers.values())
    found = {
        "./info/containers.txt": "\n".join(here).encode(),
        "./info/ucp.txt": f"version {call.release.version}\ninstance {ucp.instance}\n".encode(),
        "./info/health.txt": f"{ucp.ill(call.host) or 'healthy'}\n".encode(),
    }
    call.write(gzip.compress(archive.pack(found, call.world.kernel.now()), mtime=0))


async def _example_config(call: UcpCall) -> None:
    call.options()
    call.write(_EXAMPLE.encode())


_EXAMPLE = """\
[auth]
  default_new_user_role = "restrictedcontrol"
  backend = "managed"
  [auth.sessions]
    lifetime_minutes = 4320
    renewal_threshold_minutes = 1440
[scheduling_configuration]
  enable_admin_ucp_scheduling = true
[log_configuration]
  protocol = "tcp"
  host = ""
  level = "INFO"
"""

_COMMANDS: dict[str, Callable[[UcpCall], Awaitable[None]]] = {
    "install": ucp_install.install,
    "id": _id,
    "backup": ucp_recovery.backup,
    "restore": ucp_recovery.restore,
    "uninstall-ucp": ucp_install.uninstall,
    "images": _images,
    "dump-certs": _dump_certs,
    "stop": _stop,
    "restart": _restart,
    "support": _support,
    "example-config": _example_config,
}
