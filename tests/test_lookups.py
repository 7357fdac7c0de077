"""How rows are found, paged and deleted by their keys, over every table."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest

from polymarket_bot.storage import AlreadyExists, Database, InvalidInput, Table
from polymarket_bot.storage.tables import (
    DAILY_PNL,
    FIRST_TRIGGERS,
    POSITIONS,
    PRODUCTION,
)
from tests.every_table import (
    KEYED,
    for_each,
    key_of,
    repository,
)
from tests.strategies import row, rows


@for_each(PRODUCTION)
async def test_pages_show_every_row_once_in_key_order(db: Database, table: Table[Any]) -> None:
    held = repository(db, table)
    written = rows(table, [*range(1, 13), *range(76, 84)])  # as text, 10 comes before 9.5
    random.Random(7).shuffle(written)  # noqa: S311 - no secret
    stored = [await held.create(model) for model in written]
    expected = sorted(stored, key=lambda model: (key_of(table, model),))

    assert await held.get_all() == expected
    pages = [await held.get_all(limit=6, offset=offset) for offset in range(0, 24, 6)]
    assert [len(page) for page in pages] == [6, 6, 6, 2]
    assert [model for page in pages for model in page] == expected
    assert await held.get_all(limit=0) == await held.get_all(offset=20) == []
    assert await held.count() == 20


@for_each(PRODUCTION)
async def test_limits_and_offsets_are_whole_numbers(db: Database, table: Table[Any]) -> None:
    held = repository(db, table)
    for wrong in (-1, True, 1.5, "5", None, 2**63):
        value: Any = wrong
        with pytest.raises(InvalidInput, match="limit: expected a whole number"):
            await held.get_all(limit=value)
        with pytest.raises(InvalidInput, match="offset: expected a whole number"):
            await held.get_all(offset=value)


@for_each(PRODUCTION)
async def test_a_row_is_found_by_every_column(db: Database, table: Table[Any]) -> None:
    held = repository(db, table)
    stored = [await held.create(model) for model in rows(table, (1, 2, 3))]
    for name in table.columns:
        for model in stored:
            value = getattr(model, name)
            first = next(other for other in stored if getattr(other, name) == value)
            assert await held.get_by_id(value, name) == first
            assert await held.exists(value, name) is True
    await held.delete(key_of(table, stored[2]))
    distinct = [n for n in table.columns if getattr(stored[2], n) != getattr(stored[0], n)]
    for name in distinct:
        assert await held.exists(getattr(stored[2], name), name) is False


@for_each(PRODUCTION)
async def test_text_that_is_no_column_never_reaches_sql(db: Database, table: Table[Any]) -> None:
    held = repository(db, table)
    stored = await held.create(row(table, 1))
    for wrong in ("", "no_such_column", '"; DROP TABLE positions; --', "token_id OR true", "ctid"):
        for ask in (held.get_by_id, held.exists, held.delete):
            call: Any = ask
            with pytest.raises(InvalidInput, match="id_column: expected one of"):
                await call("key-00001", wrong)
    assert await held.get_all() == [stored]


@for_each(PRODUCTION)
async def test_only_a_unique_column_tells_what_to_delete(db: Database, table: Table[Any]) -> None:
    held = repository(db, table)
    stored = await held.create(row(table, 1))
    unique = {columns[0] for columns in (table.key, *table.unique) if len(columns) == 1}
    for name in set(table.columns) - unique:
        with pytest.raises(InvalidInput, match="id_column: expected a unique one of"):
            await held.delete(getattr(stored, name), name)
    assert await held.get_all() == [stored]
    for name in unique:
        assert await held.delete(getattr(stored, name), name) is True
        assert await held.count() == 0
        stored = await held.create(row(table, 1))


@for_each(PRODUCTION)
async def test_a_key_that_does_not_fit_is_refused(db: Database, table: Table[Any]) -> None:
    held = repository(db, table)
    wrong: list[Any] = [None, ()] if len(table.key) == 1 else [None, "a", ("a",), ["a", "b"]]
    for key in wrong:
        with pytest.raises(InvalidInput):
            await held.get_by_id(key)
        with pytest.raises(InvalidInput):
            await held.exists(key)
        with pytest.raises(InvalidInput):
            await held.delete(key)


@for_each(KEYED)
async def test_a_key_is_written_as_it_was_given(db: Database, table: Table[Any]) -> None:
    held = repository(db, table)
    stored = await held.create(row(table, 1))
    assert key_of(table, stored) == key_of(table, row(table, 1))
    assert await held.get_by_id(key_of(table, row(table, 2))) is None


@pytest.mark.parametrize("threshold", [0.95, "0.95", Decimal("0.95"), "0.9500000001"])
async def test_a_threshold_in_a_key_is_the_real_that_it_is_stored_as(
    db: Database, threshold: Any
) -> None:
    held = repository(db, FIRST_TRIGGERS)
    stored = await held.create(row(FIRST_TRIGGERS, 1, threshold=0.95))
    assert await held.get_by_id(("key-00001", threshold)) == stored
    assert await held.upsert(row(FIRST_TRIGGERS, 1, threshold=threshold)) == stored
    assert await held.create_many([row(FIRST_TRIGGERS, 1, threshold=threshold)]) == 0


@pytest.mark.parametrize(
    "older", ["2025-01-01T00:00:01", "2025-01-01 00:00:01Z", "2024-12-31T19:00:01-05:00"]
)
async def test_an_older_spelling_of_a_time_in_a_key_is_the_same_key(
    db: Database, older: str
) -> None:
    held = repository(db, POSITIONS)
    stored = await held.create(row(POSITIONS, 1))
    await db.execute("UPDATE positions SET entry_timestamp = $1", older)
    with pytest.raises(AlreadyExists):
        await held.create(row(POSITIONS, 1))
    assert await held.create_many([row(POSITIONS, 1)]) == 0
    changed = await held.upsert(row(POSITIONS, 1, market_id="another"))
    assert (changed.id, changed.market_id) == (stored.id, "another")
    assert await held.upsert_many([row(POSITIONS, 1, market_id="a third")]) == 1
    assert await held.count() == 1


async def test_a_day_is_the_same_key_as_date_and_as_text(db: Database) -> None:
    held = repository(db, DAILY_PNL)
    stored = await held.create(row(DAILY_PNL, 1, date="20250102"))
    assert stored.date == "2025-01-02"
    assert await held.get_by_id("2025-01-02") == await held.get_by_id("20250102") == stored
