"""Writes of batches, all or none, that count what was really stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from polymarket_bot.storage.connections.executor import Executor
from polymarket_bot.storage.errors import InvalidInput
from polymarket_bot.storage.mapping import statements
from polymarket_bot.storage.mapping.batch import Batch
from polymarket_bot.storage.mapping.table import M, Table
from polymarket_bot.storage.sql import NOW


def new_rows(table: Table[M], models: Iterable[M]) -> Batch:
    """Return the rows to insert, in the order in which all lock them; the first of each counts.

    Rows of a table without an identity are all different, and stay in their order.

    Raises:
        InvalidInput: one of `models` is not of this table.
    """
    batch = _rows_of(table, models)
    return batch.in_order(table.identity) if table.identity else batch


def _rows_of(table: Table[M], models: Iterable[M]) -> Batch:
    return Batch(table, table.written, [table.values_of(model) for model in models])


async def insert_rows(executor: Executor, table: Table[M], models: Iterable[M]) -> int:
    """Insert models, all or none, and return how many rows were really stored.

    Raises:
        InvalidInput: one of `models` is not of this table.
        FutureTime: a Unix time lies in the future; nothing is stored.
    """
    batch = new_rows(table, models)

    async def insert() -> int:
        statement = partial(statements.insert_many, table)
        counts = [await chunk.insert(executor, statement) for chunk in batch.chunked()]
        return sum(count["stored"] for count in counts)

    return await executor.atomically(insert) if batch.rows else 0


async def update_rows(executor: Executor, table: Table[M], models: Iterable[M]) -> int:
    """Replace the rows of the models' keys, all or none, and return how many there were.

    Raises:
        InvalidInput: one of `models` is not of this table or has no id.
        FutureTime: a Unix time lies in the future; nothing is stored.
    """
    rows = _stored_rows(table, models).turns(table.key)
    return await _atomically(executor, rows, statements.update_many)


async def upsert_rows(executor: Executor, table: Table[M], models: Iterable[M]) -> int:
    """Insert models or replace the rows of their identity, all or none; return how many.

    Raises:
        InvalidInput: one of `models` is not of this table or has an id that is not stored.
        FutureTime: a Unix time lies in the future; nothing is stored.
    """
    known: list[M] = []
    new: list[M] = []
    for model in models:
        (known if table.is_numbered(model) else new).append(model)
    numbered, unnumbered = _stored_rows(table, known), _rows_of(table, new)
    inserts = unnumbered.turns(table.identity) if table.identity else [unnumbered]

    async def upsert() -> int:
        await _refuse_unknown(executor, numbered)
        updated = await _write(executor, numbered.turns(table.key), statements.update_many)
        return updated + await _write(executor, inserts, statements.upsert_many)

    return await executor.atomically(upsert) if known or new else 0


def _stored_rows(table: Table[M], models: Iterable[M]) -> Batch:
    return Batch(table, tuple(table.columns), [table.numbered_values_of(model) for model in models])


async def _refuse_unknown(executor: Executor, numbered: Batch) -> None:
    """Raise for the first row whose id is not stored."""
    if not numbered.rows:
        return
    (key,) = numbered.table.key
    place = numbered.columns.index(key)
    ids = [row[place] for row in numbered.rows]
    stored = await executor.fetch(statements.select_keys(numbered.table), ids)
    if unknown := set(ids) - {record[key] for record in stored}:
        raise unknown_id(key, min(unknown))


def unknown_id(key: str, value: object) -> InvalidInput:
    """Return the error for a model with an id that is not stored."""
    return InvalidInput(key, value, "expected the id of a stored row; leave it None for a new one")


async def _atomically(
    executor: Executor, batches: Sequence[Batch], statement: Callable[[Table[Any]], str]
) -> int:
    if not any(batch.rows for batch in batches):
        return 0
    return await executor.atomically(lambda: _write(executor, batches, statement))


async def _write(
    executor: Executor, batches: Iterable[Batch], statement: Callable[[Table[Any]], str]
) -> int:
    stored = 0
    for batch in batches:
        for chunk in batch.chunked():
            stored += (await chunk.write(executor, statement(batch.table)))["stored"]
    return stored


async def database_clock(executor: Executor) -> int:
    """Return the database's clock in Unix seconds."""
    return int(await executor.fetchval(f"SELECT {NOW}", repeatable=True))
