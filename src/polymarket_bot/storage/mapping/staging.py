"""Rows on their way into a table, copied into a temporary one first.

For many rows that is twice as fast as arrays: the driver encodes a row at a time, and the server
reads what it gets at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from polymarket_bot.storage.connections.executor import Executor
from polymarket_bot.storage.mapping.table import Table
from polymarket_bot.storage.sql import quoted

RELATION = "pg_temp.polymarket_staged_rows"
"""The temporary table; there is one at a time in a transaction."""

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
    await db.copy(RELATION, table.written, rows)


async def clear(db: Executor) -> None:
    """Make room for the next rows."""
    await db.execute(_DROP)


@cache
def _create(table: Table[Any]) -> str:
    columns = ", ".join(f"{quoted(name)} {table.columns[name].sql}" for name in table.written)
    return f"CREATE TEMPORARY TABLE {RELATION} ({columns}) ON COMMIT DROP"
