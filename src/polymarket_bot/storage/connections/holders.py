"""Who holds a connection, and the figures of a pool."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass, field
from typing import Any

_PACKAGE = __name__.rpartition(".connections")[0]


@dataclass(frozen=True)
class Holder:
    """Who holds a connection.

    Attributes:
        task: the task's name.
        since: for how long, in seconds.
        where: file and line that opened the block; empty for a single statement.
    """

    task: str
    since: float
    where: str

    def __str__(self) -> str:
        place = f" at {self.where}" if self.where else ""
        return f"{self.task} for {self.since:.1f} s{place}"


@dataclass(frozen=True)
class PoolStats:
    """A pool's figures, those of psycopg_pool by their names there, and some more.

    Attributes:
        pool_min: connections that are kept.
        pool_max: connections at most.
        pool_size: connections that are open or being opened.
        pool_available: connections that nobody holds.
        requests_waiting: callers that wait for a connection.
        usage_ms: time that connections were held, in milliseconds.
        requests_num: connections asked for.
        requests_queued: those that had to wait.
        requests_wait_ms: time that they waited, in milliseconds.
        requests_errors: those that got none.
        returns_bad: connections that came back unusable.
        connections_num: connections that were opened, or tried to be.
        connections_ms: time that opening took, in milliseconds.
        connections_errors: attempts to open one that failed.
        connections_lost: connections that were found closed.
        queries: statements that were run through the database object.
        query_errors: those that failed.
        retries: statements and transactions that were run again.
        holders: who holds a connection now.
    """

    pool_min: int = 0
    pool_max: int = 0
    pool_size: int = 0
    pool_available: int = 0
    requests_waiting: int = 0
    usage_ms: int = 0
    requests_num: int = 0
    requests_queued: int = 0
    requests_wait_ms: int = 0
    requests_errors: int = 0
    returns_bad: int = 0
    connections_num: int = 0
    connections_ms: int = 0
    connections_errors: int = 0
    connections_lost: int = 0
    queries: int = 0
    query_errors: int = 0
    retries: int = 0
    holders: tuple[Holder, ...] = ()


@dataclass
class Counters:
    """What a pool counts; times in seconds."""

    usage: float = 0.0
    requests: int = 0
    queued: int = 0
    waited: float = 0.0
    request_errors: int = 0
    bad_returns: int = 0
    opened: int = 0
    opening: float = 0.0
    opening_errors: int = 0
    lost: int = 0
    queries: int = 0
    query_errors: int = 0
    retries: int = 0

    def figures(self, **present: Any) -> PoolStats:  # noqa: ANN401 - fields of PoolStats
        """Return the figures, with those of the present moment."""
        return PoolStats(
            usage_ms=int(self.usage * 1000),
            requests_num=self.requests,
            requests_queued=self.queued,
            requests_wait_ms=int(self.waited * 1000),
            requests_errors=self.request_errors,
            returns_bad=self.bad_returns,
            connections_num=self.opened,
            connections_ms=int(self.opening * 1000),
            connections_errors=self.opening_errors,
            connections_lost=self.lost,
            queries=self.queries,
            query_errors=self.query_errors,
            retries=self.retries,
            **present,
        )


@dataclass(eq=False)
class Claim:
    """A caller's hold on a connection, as it is kept while it lasts."""

    task: asyncio.Task[object] | None
    where: str
    began: float = field(default_factory=time.monotonic)

    def holder(self) -> Holder:
        """Return it for people."""
        name = self.task.get_name() if self.task else "no task"
        return Holder(name, time.monotonic() - self.began, self.where)


def caller() -> str:
    """Return file and line of the innermost caller outside this package and `contextlib`."""
    frame = sys._getframe(1)  # noqa: SLF001 - the cheap way; inspect reads files
    while frame.f_back is not None and _is_inner(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _is_inner(module: str) -> bool:
    return module == "contextlib" or module == _PACKAGE or module.startswith(f"{_PACKAGE}.")
