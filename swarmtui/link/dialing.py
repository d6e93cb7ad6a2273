"""Opens SSH connections: configuration, jump hosts, host keys, keys and passphrases.

A person is only ever asked between two attempts, never in the middle of one: so questions take no time from the
handshake, and a server does not drop us while somebody looks for a passphrase. A host that is known and lets us in
costs one attempt.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
from asyncssh.public_key import get_default_certificate_algs, get_default_public_key_algs

from swarmtui.link.hostkeys import (
    HostKey,
    HostKeyQuestion,
    Known,
    append,
    fingerprint,
    known_as,
    look_up,
)
from swarmtui.link.person import PasswordPerson, Person, RememberingPerson
from swarmtui.link.quick import acknowledge_at_once
from swarmtui.link.reasons import LinkError, Reason
from swarmtui.link.route import Route, route_to
from swarmtui.link.ssh_settings import SshSettings
from swarmtui.link.target import SshTarget
from swarmtui.link.userkeys import Locked, load_keys, pairs_of, public_halves
from swarmtui.model.text import one_line

AUTH_PATIENCE = 3
"""Logging in may take this many times the connect timeout: directories are slow, hardware keys wait for a touch."""
TRIES = 3
"""How often a passphrase or a password may be wrong."""
MAX_JUMPS = 8


@dataclass(slots=True)
class _Attempt:
    """What one attempt may use, and what it learns."""

    keys: Sequence[Any]
    password: str | None = None
    connection: asyncssh.SSHClientConnection | None = None
    shown: asyncssh.SSHKey | None = None
    takes_password: bool = False
    logging_in: Callable[[], None] = lambda: None


class _Exactly(list[Any]):
    """The keys to offer. Never false: for an empty list asyncssh goes and loads the default files by itself."""

    def __bool__(self) -> bool:
        return True


class _Client(asyncssh.SSHClient):
    """Listens to one attempt; never decides anything by itself."""

    def __init__(self, attempt: _Attempt) -> None:
        self._attempt = attempt

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self._attempt.connection = conn
        acknowledge_at_once(conn)

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self._attempt.shown = key
        return False

    def begin_auth(self, username: str) -> None:
        self._attempt.logging_in()

    def password_auth_requested(self) -> str | None:
        self._attempt.takes_password = True
        return None

    def kbdint_auth_requested(self) -> Any:
        self._attempt.takes_password = True
        # asyncssh then answers a question for a password by itself, if it has one.
        return NotImplemented


class Dialer:
    """Opens connections with one set of settings, asking one person."""

    def __init__(self, settings: SshSettings, person: Person) -> None:
        self._settings = settings
        self._person = person

    async def dial(
        self, target: SshTarget, tunnel: asyncssh.SSHClientConnection | None = None, behind: Sequence[SshTarget] = ()
    ) -> tuple[asyncssh.SSHClientConnection, str]:
        """Opens a connection, through the jump hosts that the configuration names.

        Args:
            tunnel: an open connection to go through, in place of the configured jump hosts.
            behind: the targets for which this one is a jump host.

        Returns:
            The connection and its label, "user@host". Closing it closes its jump hosts too.

        Raises:
            LinkError: there is no way in.
        """
        try:
            route = await asyncio.to_thread(route_to, target, self._settings)
        except (ValueError, OSError) as error:
            raise LinkError(Reason.SSH_CONFIG, str(target), host=target.host, because=_plain(error)) from error
        if len(behind) > MAX_JUMPS:
            raise LinkError(Reason.SSH_CONFIG, route.label, host=route.host, because="its jump hosts go in a circle")
        opened = tunnel
        if tunnel is None:
            for jump in route.jumps:
                # "Host *" with a ProxyJump matches the jump host itself: that one is reached directly.
                if jump in behind or jump.host == target.host:
                    continue
                try:
                    opened, _ = await self.dial(jump, opened, (*behind, target))
                except BaseException:
                    if opened is not None:
                        opened.abort()
                    raise
        try:
            connection = await self._through(route, opened)
        except BaseException:
            if opened is not None and opened is not tunnel:
                opened.abort()
            raise
        if opened is not None:
            connection.set_tunnel(opened)
        return connection, route.label

    async def _through(self, route: Route, tunnel: asyncssh.SSHClientConnection | None) -> asyncssh.SSHClientConnection:
        password_name = f"{route.label}:{route.port}"
        memory = self._settings.memory
        denied = LinkError(Reason.AUTH_FAILED, route.label, host=route.target.host, user=route.user)
        locked, opened, wrong = Locked(), set[Path](), 0
        keys: Sequence[Any] = await asyncio.to_thread(load_keys, route, memory.keys, locked)
        while True:
            attempt = _Attempt(keys, memory.passwords.get(password_name))
            try:
                return await self._attempt(route, tunnel, attempt)
            except asyncssh.HostKeyNotVerifiable as error:
                await self._judge_host_key(route, attempt.shown, error)
            except asyncssh.PermissionDenied as error:
                if attempt.password is not None:
                    memory.passwords.pop(password_name, None)
                    wrong += 1
                path = next((path for path in (*locked.wanted, *locked.opaque) if path not in opened), None)
                if path is not None:
                    opened.add(path)
                    key, why = await self._unlock(path)
                    if key is not None:
                        keys = pairs_of(key, path)
                        continue
                    denied = LinkError(
                        Reason.KEY_ENCRYPTED, route.label, why or None, host=route.target.host, path=str(path)
                    )
                if not (attempt.takes_password and wrong < TRIES and await self._ask_password(route, password_name)):
                    raise denied from error

    async def _attempt(
        self, route: Route, tunnel: asyncssh.SSHClientConnection | None, attempt: _Attempt
    ) -> asyncssh.SSHClientConnection:
        settings = self._settings
        loop = asyncio.get_running_loop()
        known, algorithms = await asyncio.to_thread(self._known, route)
        options: dict[str, Any] = {}
        if route.identities_only:
            identities = [pair.public_data for pair in attempt.keys] + await asyncio.to_thread(public_halves, route)
            options["agent_identities"] = identities
            if not identities:
                options["agent_path"] = ""
        phase = "connect"
        try:
            async with asyncio.timeout(settings.connect_timeout) as limit:

                def logging_in() -> None:
                    nonlocal phase
                    phase = "login"
                    limit.reschedule(loop.time() + AUTH_PATIENCE * settings.connect_timeout)

                attempt.logging_in = logging_in
                return await asyncssh.connect(
                    route.target.host,
                    route.target.port or (),
                    config=route.config or None,
                    username=route.user,
                    tunnel=tunnel,
                    client_factory=lambda: _Client(attempt),
                    known_hosts=known,
                    server_host_key_algs=algorithms,
                    client_keys=_Exactly(attempt.keys),
                    password=attempt.password,
                    agent_forwarding=False,
                    connect_timeout=None,
                    login_timeout=0,
                    keepalive_interval=settings.keepalive_interval,
                    keepalive_count_max=settings.keepalive_count_max,
                    **options,
                )
        except (asyncssh.HostKeyNotVerifiable, asyncssh.PermissionDenied):
            raise
        except TimeoutError as error:
            what = None if phase == "connect" else f"{route.label} answers, but does not finish the login."
            seconds = settings.connect_timeout if phase == "connect" else AUTH_PATIENCE * settings.connect_timeout
            raise LinkError(Reason.TIMEOUT, route.label, what, host=route.host, seconds=f"{seconds:g}") from error
        except asyncssh.ConnectionLost as error:
            raise _cut_off(route, attempt.connection) from error
        except (OSError, asyncssh.Error, ValueError) as error:
            raise _explain(error, route, tunnel) from error

    # -- host keys -----------------------------------------------------------------------------------------------

    def _known(self, route: Route) -> tuple[Any, list[str]]:
        own, plain = look_up(route.known_hosts, route.known_as, route.known_port)
        accepted = self._settings.memory.host_keys
        name = known_as(route.known_as, route.known_port)
        remembered = [HostKey("", blob) for kept, blob in accepted if kept == name]
        trusted = _parsed([*own.keys, *plain.keys]) + [_key_of(key.blob) for key in remembered]
        authorities = _parsed([*own.authorities, *plain.authorities])
        revoked = _parsed([*own.revoked, *plain.revoked])
        # The kinds that are known come first, so that the server shows one of those; the others after them, so that a
        # server that has them no more is seen for what it is: changed.
        order: list[bytes] = list(get_default_certificate_algs()) if authorities else []
        for key in trusted:
            order += key.sig_algorithms
        order += get_default_public_key_algs()
        algorithms = list(dict.fromkeys(algorithm.decode() for algorithm in order))
        return (lambda host, addr, port: (trusted, authorities, revoked)), algorithms

    async def _judge_host_key(
        self, route: Route, shown: asyncssh.SSHKey | None, error: asyncssh.HostKeyNotVerifiable
    ) -> None:
        """Returns when the key shown may be trusted from now on."""
        host, settings = route.target.host, self._settings
        if shown is None:
            if "revoked" in str(error):
                raise LinkError(Reason.HOST_KEY_REVOKED, route.label, host=host) from error
            raise LinkError(
                Reason.HOST_KEY_UNKNOWN, route.label, f"The host certificate of {host} is not valid: {_plain(error)}."
            ) from error
        key = HostKey(shown.get_algorithm(), shown.public_data)
        print_ = fingerprint(key.blob)
        async with settings.memory.asking:
            own, _ = await asyncio.to_thread(look_up, route.known_hosts, route.known_as, route.known_port)
            name = known_as(route.known_as, route.known_port)
            if key.blob in (known.blob for known in own.keys) or (name, key.blob) in settings.memory.host_keys:
                return  # accepted meanwhile, for another connection
            if own.keys:
                raise _changed(route, own, print_) from error
            file = route.known_hosts[0] if route.known_hosts else None
            question = HostKeyQuestion(route.host, route.port, key.kind, print_, str(file or "this session's memory"))
            if not await self._person.trust_host_key(question):
                raise LinkError(
                    Reason.HOST_KEY_UNKNOWN, route.label, host=host, fingerprint=f"{key.kind} {print_}"
                ) from error
            settings.memory.host_keys.add((name, key.blob))
            if file is not None:
                try:
                    await asyncio.to_thread(append, file, route.known_as, route.known_port, key)
                except OSError:
                    # Trusted for this session; the question comes again the next time.
                    pass

    # -- keys, passphrases, passwords ----------------------------------------------------------------------------

    async def _unlock(self, path: Path) -> tuple[Any, str]:
        """Asks for the passphrase of an encrypted key; returns the key, or None and a sentence that says why not."""
        memory = self._settings.memory
        async with memory.asking:
            key = memory.keys.get(str(path))
            for _ in range(TRIES):
                if key is not None:
                    break
                passphrase = await self._person.passphrase(str(path))
                if passphrase is None:
                    return None, ""
                try:
                    key = await asyncio.to_thread(asyncssh.read_private_key, path, passphrase)
                except (ValueError, OSError):
                    continue
                if isinstance(self._person, RememberingPerson):
                    await self._person.passphrase_worked(str(path))
            if key is None:
                return None, f"The passphrase given for {path} is wrong."
            memory.keys[str(path)] = key
            return key, ""

    async def _ask_password(self, route: Route, name: str) -> bool:
        memory = self._settings.memory
        if not isinstance(self._person, PasswordPerson):
            return False
        async with memory.asking:
            password = await self._person.password(route.label)
        if password is None:
            return False
        memory.passwords[name] = password
        return True


def _parsed(keys: Sequence[HostKey]) -> list[asyncssh.SSHKey]:
    parsed = []
    for key in keys:
        try:
            parsed.append(asyncssh.import_public_key(key.line))
        except ValueError:
            # A kind of key that this library does not know cannot be shown to us either.
            continue
    return parsed


def _changed(route: Route, known: Known, print_: str) -> LinkError:
    return LinkError(
        Reason.HOST_KEY_CHANGED,
        route.label,
        host=route.target.host,
        fingerprint=print_,
        path=str(known.file),
        known_as=known_as(route.known_as, route.known_port),
    )


def _cut_off(route: Route, connection: asyncssh.SSHClientConnection | None) -> LinkError:
    if connection is not None and connection.get_extra_info("server_version") is not None:
        what = f"{route.host} closed the connection before the login was done."
        return LinkError(Reason.CONNECTION_LOST, route.label, what, "Its log may tell: journalctl -u ssh.")
    return LinkError(
        Reason.CONNECTION_LOST,
        route.label,
        f"{route.host} port {route.port} closed the connection without a word of SSH.",
        "Is that the port of sshd? If it is, sshd is overloaded (MaxStartups) or refuses this address.",
    )


def _explain(error: Exception, route: Route, tunnel: asyncssh.SSHClientConnection | None) -> LinkError:
    facts = {"host": route.host, "port": str(route.port), "because": _plain(error)}
    if isinstance(error, asyncssh.ChannelOpenError):
        jump = str(tunnel.get_extra_info("host")) if tunnel is not None else route.host
        return LinkError(Reason.JUMP_REFUSED, route.label, **facts, jump=jump)
    if isinstance(error, asyncssh.KeyExchangeFailed):
        return LinkError(Reason.SSH_ALGORITHMS, route.label, **facts)
    if isinstance(error, asyncssh.ProtocolError | asyncssh.ProtocolNotSupported):
        return LinkError(Reason.NOT_SSH, route.label, **facts)
    if isinstance(error, asyncssh.Error):
        return LinkError(Reason.CONNECTION_LOST, route.label, **facts)
    if isinstance(error, socket.gaierror):
        return LinkError(Reason.NAME_UNKNOWN, route.label, **facts)
    if isinstance(error, OSError):
        # Several addresses were tried: asyncio then raises one OSError without a number, and the numbers in its text.
        if error.errno == errno.ECONNREFUSED or f"[Errno {errno.ECONNREFUSED}]" in str(error):
            return LinkError(Reason.CONNECTION_REFUSED, route.label, **facts)
        if isinstance(error, ConnectionError):
            return LinkError(Reason.CONNECTION_LOST, route.label, **facts)
        return LinkError(Reason.UNREACHABLE, route.label, **facts)
    return LinkError(Reason.SSH_CONFIG, route.label, **facts)


def _plain(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return one_line(error.strerror)
    return one_line(str(error)).rstrip(".")


def _key_of(blob: bytes) -> asyncssh.SSHKey:
    return asyncssh.import_public_key(HostKey(_kind(blob), blob).line)


def _kind(blob: bytes) -> str:
    length = int.from_bytes(blob[:4], "big")
    return blob[4 : 4 + length].decode("ascii")
