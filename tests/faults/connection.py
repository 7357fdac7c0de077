"""One connection through the proxy."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from .frames import Splitter, Statements
from .triggers import Action, Capture, Direction

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from .frames import Frame, Request
    from .triggers import Controls, Trigger

    Step = Callable[[], Coroutine[None, None, None]]

Target = tuple[str, int] | Path
_CHUNK = 1 << 16
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def abort(side: socket.socket) -> None:
    """Close a socket at once: by a reset, where it is TCP. Whoever waits on it must be cancelled.

    The loop is told first: the next socket may get the same number.
    """
    if side.fileno() < 0:
        return
    loop = asyncio.get_running_loop()
    loop.remove_reader(side)
    loop.remove_writer(side)
    with contextlib.suppress(OSError):
        side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    side.close()


class Connection:
    """A client, a server yet to be connected to, and what goes between them."""

    def __init__(self, client: socket.socket, target: Target, controls: Controls) -> None:
        family = socket.AF_UNIX if isinstance(target, Path) else socket.AF_INET
        self._client = client
        self._server = socket.socket(family)
        self._target = str(target) if isinstance(target, Path) else target
        for side in (self._client, self._server):
            side.setblocking(False)
            if side.family == socket.AF_INET:
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._controls = controls
        self._requests = Splitter(typed=False)
        self._replies = Splitter(typed=True)
        self._statements = Statements()
        self._capture: Capture | None = None
        self._asked_for_encryption = False
        self._opaque = False
        self._cycles_asked = 0
        self._cycles_answered = 0
        self._work: tuple[asyncio.Task[None], ...] = ()
        self._stopped = False
        self._closed = asyncio.Event()

    async def run(self) -> None:
        """Connect, then carry bytes both ways until both sides have ended."""
        try:
            await self._do(self._connect)
            await self._do(self._carry_requests, self._carry_replies)
            if self._stopped:
                await self._closed.wait()
        finally:
            self.cut()

    def cut(self) -> None:
        """Abort both sides at once."""
        self._stop()
        abort(self._client)
        abort(self._server)
        self._closed.set()

    def half_open(self) -> None:
        """Close the server's side and leave the client's side open, with nobody behind it."""
        self._stop()
        abort(self._server)

    def _stop(self) -> None:
        self._stopped = True
        for task in self._work:
            task.cancel()

    async def _do(self, *steps: Step) -> None:
        if self._stopped:
            return
        self._work = tuple(asyncio.create_task(self._guarded(step)) for step in steps)
        await asyncio.wait(self._work)
        for task in self._work:
            if not task.cancelled():
                task.result()

    async def _guarded(self, step: Step) -> None:
        try:
            await step()
        except OSError:
            self.cut()
        except Exception:
            self.cut()
            raise

    async def _connect(self) -> None:
        await asyncio.get_running_loop().sock_connect(self._server, self._target)

    async def _carry_requests(self) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(self._client, _CHUNK):
            if self._opaque:
                await self._send(data, Direction.TO_SERVER)
            else:
                await self._forward_requests(data)
        self._server.shutdown(socket.SHUT_WR)

    async def _forward_requests(self, data: bytes) -> None:
        ready = bytearray()
        for frame in self._requests.feed(data):
            request = self._statements.note(frame)
            trigger = self._controls.trigger_for(request)
            if trigger is not None and request is not None:
                await self._send(bytes(ready), Direction.TO_SERVER)
                ready.clear()
                await self._begin(trigger, request)
            self._follow(frame)
            ready += frame.raw
        await self._send(bytes(ready), Direction.TO_SERVER)

    def _follow(self, frame: Frame) -> None:
        self._cycles_asked += frame.ends_cycle
        self._controls.figures.cancel_requests += frame.cancels
        if frame.asks_for_encryption:
            self._asked_for_encryption = True
        else:
            self._requests.typed = True

    async def _begin(self, trigger: Trigger, request: Request) -> None:
        if trigger.action is Action.CUT_BEFORE:
            self.cut()
            await asyncio.sleep(0)  # where the cancellation of this very task comes in
        elif trigger.action is Action.HOLD:
            await trigger.released.wait()
        elif self._capture is None:
            self._capture = Capture(trigger, request.stage, self._cycles_asked)

    async def _carry_replies(self) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(self._server, _CHUNK):
            plain = await self._answer_on_encryption(data)
            if self._opaque:
                await self._send(plain, Direction.TO_CLIENT)
            else:
                await self._forward_replies(plain)
        if self._capture is not None:
            self.cut()
        else:
            await self._send(self._replies.rest(), Direction.TO_CLIENT)
            self._client.shutdown(socket.SHUT_WR)

    async def _answer_on_encryption(self, data: bytes) -> bytes:
        """Pass the one byte on; return what follows it. If it is a yes, all else is opaque."""
        if not self._asked_for_encryption:
            return data
        self._asked_for_encryption = False
        self._opaque = data[:1] in {b"S", b"G"}
        await self._send(data[:1], Direction.TO_CLIENT)
        return data[1:]

    async def _forward_replies(self, data: bytes) -> None:
        ready = bytearray()
        for frame in self._replies.feed(data):
            capture = self._capture
            if capture is None or not capture.keeps(frame, self._cycles_answered):
                ready += frame.raw
            else:
                capture.reply += frame.raw
            if capture is not None and capture.ends_with(frame, self._cycles_answered):
                await self._send(bytes(ready), Direction.TO_CLIENT)
                ready.clear()
                await self._finish(capture)
            self._cycles_answered += frame.kind == b"Z"
        await self._send(bytes(ready), Direction.TO_CLIENT)

    async def _finish(self, capture: Capture) -> None:
        capture.trigger.answered.set()
        if capture.trigger.action is Action.HOLD_REPLY:
            await capture.trigger.released.wait()
            self._capture = None
            await self._send(bytes(capture.reply), Direction.TO_CLIENT)
            return
        if capture.trigger.action is Action.CUT_BEHIND:
            self._capture = None
            await self._send(bytes(capture.reply), Direction.TO_CLIENT)
            self._client.shutdown(socket.SHUT_WR)
            return
        if capture.trigger.action is Action.CUT_WITHIN:
            half = len(capture.reply) // 2
            await self._send(bytes(capture.reply[:half]), Direction.TO_CLIENT)
        self.cut()
        await asyncio.sleep(0)  # where the cancellation of this very task comes in

    async def _send(self, data: bytes, direction: Direction) -> None:
        loop = asyncio.get_running_loop()
        target = self._server if direction is Direction.TO_SERVER else self._client
        while data:
            size = 1 if self._controls.trickle else len(data)
            piece, data = data[:size], data[size:]
            await self._controls.pass_gate(direction, len(piece))
            await loop.sock_sendall(target, piece)
            if data:
                await asyncio.sleep(0)  # lets the other side read the piece on its own
