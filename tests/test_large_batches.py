"""Batches that take more than one statement: counted, all or none, whatever their order."""

from __future__ import annotations

import random
from typing import Any

import pytest

from polymarket_bot.storage import AlreadyExists, Database, FutureTime, InvalidInput, Table
from polymarket_bot.storage.tables import (
    FIRST_TRIGGERS,
    LIVE_ORDERS,
    POSITIONS,
    SCORE_HISTORY,
    TRADES,
)
from tests.every_table import for_each, repository, with_key_of, without_ids
from tests.strategies import row, rows

MANY = 5_003  # two statements of 5,000 rows at most
LATE = 99_999_999_999  # the year 5138

# Keys of text, with a REAL, with a time beside an id, and an id alone.
TABLES = (TRADES, FIRST_TRIGGERS, POSITIONS, SCORE_HISTORY)
WITH_MOMENTS = tuple(table for table in TABLES if table.moments)


def shuffled(items: list[Any]) -> list[Any]:
    """Return the items in another order, always the same one."""
    return random.Random(7).sample(items, len(items))  # noqa: S311 - no secret


def in_order(table: Table[Any], models: list[Any]) -> list[Any]:
    """Return models without their ids, in the order of their numbers."""
    bare = [without_ids(table, model) for model in models]
    return sorted(bare, key=lambda model: tuple(map(str, model.model_dump().values())))


@for_each(TABLES)
async def test_a_large_batch_is_stored_counted_and_replaced_whole(
    db: Database, table: Table[Any]
) -> None:
    held = repository(db, table)
    written = rows(table, range(1, MANY + 1))
    assert await held.create_many(shuffled(written)) == MANY
    stored = await held.get_all(limit=2 * MANY)
    assert in_order(table, stored) == in_order(table, written)
    if table.identity:
        assert await held.create_many([*shuffled(written), row(table, MANY + 1)]) == 1

    for write, number in ((held.update_many, 50_000), (held.upsert_many, 70_000)):
        changed = [
            with_key_of(table, model, row(table, number + place))
            for place, model in enumerate(stored)
        ]
        assert await write(shuffled(changed)) == MANY
        replaced = {model.model_dump_json() for model in changed}
        assert replaced <= {m.model_dump_json() for m in await held.get_all(limit=2 * MANY)}


@for_each(WITH_MOMENTS)
async def test_one_bad_time_in_the_last_statement_leaves_nothing_of_a_large_batch(
    db: Database, table: Table[Any]
) -> None:
    held = repository(db, table)
    before = await held.create(row(table, 1))
    late = row(table, MANY, **{table.moments[0]: LATE})
    batch = [*rows(table, range(1, MANY)), late]
    for write in (held.create_many, held.upsert_many):
        with pytest.raises(FutureTime):
            await write(batch)
    assert await held.get_all() == [before]


async def test_a_taken_key_in_the_last_statement_leaves_nothing_of_a_large_batch(
    db: Database,
) -> None:
    held = repository(db, LIVE_ORDERS)
    await held.create_many(rows(LIVE_ORDERS, range(1, MANY + 1)))
    before = await held.get_all(limit=MANY)
    changed = [model.model_copy(update={"reason": "changed"}) for model in before]
    changed[-1].order_id = before[0].order_id
    for write in (held.update_many, held.upsert_many):
        with pytest.raises(AlreadyExists):
            await write(changed)
    assert await held.get_all(limit=MANY) == before


async def test_an_unknown_id_at_the_end_leaves_nothing_of_a_large_batch(db: Database) -> None:
    held = repository(db, SCORE_HISTORY)
    await held.create_many(rows(SCORE_HISTORY, range(1, MANY + 1)))
    before = await held.get_all(limit=MANY)
    changed = [model.model_copy(update={"score": 0.5}) for model in before]
    for model in (row(SCORE_HISTORY, 1, id=MANY + 1), row(SCORE_HISTORY, 1, id=2**31 - 1)):
        with pytest.raises(InvalidInput, match=f"id: .*got int {model.id}"):
            await held.upsert_many([row(SCORE_HISTORY, 2), *changed, model])
    assert await held.get_all(limit=2 * MANY) == before
