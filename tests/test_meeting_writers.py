"""Writers that meet in the same rows, in any order, wait for each other and never deadlock."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from polymarket_bot.storage import Database, Table
from polymarket_bot.storage.tables import PRODUCTION
from tests.every_table import for_each, repository
from tests.strategies import row

KEYS = range(1, 41)
WRITERS = 12
ROUNDS = 6


def keys_of(table: Table[Any], number: int) -> dict[str, Any]:
    """Return what tells the row of a number from others, besides its id."""
    first = row(table, number)
    return {name: getattr(first, name) for name in table.identity}


def version(table: Table[Any], key: int, writer: int) -> Any:
    """Return a writer's version of the row of a key."""
    return row(table, 1_000 + writer, **keys_of(table, key))


async def ids_by_key(db: Database, table: Table[Any]) -> dict[int, dict[str, Any]]:
    """Store a row of every key, in an order that is not that of the keys; return their ids."""
    held = repository(db, table)
    numbers = random.Random(7).sample(KEYS, len(KEYS))  # noqa: S311 - no secret
    ids = {}
    for number in numbers:
        stored = await held.create(version(table, number, 0))
        ids[number] = {name: getattr(stored, name) for name in table.generated}
    return ids


async def write_often(
    db: Database, table: Table[Any], writer: int, ids: dict[int, dict[str, Any]]
) -> None:
    """Write all keys again and again, each time in another order and by another verb."""
    chance = random.Random(writer)  # noqa: S311 - repeatable, no secret
    held = repository(db, table)
    for number in range(ROUNDS):
        order = chance.sample(KEYS, len(KEYS))
        known = [version(table, key, writer).model_copy(update=ids[key]) for key in order]
        new = [version(table, key, writer) for key in order]
        by_id = (held.update_many, known) if number % 2 else (held.upsert_many, known)
        by_identity = [(held.create_many, new), (held.upsert_many, new)] if table.identity else []
        write, batch = chance.choice([by_id, *by_identity])
        await write(batch)


@for_each(PRODUCTION)
async def test_batches_with_the_same_keys_in_other_orders_all_end_well(
    db: Database, table: Table[Any]
) -> None:
    ids = await ids_by_key(db, table)
    config = db.config.model_copy(update={"max_connections": 6, "lock_timeout": 60})
    async with Database(config) as one, Database(config) as other:
        await asyncio.gather(
            *(write_often((one, other)[n % 2], table, n, ids) for n in range(1, WRITERS + 1))
        )
        # One of two that deadlock would have been run again.
        assert (one.stats().retries, other.stats().retries) == (0, 0)

    found = await repository(db, table).get_all()
    assert len(found) == len(KEYS)
    for key in KEYS:
        allowed = [
            version(table, key, writer).model_copy(update=ids[key]) for writer in range(WRITERS + 1)
        ]
        assert sum(model in allowed for model in found) == 1


@for_each(tuple(table for table in PRODUCTION if table.identity))
async def test_of_many_that_insert_the_same_rows_each_row_is_counted_by_one(
    db: Database, table: Table[Any]
) -> None:
    config = db.config.model_copy(update={"max_connections": 6, "lock_timeout": 60})
    async with Database(config) as one, Database(config) as other:

        async def insert(writer: int) -> int:
            order = random.Random(writer).sample(KEYS, len(KEYS))  # noqa: S311 - no secret
            held = repository((one, other)[writer % 2], table)
            return await held.create_many([version(table, key, writer) for key in order])

        counts = await asyncio.gather(*(insert(writer) for writer in range(WRITERS)))
        assert sum(counts) == len(KEYS)
        assert (one.stats().retries, other.stats().retries) == (0, 0)
    assert await repository(db, table).count() == len(KEYS)
