"""What every repository does with single rows, over every table."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polymarket_bot.storage import AlreadyExists, Database, FutureTime, InvalidInput, Table
from polymarket_bot.storage.repositories.base import BaseRepository
from polymarket_bot.storage.tables import (
    LIVE_ORDERS,
    PRODUCTION,
    TOKEN_META,
    TRADES,
)
from tests.every_table import (
    NUMBERED,
    WITH_EVERY_TABLE,
    for_each,
    key_of,
    repository,
    with_key_of,
    without_ids,
)
from tests.profiles import SHARED_DATABASE, Session
from tests.strategies import free_models, models, row, rows

WITH_MOMENTS = tuple(table for table in PRODUCTION if table.moments)
LATE = 99_999_999_999  # the year 5138


@WITH_EVERY_TABLE
@SHARED_DATABASE
@given(data=st.data())
def test_a_created_row_is_found_by_its_key_until_it_is_deleted(
    on_database: Session, table: Table[Any], data: st.DataObject
) -> None:
    written = data.draw(models(table))
    held = repository(on_database.db, table)

    async def live() -> None:
        await on_database.db.execute(f"DELETE FROM {table.name}")
        stored = await held.create(written)
        key = key_of(table, stored)
        assert without_ids(table, stored) == written
        assert await held.get_by_id(key) == stored
        assert await held.exists(key) is True
        assert await held.count() == 1
        assert await held.delete(key) is True
        assert (await held.get_by_id(key), await held.exists(key)) == (None, False)
        assert await held.delete(key) is False

    on_database.run(live())


@WITH_EVERY_TABLE
@SHARED_DATABASE
@given(data=st.data())
def test_update_and_upsert_put_every_value_in_the_place_of_the_stored_one(
    on_database: Session, table: Table[Any], data: st.DataObject
) -> None:
    newest = {table.newest: "2025-01-01"} if table.newest else {}
    first = data.draw(free_models(table, **newest))
    second, third = data.draw(free_models(table)), data.draw(free_models(table))
    if table.newest:
        setattr(third, table.newest, "9999-01-01")
    held = repository(on_database.db, table)

    async def replace() -> None:
        await on_database.db.execute(f"DELETE FROM {table.name}")
        stored = await held.create(first)
        changed = with_key_of(table, stored, second)
        assert await held.update(changed) == changed == await held.get_by_id(key_of(table, stored))
        if table.newest:
            await held.update(with_key_of(table, stored, first))
        changed = with_key_of(table, stored, third)
        assert await held.upsert(changed) == changed == await held.get_by_id(key_of(table, stored))
        assert await held.count() == 1

    on_database.run(replace())


@for_each(PRODUCTION)
async def test_an_update_of_a_row_that_is_not_there_returns_none_and_stores_nothing(
    db: Database, table: Table[Any]
) -> None:
    held = repository(db, table)
    stored = await held.create(row(table, 1))
    absent = row(table, 2, **dict.fromkeys(table.generated, 5_000))
    assert await held.update(absent) is None
    assert await held.get_all() == [stored]


@for_each(PRODUCTION)
async def test_an_upsert_stores_a_row_that_is_not_there(db: Database, table: Table[Any]) -> None:
    held = repository(db, table)
    first, second = await held.upsert(row(table, 1)), await held.upsert(row(table, 2))
    assert [without_ids(table, first), without_ids(table, second)] == rows(table, (1, 2))
    assert await held.get_all() == [first, second]


@for_each(PRODUCTION)
async def test_a_row_that_is_there_already_is_refused_and_left_as_it_was(
    db: Database, table: Table[Any]
) -> None:
    held = repository(db, table)
    stored = await held.create(row(table, 1))
    for columns in filter(None, (table.identity, *table.unique)):
        same = {name: getattr(stored, name) for name in columns}
        with pytest.raises(AlreadyExists):
            await held.create(row(table, 2, **same))
    assert await held.get_all() == [stored]


@for_each(PRODUCTION)
async def test_a_model_of_another_table_is_refused(db: Database, table: Table[Any]) -> None:
    held = repository(db, table)
    wrong: Any = row(TOKEN_META if table is not TOKEN_META else TRADES, 1)
    for write in (held.create, held.update, held.upsert):
        for given_row in (wrong, wrong.model_dump(), None):
            with pytest.raises(InvalidInput, match=f"{table.name}: expected a"):
                await write(given_row)
    assert await held.count() == 0


@for_each(WITH_MOMENTS)
async def test_a_time_in_the_future_is_refused_by_name_and_changes_nothing(
    db: Database, table: Table[Any]
) -> None:
    held = repository(db, table)
    stored = await held.create(row(table, 1))
    for name in table.moments:
        late = row(table, 2, **{name: LATE})
        for write, model in (
            (held.create, late),
            (held.upsert, late),
            (held.update, with_key_of(table, stored, late)),
            (held.upsert, with_key_of(table, stored, late)),
        ):
            with pytest.raises(FutureTime, match=f"{name}: .*another unit") as refused:
                await write(model)
            assert refused.value.field == name
    assert await held.get_all() == [stored]


async def held_numbers(held: BaseRepository[Any]) -> list[int]:
    return [model.id for model in await held.get_all()]


@for_each(NUMBERED)
async def test_ids_come_from_the_database_whatever_a_new_model_holds(
    db: Database, table: Table[Any]
) -> None:
    held = repository(db, table)
    assert (await held.create(row(table, 1))).id == 1
    assert (await held.create(row(table, 2, id=77))).id == 2
    assert await held.create_many([row(table, 3, id=77), row(table, 4, id=77), row(table, 5)]) == 3
    assert (await held.upsert(row(table, 6))).id == 6
    assert await held_numbers(held) == [1, 2, 3, 4, 5, 6]


@for_each(NUMBERED)
async def test_a_row_without_an_id_is_not_updated_and_an_unknown_id_not_upserted(
    db: Database, table: Table[Any]
) -> None:
    held = repository(db, table)
    stored = await held.create(row(table, 1))
    with pytest.raises(InvalidInput, match="id: expected the id of a stored row"):
        await held.update(row(table, 2))
    with pytest.raises(InvalidInput, match="id: expected the id of a stored row; leave it None"):
        await held.upsert(row(table, 2, id=stored.id + 1))
    assert await held.get_all() == [stored]


@for_each(tuple(table for table in NUMBERED if table.unique))
async def test_an_upsert_without_an_id_finds_its_row_by_the_unique_columns(
    db: Database, table: Table[Any]
) -> None:
    held = repository(db, table)
    stored = await held.create(row(table, 1))
    same = {name: getattr(stored, name) for name in table.unique[0]}
    changed = await held.upsert(row(table, 2, **same))
    assert changed == with_key_of(table, stored, row(table, 2, **same))
    assert await held.get_all() == [changed]


@for_each(tuple(table for table in NUMBERED if not table.unique))
async def test_an_upsert_without_an_id_is_a_new_row_where_nothing_else_is_unique(
    db: Database, table: Table[Any]
) -> None:
    held = repository(db, table)
    assert [(await held.upsert(row(table, 1))).id for _ in range(2)] == [1, 2]


async def test_orders_without_an_exchanges_id_are_each_a_row_of_their_own(db: Database) -> None:
    held = repository(db, LIVE_ORDERS)
    for _ in range(2):
        await held.create(row(LIVE_ORDERS, 1, order_id=None))
        await held.upsert(row(LIVE_ORDERS, 1, order_id=None))
    assert await held.create_many(rows(LIVE_ORDERS, (1, 1, 1), order_id=None)) == 3
    assert await held.upsert_many(rows(LIVE_ORDERS, (1, 1, 1), order_id=None)) == 3
    assert await held.count() == 10
