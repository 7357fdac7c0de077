"""What the watermarks of trades and of triggers have in common."""

from __future__ import annotations

from functools import cache
from typing import Any

from polymarket_bot.storage import bulk
from polymarket_bot.storage.clock import now_text
from polymarket_bot.storage.errors import InvalidInput
from polymarket_bot.storage.repositories.base import ATTEMPTS, KeyedRepository
from polymarket_bot.storage.statements import NOW, relation, select, select_list
from polymarket_bot.storage.table import M, Table


@cache
def _advance(table: Table[Any]) -> str:
    """Move the watermark of key $1 up to $2, never backwards, at the time $3.

    Nothing comes back where the database's clock has not reached $4.
    """
    (key,) = table.key
    return (
        f"INSERT INTO {relation(table)} AS mark ({key}, last_timestamp, updated_at) "
        f"SELECT $1::{table.columns[key].sql}, $2::bigint, $3::text WHERE $4::bigint <= {NOW} "
        f"ON CONFLICT ({key}) DO UPDATE SET "
        "last_timestamp = GREATEST(mark.last_timestamp, EXCLUDED.last_timestamp), "
        f"updated_at = EXCLUDED.updated_at RETURNING {select_list(table, 'mark')}"
    )


class WatermarkRepository(KeyedRepository[M]):
    """Monotonic watermarks, one row a key: (key, last_timestamp, updated_at)."""

    async def _get(self, key: object) -> M | None:
        return await self._one(select(self.table, self.table.key), self._checked(key), 1)

    async def _get_timestamp(self, key: object) -> int:
        (column,) = self.table.key
        found = await self._db.fetchval(
            f"SELECT last_timestamp FROM {relation(self.table)} WHERE {column} = $1",
            self._checked(key),
            repeatable=True,
        )
        return found or 0

    async def _update(self, key: object, timestamp: int) -> M:
        (column,) = self.table.key
        given = self.table.build(
            **{column: key, "last_timestamp": timestamp, "updated_at": now_text()}
        )
        row = self.table.values_of(given)
        reached = row[1] - self._db.future_skew
        for _ in range(ATTEMPTS):
            if stored := await self._one(_advance(self.table), *row, reached):
                return stored
            clock = await bulk.database_clock(self._db)
            bulk.refuse_future(self.table, [row], clock, self._db.future_skew)
        raise InvalidInput(self.table.name, given, "expected a row that the database lets in")

    def _checked(self, key: object) -> object:
        (column,) = self.table.key
        return self.table.check(column, key)
