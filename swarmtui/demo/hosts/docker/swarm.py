"""`docker swarm …`."""

from __future__ import annotations

from typing import Any

from swarmtui.demo.hosts.docker.base import Cli, CliError, Usage, options, verb
from swarmtui.demo.hosts.shell import Output

_UNLOCK_HINT = (
    "To unlock a swarm manager after it restarts, run the `docker swarm unlock`\n"
    "command and provide the following key:\n\n    {key}\n\n"
    "Please remember to store this key in a password manager, since without it you\n"
    "will not be able to restart the manager.\n"
)


async def _join_command(cli: Cli, role: str) -> str:
    swarm = await cli.get("/swarm")
    info = await cli.get("/info")
    token = swarm["JoinTokens"][role.capitalize()]
    own = info["Swarm"]["NodeID"]
    address = next(
        (m["Addr"] for m in info["Swarm"]["RemoteManagers"] or [] if m["NodeID"] == own),
        f"{info['Swarm']['NodeAddr']}:2377",
    )
    return f"    docker swarm join --token {token} {address}\n"


@verb("swarm init")
async def init(cli: Cli, words: list[str]) -> Output:
    given = options(
        words,
        ("advertise-addr", "listen-addr", "availability", "data-path-addr", "data-path-port", "cert-expiry"),
        ("autolock", "force-new-cluster"),
    )
    node = await cli.ask(
        "POST",
        "/swarm/init",
        {
            "ListenAddr": given.one("listen-addr", "0.0.0.0:2377"),
            "AdvertiseAddr": given.one("advertise-addr"),
            "ForceNewCluster": given.has("force-new-cluster"),
            "AutoLockManagers": given.has("autolock"),
            "Availability": given.one("availability", "active"),
            "Spec": {"EncryptionConfig": {"AutoLockManagers": given.has("autolock")}},
        },
    )
    text = (
        f"Swarm initialized: current node ({node}) is now a manager.\n\n"
        "To add a worker to this swarm, run the following command:\n\n"
        f"{await _join_command(cli, 'worker')}\n"
        "To add a manager to this swarm, run 'docker swarm join-token manager' and follow the instructions.\n\n"
    )
    if given.has("autolock"):
        text += _UNLOCK_HINT.format(key=(await cli.get("/swarm/unlockkey"))["UnlockKey"])
    return Output(out=text)


@verb("swarm join")
async def join(cli: Cli, words: list[str]) -> Output:
    given = options(words, ("token", "advertise-addr", "listen-addr", "availability", "data-path-addr"), ())
    if len(given.args) != 1:
        raise Usage('"docker swarm join" requires exactly 1 argument.')
    await cli.ask(
        "POST",
        "/swarm/join",
        {
            "ListenAddr": given.one("listen-addr", "0.0.0.0:2377"),
            "AdvertiseAddr": given.one("advertise-addr"),
            "RemoteAddrs": [given.args[0]],
            "JoinToken": given.one("token"),
            "Availability": given.one("availability", "active"),
        },
    )
    manager = (await cli.get("/info"))["Swarm"]["ControlAvailable"]
    return Output(out=f"This node joined a swarm as a {'manager' if manager else 'worker'}.\n")


@verb("swarm leave")
async def leave(cli: Cli, words: list[str]) -> Output:
    given = options(words, (), ("force",), "f=force")
    await cli.ask("POST", "/swarm/leave", force="1" if given.has("force") else "0")
    return Output(out="Node left the swarm.\n")


@verb("swarm join-token")
async def join_token(cli: Cli, words: list[str]) -> Output:
    given = options(words, (), ("rotate", "quiet"), "q=quiet")
    if len(given.args) != 1:
        raise Usage('"docker swarm join-token" requires exactly 1 argument.')
    role = given.args[0]
    if role not in ("worker", "manager"):
        raise CliError(f"unknown role {role}")
    text = ""
    if given.has("rotate"):
        await _update(cli, lambda spec: None, **{f"rotate{role.capitalize()}Token": "true"})
        text = f"Successfully rotated {role} join token.\n\n"
    if given.has("quiet"):
        return Output(out=(await cli.get("/swarm"))["JoinTokens"][role.capitalize()] + "\n")
    return Output(
        out=f"{text}To add a {role} to this swarm, run the following command:\n\n{await _join_command(cli, role)}\n"
    )


async def _update(cli: Cli, change: Any, **query: str) -> None:
    swarm = await cli.get("/swarm")
    spec = swarm["Spec"]
    change(spec)
    await cli.ask("POST", "/swarm/update", spec, version=str(swarm["Version"]["Index"]), **query)


@verb("swarm update")
async def update(cli: Cli, words: list[str]) -> Output:
    given = options(words, ("task-history-limit", "dispatcher-heartbeat", "cert-expiry"), ("autolock",))
    before = (await cli.get("/swarm"))["Spec"]["EncryptionConfig"]["AutoLockManagers"]

    def change(spec: Any) -> None:
        if "autolock" in given.values:
            spec["EncryptionConfig"]["AutoLockManagers"] = given.has("autolock")
        if given.one("task-history-limit"):
            spec["Orchestration"]["TaskHistoryRetentionLimit"] = int(given.one("task-history-limit"))

    await _update(cli, change)
    text = "Swarm updated.\n"
    if given.has("autolock") and not before:
        text += _UNLOCK_HINT.format(key=(await cli.get("/swarm/unlockkey"))["UnlockKey"])
    return Output(out=text)


@verb("swarm unlock")
async def unlock(cli: Cli, words: list[str]) -> Output:
    options(words, (), ())
    state = (await cli.get("/info"))["Swarm"]["LocalNodeState"]
    if state == "inactive":
        raise CliError("Error: This node is not part of a swarm")
    if state != "locked":
        raise CliError("Error: swarm is not locked")
    key = cli.context.stdin.decode("utf-8", "replace").strip()
    await cli.ask("POST", "/swarm/unlock", {"UnlockKey": key})
    return Output()


@verb("swarm unlock-key")
async def unlock_key(cli: Cli, words: list[str]) -> Output:
    given = options(words, (), ("rotate", "quiet"), "q=quiet")
    text = ""
    if given.has("rotate"):
        if not (await cli.get("/swarm"))["Spec"]["EncryptionConfig"]["AutoLockManagers"]:
            raise CliError("cannot rotate because autolock is not turned on")
        await _update(cli, lambda spec: None, rotateManagerUnlockKey="true")
        text = "Successfully rotated manager unlock key.\n\n"
    key = (await cli.get("/swarm/unlockkey"))["UnlockKey"]
    if not key:
        raise CliError("no unlock key is set")
    return Output(out=f"{key}\n" if given.has("quiet") else text + _UNLOCK_HINT.format(key=key))


@verb("swarm ca")
async def ca(cli: Cli, words: list[str]) -> Output:
    given = options(words, ("cert-expiry",), ("rotate", "detach", "quiet"), "d=detach q=quiet")
    if given.has("rotate"):

        def rotate(spec: Any) -> None:
            spec["CAConfig"]["ForceRotate"] = int(spec["CAConfig"].get("ForceRotate", 0)) + 1

        await _update(cli, rotate)
        while not given.has("detach") and (await cli.get("/swarm"))["RootRotationInProgress"]:
            await cli.context.world.kernel.sleep(0.5)
        if given.has("detach"):
            return Output()
    return Output(out=(await cli.get("/swarm"))["TLSInfo"]["TrustRoot"])
