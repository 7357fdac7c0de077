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
ISOLATION = "current_setting('transaction_isolation') AS isolation"
_LOCK = f"SELECT {ISOLATION}, pg_advisory_xact_lock(key) FROM unnest($1::bigint[]) AS key"
_TRY = f"SELECT {ISOLATION}, pg_try_advisory_xact_lock($1) AS taken"


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
    hold_to_isolation(await db.fetch(_LOCK, sorted(keys)), refused)


def lock_shared(keys: Iterable[int]) -> str:
    """Return SQL that takes locks as all do who share them; a later statement has them."""
    numbers = ", ".join(map(str, sorted(keys)))
    return f"SELECT pg_advisory_xact_lock_shared(key) FROM unnest('{{{numbers}}}'::bigint[]) AS key"


async def try_lock(db: Executor, key: int, refused: str) -> bool:
    """As `lock`, but tell at once whether it was free."""
    rows = await db.fetch(_TRY, key)
    hold_to_isolation(rows, refused)
    return any(row["taken"] for row in rows)


def sees_all(row: asyncpg.Record) -> bool:
    """Tell whether, by a row's `isolation`, each statement sees what others have stored."""
    return bool(row["isolation"] == _NEEDED)


def hold_to_isolation(rows: Iterable[asyncpg.Record], refused: str) -> None:
    """Raise `TransactionError` where a row's `isolation` is not READ COMMITTED."""
    for row in rows:
        if not sees_all(row):
            raise TransactionError(
                f"{refused} under {row['isolation'].upper()}: what others have stored since the "
                "transaction began is not seen",
                remedy="do it outside, or open the block without isolation=",
            )
