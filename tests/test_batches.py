"""Batches over every table: what they count, which of several rows counts, and all or none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polymarket_bot.storage import (
    AlreadyExists,
    BaseRepository,
    Database,
    FutureTime,
    InvalidInput,
    Table,
)
from polymarket_bot.storage.tables import LIVE_ORDERS, PRODUCTION, TOKEN_META, TRADES
from tests.every_table import (
    NUMBERED,
    WITH_EVERY_TABLE,
    for_each,
    repository,
    with_key_of,
    without_ids,
)
from tests.profiles import SHARED_DATABASE, Session
from tests.strategies import free_models, row, rows

IDENTIFIED = tuple(table for table in PRODUCTION if table.identity)
WITH_MOMENTS = tuple(table for table in PRODUCTION if table.moments)
LATE = 99_999_999_999  # the year 5138


def same_key(table: Table[Any], like: int, number: int) -> Any:
    """Return the row of `number`, with the identity of that of `like`."""
    first = row(table, like)
    return row(table, number, **{name: getattr(first, name) for name in table.identity})


def is_in_turn(table: Table[Any]) -> bool:
    """Tell whether rows of one key are written one after the other, for a lifecycle to see."""
    return table.lifecycle is not None and table.newest is None


async def contents(held: BaseRepository[Any]) -> list[Any]:
    """Return all rows, without their ids."""
    return [without_ids(held.table, model) for model in await held.get_all(limit=100_000)]


async def stored(held: BaseRepository[Any], numbers: range) -> list[Any]:
    """Store the rows of some numbers and return them with their ids."""
    await held.create_many(rows(held.table, numbers))
    return await held.get_all(limit=100_000)


def same_rows(found: list[Any], expected: list[Any]) -> bool:
    """Tell whether two lists hold the same models in any order."""
    return len(found) == len(expected) and all(
        found.count(model) == expected.count(model) for model in expected
    )


@WITH_EVERY_TABLE
@SHARED_DATABASE
@given(data=st.data())
def test_a_batch_stores_every_value_as_a_single_row_does(
    on_database: Session, table: Table[Any], data: st.DataObject
) -> None:
    def identity(model: Any) -> Any:
        return tuple(getattr(model, name) for name in table.identity) or id(model)

    written = data.draw(st.lists(free_models(table), min_size=1, max_size=4, unique_by=identity))
    held = repository(on_database.db, table)

    async def write() -> None:
        await on_database.db.execute(f"DELETE FROM {table.name}")
        assert await held.create_many(written) == len(written)
        found = await held.get_all()
        assert same_rows([without_ids(table, model) for model in found], written)
        assert await held.update_many(found) == len(written)
        assert await held.upsert_many(found) == (0 if table.newest else len(written))
        assert same_rows(await held.get_all(), found)

    on_database.run(write())


@for_each(IDENTIFIED)
async def test_what_was_really_inserted_is_counted_and_the_first_of_duplicates_stays(
    db: Database, table: Table[Any]
) -> None:
    held = repository(db, table)
    assert await held.create_many(rows(table, (1, 2, 3))) == 3
    again = [
        row(table, 4),
        same_key(table, 4, 9),
        row(table, 2),
        same_key(table, 1, 8),
        row(table, 5),
    ]
    assert await held.create_many(again) == 2
    assert await held.create_many(again) == 0
    assert same_rows(await contents(held), rows(table, range(1, 6)))


@for_each(tuple(table for table in PRODUCTION if not table.identity))
async def test_rows_without_an_identity_are_all_inserted_in_their_order(
    db: Database, table: Table[Any]
) -> None:
    held = repository(db, table)
    written = rows(table, (3, 1, 2, 1, 3))
    assert await held.create_many(written) == 5
    assert await contents(held) == written
    assert await held.upsert_many(written) == 5
    assert await contents(held) == written * 2


@for_each(PRODUCTION)
async def test_an_update_of_many_counts_the_rows_that_were_there_and_the_last_of_several_counts(
    db: Database, table: Table[Any]
) -> None:
    held = repository(db, table)
    one, two, three = await stored(held, range(1, 4))
    absent = row(table, 50, **dict.fromkeys(table.generated, 5_000))
    changes = [
        with_key_of(table, three, row(table, 11)),
        absent,
        with_key_of(table, one, row(table, 12)),
        with_key_of(table, three, row(table, 13)),
    ]
    assert await held.update_many(changes) == (3 if is_in_turn(table) else 2)
    assert await held.get_all() == [changes[2], two, changes[3]]


@for_each(PRODUCTION)
async def test_an_upsert_of_many_counts_what_was_written_and_the_last_of_several_counts(
    db: Database, table: Table[Any]
) -> None:
    held = repository(db, table)
    one, two, three = await stored(held, range(1, 4))
    changes = [
        row(table, 4),
        with_key_of(table, three, row(table, 11)),
        with_key_of(table, one, row(table, 12)),
        with_key_of(table, three, row(table, 13)),
    ]
    assert await held.upsert_many(changes) == (4 if is_in_turn(table) else 3)
    found = await held.get_all()
    assert found[:3] == [changes[2], two, changes[3]]
    assert without_ids(table, found[3]) == row(table, 4)


@for_each(IDENTIFIED)
async def test_the_last_of_several_upserted_rows_of_one_identity_counts(
    db: Database, table: Table[Any]
) -> None:
    held = repository(db, table)
    changes = [same_key(table, 1, number) for number in (1, 7, 8, 9)]
    batch = [*changes[:2], row(table, 2), *changes[2:]]
    assert await held.upsert_many(batch) == (5 if is_in_turn(table) else 2)
    assert same_rows(await contents(held), [changes[-1], row(table, 2)])


@for_each(PRODUCTION)
async def test_a_model_of_another_table_in_the_middle_leaves_nothing_of_a_batch(
    db: Database, table: Table[Any]
) -> None:
    held = repository(db, table)
    before = await stored(held, range(1, 5))
    wrong: Any = row(TOKEN_META if table is not TOKEN_META else TRADES, 1)
    new = rows(table, (11, 12))
    changed = [with_key_of(table, model, row(table, 20)) for model in before]
    for bad in (wrong, None, new[0].model_dump()):
        for write, good in (
            (held.create_many, new),
            (held.upsert_many, new),
            (held.update_many, changed),
            (held.upsert_many, changed),
        ):
            with pytest.raises(InvalidInput, match=f"{table.name}: expected a"):
                await write([*good[:1], bad, *good[1:]])
    assert await held.get_all() == before


@for_each(WITH_MOMENTS)
async def test_a_time_in_the_future_in_the_middle_leaves_nothing_of_a_batch(
    db: Database, table: Table[Any]
) -> None:
    held = repository(db, table)
    before = await stored(held, range(1, 5))
    for name in table.moments:
        new = [row(table, 11), row(table, 12, **{name: LATE}), row(table, 13)]
        changed = [
            with_key_of(table, model, other) for model, other in zip(before, new, strict=False)
        ]
        for write, batch in (
            (held.create_many, new),
            (held.upsert_many, new),
            (held.update_many, changed),
            (held.upsert_many, [new[0], *changed]),
        ):
            with pytest.raises(FutureTime) as refused:
                await write(batch)
            assert refused.value.field == name
    assert await held.get_all() == before


@for_each(NUMBERED)
async def test_a_row_without_an_id_or_of_an_unknown_one_leaves_nothing_of_a_batch(
    db: Database, table: Table[Any]
) -> None:
    held = repository(db, table)
    before = await stored(held, range(1, 4))
    changed = [with_key_of(table, model, row(table, 20 + model.id)) for model in before]
    with pytest.raises(InvalidInput, match="id: expected the id of a stored row"):
        await held.update_many([*changed[:1], row(table, 30), *changed[1:]])
    with pytest.raises(InvalidInput, match=r"id: .*leave it None for a new one, got int 5000"):
        await held.upsert_many([row(table, 31), *changed, row(table, 30, id=5_000)])
    assert await held.get_all() == before


async def test_a_key_that_another_row_has_leaves_nothing_of_a_batch(db: Database) -> None:
    held = repository(db, LIVE_ORDERS)
    before = await stored(held, range(1, 4))
    taken = [model.model_copy(update={"reason": "changed"}) for model in before]
    taken[1].order_id = before[2].order_id
    for write in (held.update_many, held.upsert_many):
        with pytest.raises(AlreadyExists):
            await write(taken)
    assert await held.get_all() == before


@for_each(PRODUCTION)
async def test_a_batch_is_any_iterable_and_may_be_empty(db: Database, table: Table[Any]) -> None:
    held = repository(db, table)
    for write in (held.create_many, held.update_many, held.upsert_many):
        assert await write([]) == await write(iter(())) == 0
    assert await held.create_many(row(table, number) for number in (1, 2)) == 2
    assert await held.update_many(iter(await held.get_all())) == 2
    assert await held.upsert_many({"a": row(table, 3), "b": row(table, 4)}.values()) == 2


@for_each(PRODUCTION)
async def test_an_iterable_that_fails_stores_nothing(db: Database, table: Table[Any]) -> None:
    held = repository(db, table)

    def failing() -> Iterator[Any]:
        yield row(table, 1)
        raise RuntimeError("the source broke")

    for write in (held.create_many, held.update_many, held.upsert_many):
        with pytest.raises((RuntimeError, InvalidInput)):
            await write(failing())
    assert await held.count() == 0
