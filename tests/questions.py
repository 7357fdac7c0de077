"""What tests ask of the server itself: its clock, who waits for a lock, what deadlocked."""

from __future__ import annotations

from datetime import datetime

from polymarket_bot.storage import Database
from tests.commands import eventually

# A lock that is waited for may belong to no database, but its waiter has others that do.
_WAITING = """
SELECT count(DISTINCT pid) >= {} FROM pg_locks AS waiting JOIN pg_locks AS held USING (pid)
JOIN pg_database ON pg_database.oid = held.database
WHERE NOT waiting.granted AND datname = current_database()
"""
_DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


async def clock(db: Database) -> datetime:
    """Return the database's clock."""
    now: datetime = await db.fetchval("SELECT statement_timestamp()")
    return now


async def unix_time(db: Database) -> int:
    """Return the database's clock in Unix seconds."""
    return int((await clock(db)).timestamp())


async def until_waiting(db: Database, sessions: int = 1) -> None:
    """Wait until so many sessions of this database wait for a lock that another one has."""
    await eventually(db, _WAITING.format(sessions))


async def deadlocks(db: Database) -> int:
    """Return how many deadlocks this database has had."""
    return int(await db.fetchval(_DEADLOCKS))
