"""What became of a transaction whose COMMIT was lost."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from polymarket_bot.storage.connections.blocks import Written
from polymarket_bot.storage.connections.sessions import TIMELINE
from polymarket_bot.storage.errors import Outcome, StorageError

if TYPE_CHECKING:
    import asyncpg

    from polymarket_bot.storage.connections.executor import Executor

_log = logging.getLogger(__name__)
_LIMIT = 20.0
_PAUSE = 0.05
_PATIENCE = 1.0
_AHEAD = "ahead"
_RUNNING = "in progress"
# Of an id that it has not come to the server says nothing but an error; the newest in progress is
# none that it has come to, either. Who is in progress is seen a moment later than the snapshot.
_ITS_OWN = "backend_xid::text = ($1::text::numeric % 4294967296)::text"
_STATUS = f"""
SELECT CASE
    WHEN $1::text::xid8 < pg_snapshot_xmax(pg_current_snapshot())
        THEN pg_xact_status($1::text::xid8)
    WHEN EXISTS (SELECT 1 FROM pg_stat_activity WHERE {_ITS_OWN}) THEN '{_RUNNING}'
    ELSE '{_AHEAD}' END AS status,
    {TIMELINE} AS timeline,
    current_setting('synchronous_standby_names') <> '' AS has_standby
"""
# One that waits for a standby would be committed without it.
_END = f"""
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE {_ITS_OWN} AND pid = $2 AND wait_event IS DISTINCT FROM 'SyncRep'
"""
_OUTCOMES = {"committed": Outcome.COMMITTED, "aborted": Outcome.ROLLED_BACK}


async def look_up(db: Executor, written: Written) -> Outcome:
    """Ask the server what became of a transaction, until it can tell or 20 seconds have passed."""
    began = time.monotonic()
    ended = False
    while time.monotonic() < began + _LIMIT:
        try:
            if (outcome := await _asked(db, written)) is not None:
                return outcome
            if written.pid and not ended and time.monotonic() > began + _PATIENCE:
                await db.fetch(_END, written.xid, written.pid)
                ended = True
        except StorageError as error:
            _log.info("the outcome of a COMMIT cannot be asked for yet: %s", error)
        await asyncio.sleep(_PAUSE)
    return Outcome.UNKNOWN


async def _asked(db: Executor, written: Written) -> Outcome | None:
    """Return what the server says, None while the transaction is in progress."""
    row = await _status(db, written)
    if row is not None and row["status"] == _AHEAD:  # or it ended before it was looked for
        row = await _status(db, written)
    if row is None or written.timeline is None or row["timeline"] is None:
        return Outcome.UNKNOWN
    if row["status"] == _RUNNING:
        return None
    if row["timeline"] != written.timeline:  # another transaction can have this id
        same = row["timeline"].partition("/")[0] == written.timeline.partition("/")[0]
        none = row["status"] in {"aborted", _AHEAD}  # then none of this id was committed
        return Outcome.ROLLED_BACK if same and none else Outcome.UNKNOWN
    if row["status"] is None:
        return Outcome.UNKNOWN  # too long ago
    if written.cut_short and row["has_standby"] and row["status"] == "committed":
        return Outcome.UNKNOWN  # the standby that takes over may not have it
    return _OUTCOMES.get(row["status"])


async def _status(db: Executor, written: Written) -> asyncpg.Record | None:
    return await db.fetchrow(_STATUS, written.xid, repeatable=True)
