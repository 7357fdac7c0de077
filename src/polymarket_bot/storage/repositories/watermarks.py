"""What the watermarks of trades, of triggers and of candidates have in common."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Generic, TypeVar

from polymarket_bot.storage.clock import parse_time, utc_text
from polymarket_bot.storage.errors import FutureTime, InvalidInput
from polymarket_bot.storage.mapping import bulk
from polymarket_bot.storage.mapping.batch import chunks, in_future
from polymarket_bot.storage.mapping.statements import relation, select, select_list
from polymarket_bot.storage.mapping.table import M, Table
from polymarket_bot.storage.repositories.keyed import KeyedRepository
from polymarket_bot.storage.sql import NOW, NOW_TEXT, instant

K = TypeVar("K")
V = TypeVar("V")

_log = logging.getLogger(__name__)


def _mark(table: Table[Any]) -> str:
    """The column that moves: that after the key."""
    return tuple(table.columns)[1]


def _is_behind(table: Table[Any]) -> str:
    """Return the condition that the stored mark is earlier than the given one.

    A text that states no time is earlier than any.
    """
    stored, given = f"stored.{_mark(table)}", f"EXCLUDED.{_mark(table)}"
    if table.columns[_mark(table)].time:
        return f"({instant(stored)} >= {instant(given)}) IS NOT TRUE"
    return f"{stored} < {given}"


def _later(table: Table[Any]) -> str:
    mark = _mark(table)
    if table.columns[mark].time:
        return f"CASE WHEN {_is_behind(table)} THEN EXCLUDED.{mark} ELSE stored.{mark} END"
    return f"GREATEST(stored.{mark}, EXCLUDED.{mark})"


def _insert(table: Table[Any], rows: str) -> str:
    """Insert marks, with the database's clock, where that has reached the last argument."""
    (key,) = table.key
    return (
        f"INSERT INTO {relation(table)} AS stored ({key}, {_mark(table)}, updated_at) "
        f"SELECT given.*, {NOW_TEXT} FROM {rows} AS given WHERE $3::bigint <= {NOW} "
        f"ON CONFLICT ({key}) DO UPDATE SET updated_at = EXCLUDED.updated_at, {_mark(table)} = "
    )


def _given(table: Table[Any], suffix: str = "") -> str:
    key, mark = tuple(table.columns.values())[:2]
    return f"$1::{key.sql}{suffix}, $2::{mark.sql}{suffix}"


@cache
def _advance(table: Table[Any]) -> str:
    """Move the watermark of key $1 up to $2, never backwards."""
    rows = f"(VALUES ({_given(table)}))"
    return f"{_insert(table, rows)}{_later(table)} RETURNING {select_list(table, 'stored')}"


@cache
def _put(table: Table[Any]) -> str:
    """Put the watermark of key $1 to $2, wherever it is."""
    rows = f"(VALUES ({_given(table)}))"
    return f"{_insert(table, rows)}EXCLUDED.{_mark(table)} RETURNING {select_list(table, 'stored')}"


@cache
def _advance_many(table: Table[Any]) -> str:
    """Move the watermarks of the keys in $1 up to $2, and count those that moved."""
    rows = f"unnest({_given(table, '[]')})"
    return (
        f"WITH moved AS ({_insert(table, rows)}EXCLUDED.{_mark(table)} "
        f"WHERE {_is_behind(table)} RETURNING 1) "
        f"SELECT count(*) AS moved, {NOW} AS clock FROM moved"
    )


class WatermarkRepository(KeyedRepository[M], Generic[M, K, V]):
    """Monotonic watermarks, one row a key: (key, mark, updated_at)."""

    async def update_many(self, marks: Mapping[K, V]) -> int:
        """Move watermarks up, never backwards, all or none, in few round trips.

        Args:
            marks: for each key, where its watermark is to be at least: in Unix seconds; for
                candidates a datetime or an ISO 8601 text, in UTC where it has no offset.

        Returns:
            How many moved, new ones included.

        Raises:
            InvalidInput: a key or a time does not fit, or `marks` is no mapping.
            FutureTime: a time is more than `future_skew` ahead of the database's clock.
        """
        rows = self._rows(marks)

        async def advance() -> int:
            return sum([await self._advance(chunk) for chunk in chunks(rows)])

        return await self._db.atomically(advance) if rows else 0

    def _rows(self, marks: Mapping[K, V]) -> list[tuple[Any, Any]]:
        """Return the checked marks in key order, one of each key: the latest."""
        if not isinstance(marks, Mapping):
            raise InvalidInput("marks", marks, "expected a mapping of keys to times")
        latest: dict[Any, Any] = {}
        for key, mark in marks.items():
            known = self.table.sortable(self.table.key[0], self._key(key))
            value = self._checked_mark(mark)
            latest[known] = max(latest.get(known, value), value)
        return sorted(latest.items())

    async def _advance(self, rows: Any) -> int:  # noqa: ANN401 - pairs of key and mark
        keys, marks = (list(column) for column in zip(*rows, strict=True))
        last = max(marks, key=_seconds)
        reached = _seconds(last) - self._db.future_skew
        record = await self._db.fetchrow(_advance_many(self.table), keys, marks, reached)
        assert record is not None, "an aggregate returns one row"  # noqa: S101 - for mypy
        self._refuse_future(last, record["clock"])
        return int(record["moved"])

    async def _reset(self, key: K, mark: V, reason: object) -> M:
        """Put a watermark where it is told, also backwards, and log it with the reason."""
        if not isinstance(reason, str) or not reason.strip():
            raise InvalidInput("reason", reason, "expected why it is put back")

        async def put() -> tuple[M | None, M]:
            query = f"{select(self.table, self.table.key)} FOR UPDATE"
            before = await self._one(query, self._key(key), 1, repeatable=False)
            return before, await self._set(_put(self.table), key, mark)

        before, after = await self._db.atomically(put)
        name = _mark(self.table)
        _log.warning(
            "%s of %r was reset from %s to %s: %s",
            self.table.name,
            key,
            before and getattr(before, name),
            getattr(after, name),
            reason,
        )
        return after

    async def _get(self, key: K) -> M | None:
        return await self._one(select(self.table, self.table.key), self._key(key), 1)

    async def _get_mark(self, key: K) -> Any:  # noqa: ANN401 - as stored
        (column,) = self.table.key
        return await self._db.fetchval(
            f"SELECT {_mark(self.table)} FROM {relation(self.table)} WHERE {column} = $1",
            self._key(key),
            repeatable=True,
        )

    async def _update(self, key: K, mark: V) -> M:
        return await self._set(_advance(self.table), key, mark)

    async def _set(self, statement: str, key: K, mark: V) -> M:
        checked = self._checked_mark(mark)
        reached = _seconds(checked) - self._db.future_skew
        given = (self._key(key), checked)
        while (stored := await self._one(statement, *given, reached)) is None:
            self._refuse_future(checked, await bulk.database_clock(self._db))
        return stored

    def _refuse_future(self, mark: int | str, clock: int) -> None:
        skew = self._db.future_skew
        if _seconds(mark) <= clock + skew:
            return
        limit = utc_text(datetime.fromtimestamp(clock + skew, UTC))
        told = f"expected a time up to {limit}" if isinstance(mark, str) else in_future(clock, skew)
        raise FutureTime(_mark(self.table), mark, told)

    def _key(self, key: object) -> Any:  # noqa: ANN401 - a column's value
        (column,) = self.table.key
        return self.table.check(column, key)

    def _checked_mark(self, mark: object) -> Any:  # noqa: ANN401 - a column's value
        return self.table.check(_mark(self.table), mark)


def _seconds(mark: int | str) -> int:
    return mark if isinstance(mark, int) else math.floor(parse_time(mark).timestamp())
