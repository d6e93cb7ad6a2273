"""A load balancer before the replicas of DTR, on the machine itself: TCP passed on as it is, to who listens."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self

from tests.lab.host import Host


class Balancer:
    """Listens on the machine's own address in a lab.

    Attributes:
        url: https://HOST:PORT, reached from this machine and from the lab's hosts.
    """

    def __init__(self, address: str, *hosts: Host, port: int = 443) -> None:
        self._hosts = list(hosts)
        self._turn = 0
        self._listener = socket.create_server((address, 0))
        self._port = port
        self.url = f"https://{address}:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # A shutdown wakes the accept that waits; a close alone would not.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def lead_to(self, *hosts: Host) -> None:
        """What its operator tells it: from now on these replicas and no others."""
        self._hosts = list(hosts)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        hosts, self._turn = self._hosts, self._turn + 1
        with client:
            for place in range(len(hosts)):
                host = hosts[(self._turn + place) % len(hosts)]
                try:
                    there = socket.create_connection((host.address, self._port), timeout=2)
                except OSError:
                    continue
                there.settimeout(None)
                with there:
                    back = threading.Thread(target=_copy, args=(there, client), daemon=True)
                    back.start()
                    _copy(client, there)
                    back.join()
                return


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
