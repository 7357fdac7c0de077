"""What the three programs have in common."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

THRESHOLD = 0.95
SIZE = 50.0


def naive(age: float = 0) -> str:
    """A time `age` seconds ago without an offset, as `datetime.utcnow().isoformat()` has it."""
    return (datetime.now(UTC) - timedelta(seconds=age)).replace(tzinfo=None).isoformat()


def zulu(age: float = 0) -> str:
    """A time `age` seconds ago with a Z."""
    return (datetime.now(UTC) - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%SZ")


def key(row: Any) -> int:
    """The id of a stored row."""
    return int(row.id)
