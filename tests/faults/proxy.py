"""A proxy in front of a PostgreSQL server that breaks connections in exactly chosen moments."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qs, urlsplit, urlunsplit

from .connection import Connection, Target, abort
from .frames import Stage
from .triggers import Action, Controls, Direction, Trigger

if TYPE_CHECKING:
    import re

    from .triggers import Figures

__all__ = ["Action", "Direction", "Proxy", "Stage", "Trigger"]

_HOST = "127.0.0.1"


class Proxy:
    """Listens on 127.0.0.1 and forwards to a TCP address or, given a path, to a Unix socket.

    Everything can be changed while connections are open. Bytes of a TLS connection go through
    unread: triggers do not see its requests.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._controls = Controls()
        self._listener: socket.socket | None = None
        self._reserved = socket.socket()
        self._connections: dict[asyncio.Task[None], Connection] = {}
        self._failures: list[BaseException] = []
        self.port = 0
        self.reset_new = False  # new connections are accepted and reset at once

    @classmethod
    def in_front_of(cls, url: str) -> Self:
        """Build a proxy for the server of a URL, whose form may be `user@/db?host=/folder`."""
        parts = urlsplit(url)
        options = parse_qs(parts.query)
        host = parts.hostname or options.get("host", ["localhost"])[0]
        port = parts.port or int(options.get("port", ["5432"])[0])
        return cls(Path(host, f".s.PGSQL.{port}") if host.startswith("/") else (host, port))

    async def __aenter__(self) -> Self:
        """Listen on a port that the system chooses."""
        # Stays bound without listening, so that nobody gets the port while it is refused.
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind((_HOST, 0))
        self.port = self._reserved.getsockname()[1]
        self.accept()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Abort everything; raise if the proxy itself went wrong."""
        self.refuse()
        self._reserved.close()
        self.cut_all()
        await asyncio.gather(*self._connections, return_exceptions=True)
        if self._failures:
            raise self._failures[0]

    @property
    def figures(self) -> Figures:
        """Connections, cancel requests and bytes so far."""
        return self._controls.figures

    @property
    def open_connections(self) -> int:
        """How many connections there are now, half-open ones included."""
        return len(self._connections)

    def url_through(self, url: str) -> str:
        """Return a URL with this proxy's host and port, and all else as it is."""
        parts = urlsplit(url)
        user, at, _ = parts.netloc.rpartition("@")
        kept = [
            option
            for option in parts.query.split("&")
            if option.partition("=")[0] not in {"host", "port"}
        ]
        netloc = f"{user}{at}{_HOST}:{self.port}"
        return urlunsplit(parts._replace(netloc=netloc, query="&".join(kept)))

    def when(
        self,
        pattern: str | re.Pattern[str],
        action: Action,
        *,
        stage: Stage = Stage.EXECUTE,
        times: int | None = 1,
    ) -> Trigger:
        """Act on the next requests whose SQL has a match; None means on all of them.

        Executed means sent as a simple query or as the execution of a prepared statement,
        wherever that was parsed. Letter case does not matter, unless the pattern is compiled.
        """
        trigger = Trigger(pattern, action, stage, times)
        self._controls.triggers.append(trigger)
        return trigger

    def clear(self) -> None:
        """Forget all triggers, and release what they hold."""
        for trigger in self._controls.triggers:
            trigger.release()
        self._controls.triggers.clear()

    def cut_all(self) -> None:
        """Abort all connections now, with a reset to both sides."""
        for connection in self._connections.values():
            connection.cut()

    def half_open(self) -> None:
        """Leave the clients of all connections with nobody behind their open connection."""
        for connection in self._connections.values():
            connection.half_open()

    def stall(self, *directions: Direction) -> None:
        """Hold all bytes back, of one direction or of both, of all connections."""
        for direction in directions or Direction:
            self._controls.gates[direction].clear()

    def release(self, *directions: Direction) -> None:
        """Let bytes pass again, those held back first."""
        for direction in directions or Direction:
            self._controls.gates[direction].set()

    def held(self, direction: Direction) -> int:
        """Return how many bytes are held back; what the proxy has not read yet is not counted."""
        return self._controls.held[direction]

    @property
    def trickle(self) -> bool:
        """Whether bytes go through one at a time."""
        return self._controls.trickle

    @trickle.setter
    def trickle(self, on: bool) -> None:
        self._controls.trickle = on

    def refuse(self) -> None:
        """Stop listening: to connect is refused by the system. Open connections go on."""
        if self._listener is not None:
            abort(self._listener)
            self._listener = None

    def accept(self) -> None:
        """Listen, again if it has been refused."""
        if self._listener is None:
            self._listener = socket.socket()
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind((_HOST, self.port))
            self._listener.listen(1024)
            self._listener.setblocking(False)
            asyncio.get_running_loop().add_reader(self._listener, self._accept_one, self._listener)

    def _accept_one(self, listener: socket.socket) -> None:
        try:
            client, _ = listener.accept()
        except OSError:  # it has gone away again
            return
        self.figures.connections += 1
        if self.reset_new:
            abort(client)
            return
        connection = Connection(client, self._target, self._controls)
        task = asyncio.create_task(connection.run())
        self._connections[task] = connection
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        del self._connections[task]
        if not task.cancelled() and (failure := task.exception()) is not None:
            self._failures.append(failure)
