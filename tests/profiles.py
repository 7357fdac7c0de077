"""How many examples a property test takes, and a database for those that need one."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings

from polymarket_bot.storage import Database, DatabaseConfig
from tests.faults.record import tell

T = TypeVar("T")


def examples() -> int:
    """Return how many examples a property test takes: TORTURE_EXAMPLES, or fifty."""
    return int(os.environ.get("TORTURE_EXAMPLES") or 50)


EXAMPLES = settings(
    max_examples=examples(),
    deadline=None,
    derandomize="TORTURE_EXAMPLES" not in os.environ,  # the same ones everywhere, unless asked
    # A busy machine is no fault of the code under test.
    suppress_health_check=[HealthCheck.too_slow],
)
"""For every property test."""

SHARED_DATABASE = settings(
    EXAMPLES,
    # The database is made once for a test, and all of its examples share it on purpose.
    suppress_health_check=[*EXAMPLES.suppress_health_check, HealthCheck.function_scoped_fixture],
)
"""For a property test that takes a `Session`."""


_tried: Counter[str] = Counter()


def tried(inputs: int = 1) -> None:
    """Count bad inputs that came out as they should."""
    _tried["bad input"] += inputs


@contextmanager
def told_inputs() -> Iterator[None]:
    """Tell at the end how many bad inputs were counted in the block."""
    _tried.clear()
    yield
    for fault, times in _tried.items():
        tell(fault, times=times)


class Session:
    """An open database for a test that is not async, as `@given` wants it.

    It has a loop of its own: that of the async tests belongs to pytest-asyncio.
    """

    def __init__(self, runner: asyncio.Runner, db: Database) -> None:
        self._runner = runner
        self.db = db

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work` and return its result."""
        return self._runner.run(work)


@contextmanager
def session(url: str) -> Iterator[Session]:
    """Open the database at `url` for a test that is not async."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        db = Database(DatabaseConfig(url=url, min_connections=1))
        runner.run(db.initialize())
        try:
            yield Session(runner, db)
        finally:
            runner.run(db.close())
