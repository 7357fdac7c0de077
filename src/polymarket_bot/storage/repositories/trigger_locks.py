"""The locks by which one of all who claim a trigger wins.

Both keys of a trigger, (token, threshold) and (condition, threshold), are advisory locks of the
transaction, taken in one order by everybody. They are taken by a statement of their own: only the
next one sees, under READ COMMITTED, what the holder before has stored.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from hashlib import blake2b

from polymarket_bot.storage.connections.executor import Executor
from polymarket_bot.storage.errors import TransactionError
from polymarket_bot.storage.types import as_real

_REAL = struct.Struct("!f")
_KEY = struct.Struct("!q")
_NEEDED = "read committed"
_LOCK = """
SELECT current_setting('transaction_isolation'), pg_advisory_xact_lock(key)
FROM unnest($1::bigint[]) AS key
"""


def trigger_keys(token_id: str, condition_id: str | None, threshold: float) -> list[int]:
    """Return the numbers to lock for a trigger, in order; without a condition, its token's alone.

    They must be the same in every version of this package that works on a database.
    """
    real = _REAL.pack(as_real(threshold) + 0.0)  # -0.0 and 0.0 are one threshold
    named = [("token", token_id), *([("condition", condition_id)] if condition_id else [])]
    return sorted({_number(f"{kind}\0{text}", real) for kind, text in named})


def _number(name: str, real: bytes) -> int:
    # What cannot be encoded is refused later, by the name of its column.
    text = name.encode(errors="surrogatepass") + b"\0" + real
    digest = blake2b(text, digest_size=_KEY.size, person=b"first trigger")
    number: int = _KEY.unpack(digest.digest())[0]
    return number


async def lock(db: Executor, keys: Sequence[int]) -> None:
    """Lock a trigger's keys until the transaction ends.

    Raises:
        TransactionError: the transaction sees what was stored when it began, and so could not
            see a trigger that was stored meanwhile.
        LockTimeout: another one has held a key for longer than `lock_timeout`.
    """
    isolation, _ = (await db.fetch(_LOCK, keys))[0]
    if isolation != _NEEDED:
        raise TransactionError(
            f"a trigger cannot be claimed under {isolation.upper()}: what others have stored since "
            "the transaction began is not seen",
            remedy="claim it outside, or open the block without isolation=",
        )
