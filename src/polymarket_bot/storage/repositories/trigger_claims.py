"""How one of all who claim a trigger wins.

Both keys of a trigger, (token, threshold) and (condition, threshold), are advisory locks of the
transaction, taken in one order by everybody before they look.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from polymarket_bot.storage.connections.executor import Executor
from polymarket_bot.storage.mapping.statements import insert, select_list
from polymarket_bot.storage.models.triggers import PolymarketFirstTrigger
from polymarket_bot.storage.repositories import locks
from polymarket_bot.storage.sql import seconds
from polymarket_bot.storage.tables import FIRST_TRIGGERS
from polymarket_bot.storage.types import as_real

_REAL = struct.Struct("!f")
_LOCK_BATCHES = "SELECT pg_advisory_xact_lock($1)"

ENTER = insert(
    FIRST_TRIGGERS,
    keep=True,
    unless="given.condition_id <> '' AND EXISTS (SELECT 1 FROM polymarket_first_triggers AS other "
    "WHERE other.condition_id = given.condition_id AND other.threshold = given.threshold)",
)
"""Stores a trigger, unless its token or its condition has triggered."""

STANDING = f"""
SELECT {select_list(FIRST_TRIGGERS)} FROM (
    (SELECT *, 1 AS key FROM polymarket_first_triggers WHERE token_id = $1 AND threshold = $3)
    UNION ALL
    (SELECT *, 2 FROM polymarket_first_triggers
     WHERE condition_id = NULLIF($2, '') AND threshold = $3
     ORDER BY {seconds("trigger_timestamp")}, token_id LIMIT 1)
) AS standing ORDER BY key LIMIT 1
"""
"""The row of a token, a condition and a threshold: that of the token before others."""

RELEASE = """
DELETE FROM polymarket_first_triggers
WHERE token_id = $1 AND threshold = $2 AND condition_id IS NOT DISTINCT FROM $3 RETURNING 1
"""
"""Deletes the row of a token and a threshold, unless its condition is another one now."""


@dataclass(frozen=True)
class Claim:
    """What became of a claim; true in a boolean context when it was won.

    Attributes:
        won: the trigger is stored, and the claimer's alone.
        lost_by: the key that another one had: "token" or "condition"; None when it was won.
        existing: the row that had it; None when it was won.
    """

    won: bool
    lost_by: Literal["token", "condition"] | None = None
    existing: PolymarketFirstTrigger | None = None

    def __bool__(self) -> bool:
        return self.won


def trigger_keys(token_id: str, condition_id: str | None, threshold: float) -> list[int]:
    """Return the numbers to lock for a trigger, in order; without a condition, its token's alone.

    They must be the same in every version of this package that works on a database.
    """
    real = _REAL.pack(as_real(threshold) + 0.0)  # -0.0 and 0.0 are one threshold
    named = [("token", token_id), *([("condition", condition_id)] if condition_id else [])]
    return sorted({_number(f"{kind}\0{text}", real) for kind, text in named})


def _number(name: str, real: bytes) -> int:
    # What cannot be encoded is refused later, by the name of its column.
    return locks.number("first trigger", name.encode(errors="surrogatepass") + b"\0" + real)


async def lock_batches(db: Executor) -> None:
    """Keep other batches of triggers out until the transaction ends.

    Two that bring each other's conditions in another order would deadlock in a unique index over
    the condition, which an operator may have added.
    """
    await db.execute(_LOCK_BATCHES, _number("batches", b""))


async def lock(db: Executor, keys: Sequence[int]) -> None:
    """Lock a trigger's keys until the transaction ends.

    Raises:
        TransactionError: the transaction sees what was stored when it began, and so could not
            see a trigger that was stored meanwhile.
        LockTimeout: another one has held a key for longer than `lock_timeout`.
    """
    await locks.lock(db, keys, "a trigger cannot be claimed")
