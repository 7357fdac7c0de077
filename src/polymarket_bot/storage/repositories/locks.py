"""Advisory locks of the transaction: their numbers, and how they are taken.

They are taken by a statement of their own: only the next one sees, under READ COMMITTED, what the
holder before has stored.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from hashlib import blake2b

import asyncpg

from polymarket_bot.storage.connections.executor import Executor
from polymarket_bot.storage.errors import TransactionError

_KEY = struct.Struct("!q")
_NEEDED = "read committed"
_ISOLATION = "current_setting('transaction_isolation') AS isolation"
_LOCK = f"SELECT {_ISOLATION}, pg_advisory_xact_lock(key) FROM unnest($1::bigint[]) AS key"
_TRY = f"SELECT {_ISOLATION}, pg_try_advisory_xact_lock($1) AS taken"
_LOCK_SHARED = f"""
SELECT {_ISOLATION}, to_regclass($2) IS NOT NULL AS found, pg_advisory_xact_lock_shared(key)
FROM unnest($1::bigint[]) AS key
"""


def number(kind: str, name: bytes) -> int:
    """Return the number of a lock.

    It must be the same in every version of this package that works on a database.

    Args:
        kind: what is locked, at most 16 characters.
        name: which of them.
    """
    digest = blake2b(name, digest_size=_KEY.size, person=kind.encode())
    found: int = _KEY.unpack(digest.digest())[0]
    return found


async def lock(db: Executor, keys: Iterable[int], refused: str) -> None:
    """Have locks for oneself until the transaction ends, all taken in one order.

    Args:
        db: in a transaction block.
        keys: their numbers.
        refused: what cannot be done under an isolation that does not see what others store.

    Raises:
        TransactionError: the transaction sees only what was stored when it began.
        LockTimeout: another one has held a lock for longer than `lock_timeout`.
    """
    _hold_to_isolation(await db.fetch(_LOCK, sorted(keys)), refused)


async def lock_shared(db: Executor, keys: Iterable[int], refused: str, *, table: str) -> bool:
    """As `lock`, shared with all who take it so; tell whether a table is there."""
    rows = await db.fetch(_LOCK_SHARED, sorted(keys), table)
    found = any(row["found"] for row in rows)
    if found:
        _hold_to_isolation(rows, refused)
    return found


async def try_lock(db: Executor, key: int, refused: str) -> bool:
    """As `lock`, but tell at once whether it was free."""
    rows = await db.fetch(_TRY, key)
    _hold_to_isolation(rows, refused)
    return any(row["taken"] for row in rows)


def _hold_to_isolation(rows: list[asyncpg.Record], refused: str) -> None:
    for row in rows:
        if row["isolation"] != _NEEDED:
            raise TransactionError(
                f"{refused} under {row['isolation'].upper()}: what others have stored since the "
                "transaction began is not seen",
                remedy="do it outside, or open the block without isolation=",
            )
