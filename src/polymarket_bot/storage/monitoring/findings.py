"""What is wrong with a database, in words, and from when on something counts as wrong."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import TypeVar

from polymarket_bot.storage.errors import (
    ConnectionLost,
    QueryError,
    SchemaMissing,
    ServerUnavailable,
)

_T = TypeVar("_T")
_UNITS = ((2 * 86400, 86400, "days"), (2 * 3600, 3600, "h"), (2 * 60, 60, "min"))


@dataclass(frozen=True)
class HealthLimits:
    """From when on something counts as wrong; all but the last two are in seconds.

    `lag`, `pending` and `unanswered` count for `polymarket-storage status` alone: `Database.health`
    does not read the rows that they are about.

    Attributes:
        lag: how long a trade may wait behind its condition's watermark, by its own time, and a late
            one since it arrived.
        pending: how long a candidate or an exit may be pending.
        unanswered: how long an order may be without the exchange's answer.
        transaction: how long a transaction may be open.
        idle: how long a transaction may be open and run no statement.
        held: how long a connection of the pool may be held.
        dead_rows: how many dead rows a table may have.
        dead_share: how many dead rows a table may have for each live one; both are exceeded where
            it is wrong.
    """

    lag: float = 300.0
    pending: float = 3600.0
    unanswered: float = 300.0
    transaction: float = 900.0
    idle: float = 60.0
    held: float = 300.0
    dead_rows: int = 10_000
    dead_share: float = 0.4


DEFAULT_LIMITS = HealthLimits()


@dataclass
class Findings:
    """What was found out, in words.

    Attributes:
        problems: what is wrong, each with its remedy.
        notes: what may be as it should be, or could not be looked at.
    """

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    async def look(self, what: str, work: Awaitable[_T]) -> _T | None:
        """Await `work`; what keeps it from looking is a problem, and the others go on.

        Returns:
            What it returned, or None where it could not look.

        Raises:
            ConnectionLost: and `ServerUnavailable`; nothing else can be looked at either.
        """
        try:
            return await work
        except (ConnectionLost, ServerUnavailable):
            raise
        except SchemaMissing:
            return None  # it is told as drift of the schema
        except QueryError as error:
            self.problems.append(f"{what} cannot be looked at: {error}")
            return None


def duration(seconds: float) -> str:
    """Return a time for people, rounded down: 75 s, 20 min, 30 h, 12 days."""
    for least, unit, name in _UNITS:
        if seconds >= least:
            return f"{seconds // unit:,.0f} {name}"
    return f"{seconds:.3g} s"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: 1 order, 1,200 orders."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
