"""What the proxy does to a connection, and when."""

from __future__ import annotations

import asyncio
import enum
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .frames import Stage

if TYPE_CHECKING:
    from .frames import Frame, Request


class Direction(enum.Enum):
    """Which way bytes go."""

    TO_SERVER = enum.auto()
    TO_CLIENT = enum.auto()


class Action(enum.Enum):
    """What happens at a request that a trigger waits for."""

    CUT_BEFORE = enum.auto()  # the server does not get it
    CUT_AFTER = enum.auto()  # the server has answered it, the client gets no byte of the answer
    CUT_WITHIN = enum.auto()  # the server has answered it, the client gets half of the answer
    CUT_BEHIND = enum.auto()  # the client gets all of the answer, and the end right behind it
    HOLD = enum.auto()  # the server does not get it until it is released
    HOLD_REPLY = enum.auto()  # the server has answered it, the client waits until the release

    @property
    def awaits_reply(self) -> bool:
        """Tell whether the request goes to the server as usual."""
        return self in {Action.CUT_AFTER, Action.CUT_WITHIN, Action.CUT_BEHIND, Action.HOLD_REPLY}


class Trigger:
    """A request that is waited for, and what becomes of it.

    `requested` is set when it has arrived at the proxy, `answered` when all of the server's
    answer has, of which the client has not got a byte by then. `count` tells how often.
    """

    def __init__(
        self, pattern: str | re.Pattern[str], action: Action, stage: Stage, times: int | None
    ) -> None:
        self._pattern = re.compile(pattern, re.IGNORECASE) if isinstance(pattern, str) else pattern
        self._stage = stage
        self._times = times
        self.action = action
        self.count = 0
        self.requested = asyncio.Event()
        self.answered = asyncio.Event()
        self.released = asyncio.Event()

    def release(self) -> None:
        """Let go what is held, and hold nothing any more."""
        self.released.set()

    def takes(self, request: Request) -> bool:
        """Tell whether this is such a request; it is used up by that, unless it is for always."""
        if self.count == self._times or request.stage is not self._stage:
            return False
        if not self._pattern.search(request.sql):
            return False
        self.count += 1
        self.requested.set()
        return True


@dataclass
class Capture:
    """The reply to one request, kept from the client until it is complete."""

    trigger: Trigger
    stage: Stage
    cycle: int  # how many ReadyForQuery the client has got before the one of this reply
    reply: bytearray = field(default_factory=bytearray)

    def keeps(self, frame: Frame, cycles: int) -> bool:
        """Tell whether a frame belongs to the reply; an invitation to COPY goes through."""
        return cycles >= self.cycle and frame.kind not in {b"G", b"W"}

    def ends_with(self, frame: Frame, cycles: int) -> bool:
        """Tell whether a frame that is kept is the last one of the reply.

        The client may wait for the answer to its Parse before it goes on to a Sync.
        """
        last = {b"1", b"E", b"Z"} if self.stage is Stage.PARSE else {b"Z"}
        return self.keeps(frame, cycles) and frame.kind in last


@dataclass
class Figures:
    """What a proxy has seen; all of it is counted when it happens, none of it goes back."""

    connections: int = 0
    cancel_requests: int = 0
    bytes_to_server: int = 0
    bytes_to_client: int = 0


class Controls:
    """What all connections of one proxy obey."""

    def __init__(self) -> None:
        self.figures = Figures()
        self.trickle = False
        self.triggers: list[Trigger] = []
        self.gates = {direction: asyncio.Event() for direction in Direction}
        self.held = dict.fromkeys(Direction, 0)
        for gate in self.gates.values():
            gate.set()

    def trigger_for(self, request: Request | None) -> Trigger | None:
        """Return the first trigger that waits for a request, which may use it up."""
        if request is None:
            return None
        return next((trigger for trigger in self.triggers if trigger.takes(request)), None)

    async def pass_gate(self, direction: Direction, size: int) -> None:
        """Wait while a direction is stalled; bytes that wait are counted."""
        self.held[direction] += size
        try:
            await self.gates[direction].wait()
        finally:
            self.held[direction] -= size
        if direction is Direction.TO_SERVER:
            self.figures.bytes_to_server += size
        else:
            self.figures.bytes_to_client += size
