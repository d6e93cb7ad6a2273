"""The commands of DTR that take replicas away: remove, destroy and emergency-repair."""

from __future__ import annotations

from swarmtui.demo.platform.commands import Failed
from swarmtui.demo.platform.dtr import Dtr, Replica, all_of, found_on, leave, stored_on, wipe
from swarmtui.demo.platform.dtr_call import DtrCall, Phase2
from swarmtui.demo.platform.dtr_releases import COMPONENTS
from swarmtui.demo.platform.ucp_call import STEP


async def remove(call: DtrCall) -> None:
    """`remove`: members leave, and the others agree; first the database, then what runs."""
    call.log.info("Beginning Docker Trusted Registry replica remove")
    ucp = call.ucp()
    dtr = call.dtr()
    through = call.existing(dtr)
    wanted = (call.given.get("replica-ids") or call.given.get("replica-id") or "").split(",")
    for replica_id in wanted:
        if replica_id not in dtr.replicas:
            raise Failed(f"No such replica: {replica_id or '(none given)'}")
        if replica_id == through:
            raise Failed("A replica cannot be removed through itself")
    sick = [one.id for one in dtr.replicas.values() if one.id not in wanted and dtr.ill(one)]
    if sick:
        raise Failed(f"All other replicas must be healthy, and {' '.join(sick)} are not")
    for replica_id in wanted:
        call.log.info(f"Removing replica {replica_id} from the cluster")
        await call.sleep(STEP)
        dtr.strays[replica_id] = dtr.replicas.pop(replica_id)
        call.changed()
        await call.sleep(STEP)
        for host in ucp.hosts():
            wipe(host, replica_id)
        call.changed()
        call.log.info("Replica removed.")


async def destroy(call: DtrCall) -> None:
    """`destroy`: a replica goes by force; nobody tells the others."""
    call.log.info("Beginning Docker Trusted Registry replica destroy")
    ucp = call.ucp()
    found = call.found(ucp)
    call.log.info(f"This cluster contains the replicas: {' '.join(found)}")
    replica_id = call.given.get("replica-id", "")
    if replica_id not in found:
        raise Failed(f"No such replica: {replica_id or '(none given)'}")
    had = call.world.dtr is not None and replica_id in call.world.dtr.replicas and call.world.dtr.quorum
    call.log.info("Force removing replica")
    call.log.info("Stopping containers")
    await call.sleep(STEP)
    call.log.info("Removing containers")
    for host in found[replica_id]:
        wipe(host, replica_id, volumes=False)
    call.changed()
    call.log.info("Removing volumes")
    await call.sleep(STEP)
    for host in found[replica_id]:
        wipe(host, replica_id)
    _forget(call)
    call.changed()
    words = f"The DTR replica {replica_id} was destroyed."
    if had:
        words = f"The DTR replica {replica_id} was destroyed, and the others were not told: removing it was possible."
    call.world.journal.note("dtr.destroy", words, risky=had)
    call.log.info("Replica removed.")


def _forget(call: DtrCall) -> None:
    """A registry of which nothing is left anywhere is none."""
    for dtr in list(all_of(call.world)):
        hosts = call.world.hosts.values()
        left = {name for host in hosts for name in found_on(host) | stored_on(host)}
        if not left & {*dtr.replicas, *dtr.strays}:
            if dtr is call.world.dtr:
                call.world.dtr = None
            else:
                call.world.past_dtrs.remove(dtr)


async def emergency_repair(call: DtrCall) -> None:
    """`emergency-repair`: one replica whose volumes are there becomes the whole registry."""
    call.log.info("Beginning Docker Trusted Registry emergency repair")
    ucp = call.ucp()
    replica_id = call.given.get("existing-replica-id", "")
    host = next((one for one in ucp.hosts() if f"dtr-rethink-{replica_id}" in one.volumes), None)
    if not replica_id or host is None:
        raise Failed(f"Couldn't find the volumes of the replica {replica_id or '(none given)'}")
    if not (call.on("yes") or call.on("y")):
        raise Failed("unable to prompt for the confirmation: the input is not a terminal")
    old, replica = _known(call, replica_id)
    if old.release is not call.release:
        raise Failed(f"This is the image of DTR {call.release.version}, and DTR {old.release.version} is installed")
    had = old.quorum

    async def work(phase: Phase2) -> None:
        phase.say("Verifying your system is compatible with DTR")
        phase.pull()
        phase.say(f"Reverting to the single replica {replica_id}")
        await phase.sleep(STEP)
        for other in ucp.hosts():
            for one in sorted((found_on(other) | stored_on(other)) - {replica_id}):
                phase.say(f"Removing the containers of the replica {one}")
                wipe(other, one, volumes=call.on("prune"))
        call.changed()
        await phase.sleep(STEP)
        new = old.follow_on()
        fresh = Replica(replica_id, host.name, replica.http, replica.https, seen=call.world.kernel.now())
        for component in COMPONENTS:
            new.create(fresh, host, component)
        new.replicas[replica_id] = fresh
        # To the others, should they come back, it is a member that does not answer.
        old.replicas[replica_id] = Replica(replica_id, "")
        leave(call.world, new)
        call.changed()
        phase.say("Emergency repair is complete")

    await call.phase2(host, work)
    text = f"DTR was cut down to the replica {replica_id}."
    if had:
        text = f"DTR was cut down to the replica {replica_id} while most of its replicas were well."
    call.world.journal.note("dtr.repair", text, risky=had)


def _known(call: DtrCall, replica_id: str) -> tuple[Dtr, Replica]:
    for dtr in all_of(call.world):
        if replica_id in dtr.replicas:
            return dtr, dtr.replicas[replica_id]
    raise Failed(f"The volumes of the replica {replica_id} cannot be read")
