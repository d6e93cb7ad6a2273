"""`install`, `restore` and `uninstall-ucp`."""

from __future__ import annotations

import re
import secrets
import sys
import time
from pathlib import Path
from typing import Any

from standin import agent, engine, pki, saving, state
from standin.call import Call, find_ucp
from standin.components import PROGRAM, SERVER_CERTS, VOLUMES, Ucp, image, number
from standin.engine import EngineError

DEAD_SIGNER = "https://127.0.0.1:12381/api/v1/cfssl/sign"
"""Where nobody signs: between an uninstall and the next install no node can join (the Swarm's CA came from UCP)."""
_BUILDS = "168ec746e"


def install(call: Call) -> None:
    """Install UCP on this node."""
    log = call.log
    log.info(f"Verifying your system is compatible with UCP {call.version} ({_BUILDS})")
    call.compatible()
    if find_leftovers(call):
        log.fatal("UCP is already installed on this node, or was not removed completely")
    name, password = call.text("admin-username"), call.text("admin-password")
    if call.on("interactive"):
        name = name or call.ask("Admin Username: ")
        if not password:
            password = call.ask("Admin Password: ", hidden=True)
            if password != call.ask("Confirm Admin Password: ", hidden=True):
                log.fatal("The passwords do not match")
    name = name or "admin"
    if not password:
        if call.number < (3, 0):
            log.fatal("an admin password is needed: use --admin-password or --interactive")
        password = secrets.token_urlsafe(12)
        log.info(f"Generated random admin password: {password}")
    licence = _licence(call)
    before = engine.info()["Swarm"]["LocalNodeState"]
    ucp = Ucp(
        call.version, "", secrets.token_hex(16), int(call.text("controller-port", "443")),
        int(call.text("swarm-port", "2376")),
    )  # fmt: skip
    call.need_images(ucp)
    external = _external(call, ucp)
    sans = call.many("san")
    _warn_short_names(call, sans)
    if call.on("interactive"):
        print(
            "You may enter additional aliases (SANs) now or press enter to proceed with the above list.",
            file=sys.stderr,
        )
        sans += call.ask("Additional aliases: ").split()
    log.phase()
    swarm = _swarm(call, before)
    ucp = Ucp(ucp.version, swarm["Cluster"]["ID"], ucp.key, ucp.controller_port, ucp.swarm_port)
    address = _address(call, swarm)
    log.info("Establishing mutual Cluster Root CA with Swarm")
    _free_ports(call, ucp)
    log.info(
        f"Installing UCP with host address {address} - If this is incorrect, please specify an alternative address with"
        " the '--host-address' flag"
    )
    log.info("Generating UCP Client Root CA")
    files = state.new(ucp, name, password, sans, licence, external)
    _deploy(call, ucp, files, address, swarm, sans)
    hostname = engine.info()["Name"]
    log.info(f"Installation completed on {hostname} (node {swarm['NodeID']})")
    log.info(f"UCP Instance ID: {ucp.instance}")
    log.info(f"UCP Server SSL: SHA-256 Fingerprint={_fingerprint(ucp)}")
    log.info(f"Login to UCP at https://{address}:{ucp.controller_port}")
    log.info(f"Username: {name}")
    log.info("Password: (your admin password)")
    if call.number >= (3, 2):
        log.info("All Installation Steps Completed")


def restore(call: Call) -> None:
    """Restore UCP from a backup on standard input."""
    log = call.log
    if log.form == "plain":
        log.form = "text"  # the first lines have this form, also without a terminal
    call.compatible()
    if not call.text("passphrase"):
        log.warn("No passphrase was given")
    if find_leftovers(call):
        log.fatal("UCP is installed on this cluster, or parts of it remain on this node: run uninstall-ucp first")
    before = engine.info()["Swarm"]["LocalNodeState"]
    log.phase("json" if log.form == "json" else "plain")
    log.info("Parsing backup file")
    try:
        archive = Path("/config/backup.tar").read_bytes() if call.on("interactive") else sys.stdin.buffer.read()
        files = saving.opened(archive, call.text("passphrase"))
    except OSError as error:
        log.fatal(f"unable to read the backup: {error}")
    except saving.BadArchive as error:
        log.fatal(f"Failed to read the backup: {error}")
    kept = state.settings(files)
    made_by = kept["version"]
    same = made_by == call.version if call.number < (3, 2) else number(made_by) == call.number
    newer = tuple(map(int, call.version.split("."))) >= tuple(map(int, made_by.split(".")))
    if not same or not newer:
        log.fatal(
            f"This backup was made with UCP {made_by} and cannot be restored with {call.version}: please run"
            f" {image(made_by, 'ucp')} instead"
        )
    swarm = _swarm(call, before)
    ucp = Ucp(
        call.version, swarm["Cluster"]["ID"], secrets.token_hex(16), kept["controller_port"], kept["swarm_port"]
    )  # fmt: skip
    call.need_images(ucp)
    _free_ports(call, ucp)
    files[state.SETTINGS] = state.dump({**kept, "version": call.version, "cluster": ucp.instance})
    if kept["cluster"] != ucp.instance:  # another Swarm: what its cluster root signed is worth nothing here
        fresh = pki.root("UCP Cluster Root CA")
        files |= {f"{state.CLUSTER_ROOT}/{name}": data for name, data in fresh.items()}
    files = {path: data for path, data in files.items() if not path.startswith("ucp-node-certs/")}
    if call.number < (3, 2):
        files = {path: data for path, data in files.items() if not path.startswith(f"{SERVER_CERTS}/")}
    log.info("Deploying UCP Agent Service")
    _deploy(call, ucp, files, _address(call, swarm), swarm, call.many("san"), fresh=False)
    log.info("Cluster successfully restored.")


def uninstall(call: Call) -> None:
    """Remove UCP from every node of the Swarm."""
    log = call.log
    call.compatible()
    call.manager()
    ucp = find_ucp()
    if ucp is None:
        log.fatal("UCP is not installed on this cluster")
    call.check_id(ucp)
    if ucp.version != call.version:
        call.installed()
    log.info("We're about to uninstall from this swarm cluster.")
    if call.on("interactive"):
        call.confirm("Do you want to proceed with the uninstall?")
    elif not call.text("id"):
        log.fatal("the ID of the UCP instance is needed (--id) to uninstall without --interactive")
    log.info("Uninstalling UCP on each node...")
    _signer(DEAD_SIGNER)
    _drop_service("ucp-uninstall-agent")
    engine.call("POST", "/services/create", ucp.uninstaller())
    left = _wait_removed(120 if not call.switch("uninstall-hangs") else 5)
    if left or call.switch("uninstall-hangs"):
        log.error("Uninstalling UCP took too long")
        return
    log.info("UCP has been removed from this cluster successfully.")
    log.info("Removing UCP Services")
    _remove_services()
    if call.on("purge-config"):
        for entry in engine.call("GET", "/configs"):
            if re.match(r"com\.docker\.(ucp\.config|license)", entry["Spec"]["Name"]):
                engine.find("DELETE", f"/configs/{entry['ID']}")


# --- steps -------------------------------------------------------------------------------------------------------


def find_leftovers(call: Call) -> list[str]:
    """Containers, volumes and services of a UCP that is or was here."""
    helper = Ucp(call.version, "", "")
    names = {agent.RECONCILE, *(part.name for part in helper.parts(True))}
    found = [entry["name"] for entry in engine.containers() if entry["name"] in names]
    volumes = {entry["Name"] for entry in engine.call("GET", "/volumes").get("Volumes") or []}
    found += sorted(volumes & (set(VOLUMES) - {SERVER_CERTS}))
    if engine.info()["Swarm"].get("ControlAvailable"):
        found += [s["Spec"]["Name"] for s in engine.call("GET", "/services") if s["Spec"]["Name"].startswith("ucp-")]
    return found


def _licence(call: Call) -> str:
    file = Path("/config/docker_subscription.lic")
    text = call.text("license") or (file.read_text() if file.exists() else "")
    if text and not text.lstrip().startswith("{"):
        call.log.fatal("the license is not valid")
    return text


def _external(call: Call, ucp: Ucp) -> state.Files | None:
    if not call.on("external-server-cert"):
        return None
    with engine.Mounted(ucp.image("agent"), [SERVER_CERTS]) as volumes:
        found = state.volume(volumes.read(), SERVER_CERTS)
    if wrong := pki.problem(found):
        call.log.fatal(f"the certificates in volume {SERVER_CERTS} cannot be used: {wrong}")
    return {name: found[name] for name in ("ca.pem", "cert.pem", "key.pem")}


def _warn_short_names(call: Call, sans: list[str]) -> None:
    names = [engine.info()["Name"], "127.0.0.1", "172.17.0.1", *filter(None, [call.text("host-address")]), *sans]
    if not any("." in name and not name[-1].isdigit() for name in names):
        call.log.warn(
            f"None of the hostnames we'll be using in the UCP certificates [{' '.join(names)}] contain a domain"
            " component.  Your generated certs may fail TLS validation unless you only use one of these shortnames or"
            " IPs to connect.  You can use the --san flag to add more aliases"
        )


def _swarm(call: Call, before: str) -> dict[str, Any]:
    if before == "inactive":
        address = call.text("host-address")
        call.log.info(f"Initializing a new swarm at {address}")
        body = {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": address, "Spec": {}}
        try:
            engine.call("POST", "/swarm/init", body)
        except EngineError as error:
            call.log.fatal(f"unable to initialize a swarm: {error}")
    elif before == "locked" and call.text("unlock-key"):
        engine.call("POST", "/swarm/unlock", {"UnlockKey": call.text("unlock-key")})
        _wait(lambda: bool(engine.info()["Swarm"].get("ControlAvailable")), 20)
    return call.manager()


def _address(call: Call, swarm: dict[str, Any]) -> str:
    given = call.text("host-address")
    if given and not re.fullmatch(r"[0-9.]+|[0-9a-fA-F:]+", given):
        call.log.fatal(f"unable to find the address of interface {given}")
    return given or str(swarm["NodeAddr"])


def _free_ports(call: Call, ucp: Ucp) -> None:
    """Look for ports in use, from a container in the host's own network."""
    name = "ucp-phase2"
    engine.remove(name)
    words = [*PROGRAM, "ports", *map(str, ucp.needed_ports())]
    spec = {"Image": ucp.image("agent"), "Entrypoint": words, "HostConfig": {"NetworkMode": "host"}}
    made = engine.run(name, spec)
    code = engine.call("POST", f"/containers/{made}/wait")["StatusCode"]
    told = engine.raw("GET", f"/containers/{made}/logs?stdout=1")[8:].decode().strip()
    engine.remove(name)
    if code:
        call.log.fatal(
            f"The following required ports are already in use on your host - {told}.  You may specify an alternative"
            " port number to 443 with the --controller-port argument, and to 2376 with the --swarm-port argument."
        )


def _deploy(
    call: Call,
    ucp: Ucp,
    files: state.Files,
    address: str,
    swarm: dict[str, Any],
    sans: list[str],
    *,
    fresh: bool = True,
) -> None:
    """Fill this node's volumes, make the services, wait for the controller of this node."""
    hostname = engine.info()["Name"]
    names = list(dict.fromkeys([hostname, "127.0.0.1", "172.17.0.1", address, *sans, *state.settings(files)["sans"]]))
    restored = files.get(f"{SERVER_CERTS}/cert.pem")
    if restored:  # 3.2 and later: it stays as it is, its names too
        names = list(dict.fromkeys([*sorted(pki.names_in(restored)), *sans]))
    files = files | state.node_files(files, hostname, names)
    with engine.Mounted(ucp.image("agent"), VOLUMES) as volumes:
        volumes.write(files)
    node = engine.call("GET", f"/nodes/{swarm['NodeID']}")
    node["Spec"]["Labels"] = (node["Spec"].get("Labels") or {}) | {"com.docker.ucp.SANs": ",".join(names)}
    engine.call("POST", f"/nodes/{swarm['NodeID']}/update?version={node['Version']['Index']}", node["Spec"])
    if fresh:
        _configs(ucp, state.settings(files)["license"])
        call.log.info("Deploying UCP Service")
    if call.switch("install-fails"):
        part = ucp.parts(True)[0]
        engine.run(part.name, ucp.spec(part))
        call.log.error('Unable to successfully setup local node. Run "docker logs ucp-reconcile" for more details')
        call.log.fatal("reconcile exited with non-zero status: 1")
    _signer("")
    for spec in ucp.services():
        engine.call("POST", "/services/create", spec)

    def ready() -> bool:
        found = {entry["name"]: entry for entry in engine.containers()}
        done = found.get(agent.RECONCILE, {})
        up = all(found.get(part.name, {}).get("State") == "running" for part in ucp.parts(True))
        return up and done.get("State") == "exited" and "Exited (0)" in done.get("Status", "")

    if not _agent_works(ucp, ready):
        call.log.error('Unable to successfully setup local node. Run "docker logs ucp-reconcile" for more details')
        call.log.fatal("reconcile exited with non-zero status: 1")


def _agent_works(ucp: Ucp, ready: Any) -> bool:
    """Reconcile this node at once: its agent leaves it alone while a container named `ucp` runs."""
    engine.remove(agent.RECONCILE)
    spec = {
        "Image": ucp.image("agent"), "Entrypoint": [*PROGRAM, "reconcile"], "Env": ucp.environment,
        "Labels": ucp.labels, "HostConfig": {"Binds": ["/var/run/docker.sock:/var/run/docker.sock"]},
    }  # fmt: skip
    engine.run(agent.RECONCILE, spec)
    return _wait(ready, 90)


def _configs(ucp: Ucp, licence: str) -> None:
    from base64 import b64encode

    wanted = {"com.docker.license-1": licence.encode()} if licence else {}
    if ucp.number < (3, 1):
        wanted["com.docker.ucp.config-1"] = b'[auth]\n  default_new_user_role = "restrictedcontrol"\n'
    there = {entry["Spec"]["Name"] for entry in engine.call("GET", "/configs")}
    for name, data in wanted.items():
        if name not in there:
            spec = {"Name": name, "Labels": ucp.labels, "Data": b64encode(data).decode()}
            engine.call("POST", "/configs/create", spec)


def _signer(url: str) -> None:
    """Let the Swarm's certificates be signed at a URL, or ("") by the Swarm itself."""
    for _ in range(5):
        swarm = engine.call("GET", "/swarm")
        spec = swarm["Spec"]
        spec["CAConfig"]["ExternalCAs"] = [{"Protocol": "cfssl", "URL": url}] if url else []
        try:
            engine.call("POST", f"/swarm/update?version={swarm['Version']['Index']}", spec)
            return
        except EngineError as error:
            if "out of sequence" not in str(error):
                raise
    raise EngineError(0, "the Swarm changes all the time")


def _remove_services() -> None:
    """Remove all services of UCP; the uninstaller's last, as it holds back the agents until they are gone."""
    ours = {s["ID"] for s in engine.call("GET", "/services") if s["Spec"]["Name"].startswith("ucp-")}
    last = {s["ID"] for s in engine.call("GET", "/services") if s["Spec"]["Name"] == "ucp-uninstall-agent"}
    for service in ours - last:
        _drop_service(service)

    def gone() -> bool:
        up = {node["ID"] for node in engine.call("GET", "/nodes") if node["Status"]["State"] == "ready"}
        tasks = [task for task in engine.call("GET", "/tasks") if task["ServiceID"] in ours - last]
        return not any(task["Status"]["State"] == "running" and task.get("NodeID") in up for task in tasks)

    _wait(gone, 20)
    for service in last:
        _drop_service(service)


def _drop_service(name: str) -> None:
    engine.find("DELETE", f"/services/{name}")


def _wait_removed(seconds: float) -> bool:
    """Wait for the uninstaller on each node that is up; whether it did not end."""

    def done() -> bool:
        up = {node["ID"] for node in engine.call("GET", "/nodes") if node["Status"]["State"] == "ready"}
        tasks = engine.filtered("/tasks", {"service": ["ucp-uninstall-agent"]})
        return up <= {task["NodeID"] for task in tasks if task["Status"]["State"] == "complete"}

    return not _wait(done, seconds)


def _wait(ready: Any, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if ready():
            return True
        time.sleep(0.3)
    return False


def _fingerprint(ucp: Ucp) -> str:
    with engine.Mounted(ucp.image("agent"), [SERVER_CERTS]) as volumes:
        return pki.fingerprint(state.volume(volumes.read(), SERVER_CERTS)["cert.pem"])
