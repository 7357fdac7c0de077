"""What became of a transaction whose COMMIT was lost."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from polymarket_bot.storage.connections.blocks import Connection, terminate
from polymarket_bot.storage.connections.sessions import TIMELINE
from polymarket_bot.storage.errors import Outcome, StorageError

if TYPE_CHECKING:
    from polymarket_bot.storage.connections.executor import Executor

_LIMIT = 20.0
_PAUSE = 0.05
_PATIENCE = 1.0
_STATUS = f"SELECT pg_xact_status($1::text::xid8) AS status, {TIMELINE} AS timeline"
_OUTCOMES = {"committed": Outcome.COMMITTED, "aborted": Outcome.ROLLED_BACK}


async def look_up(db: Executor, xid: str, connection: Connection) -> Outcome:
    """Ask the server what became of a transaction, until it can tell or 20 seconds have passed.

    Args:
        db: runs the question on another connection.
        xid: the transaction's id.
        connection: the one that ran it, which is closed: a server that still waits for it ends
            its transaction.
    """
    timeline, pid = connection_facts(connection)
    terminate(connection)
    began = time.monotonic()
    ended = False
    while time.monotonic() < began + _LIMIT:
        try:
            row = await db.fetchrow(_STATUS, xid, repeatable=True)
            if row is None or timeline is None or row["timeline"] != timeline:
                return Outcome.UNKNOWN  # another server has another transaction of this id
            if row["status"] in _OUTCOMES:
                return _OUTCOMES[row["status"]]
            if row["status"] is None:
                return Outcome.UNKNOWN  # too long ago
            if pid and not ended and time.monotonic() > began + _PATIENCE:
                await db.fetchval("SELECT pg_terminate_backend($1)", pid)
                ended = True
        except StorageError:
            pass  # the server may be restarting
        await asyncio.sleep(_PAUSE)
    return Outcome.UNKNOWN


def connection_facts(connection: Connection) -> tuple[str | None, int | None]:
    """Return the timeline and the server process of a connection that may be closed."""
    raw = getattr(connection, "_con", None) or connection
    timeline = getattr(raw, "timeline", None)
    return timeline, None if getattr(raw, "pooled", False) else raw.get_server_pid()
