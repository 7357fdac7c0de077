"""When a transaction ran its last statement, and what that told of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Pulse:
    """When a transaction ran its last statement, savepoints' included.

    Attributes:
        active: when one last ended, by the monotonic clock.
        running: whether one is running.
        lent: the user had the connection in hands, and may be running one on it.
        changed: one of them can have changed the session.
        xid: the transaction's id, where a statement has told it.
    """

    def __init__(self) -> None:
        self.active = time.monotonic()
        self.running = False
        self.lent = False
        self.changed = False
        self.xid: str | None = None

    @contextmanager
    def beat(self) -> Iterator[None]:
        """Note that a statement runs meanwhile."""
        self.running = True
        try:
            yield
        finally:
            self.running = False
            self.active = time.monotonic()

    @property
    def idle(self) -> float:
        """For how many seconds it has surely run none."""
        return 0 if self.running or self.lent else time.monotonic() - self.active
