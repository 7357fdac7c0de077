"""Rows on their way into a table, copied into a temporary one first.

For many rows that is twice as fast as arrays: the driver encodes a row at a time, and the server
reads what it gets at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from polymarket_bot.storage.connections.executor import Executor
from polymarket_bot.storage.mapping.table import Table
from polymarket_bot.storage.sql import quoted

RELATION = "pg_temp.polymarket_staged_rows"
"""The temporary table; there is one at a time in a transaction."""

_ROWS = 500
_AT_ONCE = 1_000_000
"""Bytes. The driver sends all from 524,288 on, and the rest without a pause if it is less."""

_FIXED = 16
"""Bytes that a value takes besides its text: its length, and a number or a time."""

_ALLOWED = "SELECT has_database_privilege(current_database(), 'TEMPORARY')"
_DROP = f"DROP TABLE {RELATION}"


async def is_allowed(db: Executor) -> bool:
    """Tell whether the user may make temporary tables; asked once."""
    if _ALLOWED not in db.learned:
        db.learned[_ALLOWED] = bool(await db.fetchval(_ALLOWED, repeatable=True))
    return db.learned[_ALLOWED]


async def stage(db: Executor, table: Table[Any], rows: Sequence[Sequence[Any]]) -> None:
    """Copy rows of the columns that an insert gives, in a transaction block."""
    await db.execute(_create(table))
    for piece in _pieces(rows):
        await db.copy(RELATION, table.written, piece)


def _pieces(rows: Sequence[Sequence[Any]]) -> Iterator[Sequence[Sequence[Any]]]:
    """Cut rows so that the driver sends each piece without a pause.

    It pauses until the connection takes more: without a limit, and even where that is lost.
    """
    for begin in range(0, len(rows), _ROWS):
        yield from _halves(rows[begin : begin + _ROWS])


def _halves(rows: Sequence[Sequence[Any]]) -> Iterator[Sequence[Sequence[Any]]]:
    if len(rows) == 1 or _size(rows) <= _AT_ONCE:
        yield rows
    else:
        half = len(rows) // 2
        yield from _halves(rows[:half])
        yield from _halves(rows[half:])


def _size(rows: Sequence[Sequence[Any]]) -> int:
    """Return how many bytes rows are at most; what is large in them is text."""
    size = _FIXED * len(rows) * len(rows[0])
    for column in zip(*rows, strict=True):
        text = "".join([value for value in column if value.__class__ is str])
        size += len(text) if text.isascii() else 4 * len(text)
    return size


async def clear(db: Executor) -> None:
    """Make room for the next rows."""
    await db.execute(_DROP)


@cache
def _create(table: Table[Any]) -> str:
    columns = ", ".join(f"{quoted(name)} {table.columns[name].sql}" for name in table.written)
    return f"CREATE TEMPORARY TABLE {RELATION} ({columns}) ON COMMIT DROP"
