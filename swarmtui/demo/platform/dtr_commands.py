"""The commands of the image of DTR: which there are, and those that change no replica's place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from swarmtui.demo.platform import dtr_archive, dtr_install, dtr_removal
from swarmtui.demo.platform.commands import Call, Failed, Killed
from swarmtui.demo.platform.dtr_archive import DtrError
from swarmtui.demo.platform.dtr_call import DtrCall, Phase2
from swarmtui.demo.platform.dtr_releases import COMPONENTS, DtrRelease
from swarmtui.demo.platform.ucp_call import STEP
from swarmtui.demo.world import faults

_MARKED_SINCE = (2, 6)
"""Since then a change of the storage has to be told apart from a new, empty one."""


async def run(call: Call, release: DtrRelease) -> int:
    """Run one command; returns its exit status."""
    name, args = (call.args[0], call.args[1:]) if call.args else ("help", [])
    command = _COMMANDS.get(name)
    if command is None or name not in release.commands:
        call.log.write(f"No help topic for '{name}'\n")
        return 3
    call.args = args
    try:
        await command(DtrCall(call, release, name))
    except (Failed, DtrError) as error:
        call.log.fatal(str(error))
        return 0 if faults.DTR_FATAL_EXITS_0 in call.host.faults else 1
    except Killed:
        return 137
    return 0


async def _backup(call: DtrCall) -> None:
    """The metadata, on standard output. Offline, the database of this replica stands still meanwhile."""
    call.log.info("Beginning Docker Trusted Registry backup")
    call.ucp()
    dtr = call.dtr()
    replica = dtr.replicas[call.existing(dtr)]
    offline = call.on("offline-backup")
    data = dtr_archive.pack(dtr, offline=offline)
    if faults.DTR_BACKUP_TRUNCATED in call.call.host.faults:
        data = data[: len(data) // 3]
    database = next(
        one for one in call.world.hosts[replica.host].containers.values() if one.name == f"dtr-rethinkdb-{replica.id}"
    )
    if offline:
        call.log.info("Stopping rethinkdb of this replica")
        database.state = "exited"
        call.changed()
    await call.sleep(STEP)
    call.call.write(data[: len(data) // 2])
    await call.sleep(STEP)
    call.call.write(data[len(data) // 2 :])
    if offline:
        database.state = "running"
        call.changed()
    call.log.info("Backup completed successfully")


async def _reconfigure(call: DtrCall) -> None:
    call.log.info("Beginning Docker Trusted Registry replica reconfigure")
    call.ucp()
    dtr = call.dtr()
    replica = dtr.replicas[call.existing(dtr)]
    own, storage = call.own(), call.storage() or dtr.storage
    host = call.world.hosts[replica.host]

    async def work(phase: Phase2) -> None:
        phase.say("Reconfiguring...")
        await phase.sleep(STEP)
        dtr.external_url = call.given.get("dtr-external-url", dtr.external_url)
        dtr.own = own or dtr.own
        for flag, name in (("log-protocol", "logProtocol"), ("log-host", "logHost"), ("log-level", "logLevel")):
            dtr.logs[name] = call.given.get(flag, dtr.logs[name])
        if storage != dtr.storage:
            dtr.storage = storage
            if call.release.series >= _MARKED_SINCE and not call.on("storage-migrated"):
                dtr.tags.clear()
                call.world.journal.note("dtr.storage", "DTR got another storage, and lost all its tags.", risky=True)
        replica.http = int(call.given.get("replica-http-port") or replica.http)
        replica.https = int(call.given.get("replica-https-port") or replica.https)
        dtr.create(replica, host, "nginx")
        call.changed()
        phase.say("Reconfigure is complete")

    await call.phase2(host, work)


async def _upgrade(call: DtrCall) -> None:
    """One minor release further, at most; what was interrupted can be run again."""
    call.ucp()
    dtr = call.world.dtr
    if dtr is None or not dtr.replicas:
        raise Failed("There are no DTR replicas in this UCP cluster")
    old, new = dtr.release, call.release
    later = [int(part) for part in new.version.split(".")] >= [int(part) for part in old.version.split(".")]
    if not later or new.series[1] > old.series[1] + 1:
        raise Failed(f"DTR {dtr.release.version} cannot be upgraded to {call.release.version}")
    replica = dtr.replicas[call.existing(dtr)]

    async def work(phase: Phase2) -> None:
        phase.pull()
        await phase.sleep(STEP)
        dtr.release = call.release
        for one in dtr.replicas.values():
            host = call.world.hosts[one.host]
            for component in COMPONENTS if dtr.runs(one) else ():
                dtr.create(one, host, component)
        await phase.sleep(STEP)
        call.changed()
        phase.say("Upgrade is complete")

    await call.phase2(call.world.hosts[replica.host], work)


async def _images(call: DtrCall) -> None:
    call.call.write("".join(f"{image}\n" for image in call.release.needed).encode())


_COMMANDS: dict[str, Callable[[DtrCall], Awaitable[None]]] = {
    "install": dtr_install.install,
    "join": dtr_install.join,
    "restore": dtr_install.restore,
    "remove": dtr_removal.remove,
    "destroy": dtr_removal.destroy,
    "emergency-repair": dtr_removal.emergency_repair,
    "backup": _backup,
    "reconfigure": _reconfigure,
    "upgrade": _upgrade,
    "images": _images,
}
