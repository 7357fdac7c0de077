"""What an upsert inserts is late, what it replaces is not, whatever others do while it waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import pytest

from polymarket_bot.storage import (
    Database,
    PolymarketTrade,
    TradeRepository,
    TradeWatermarkRepository,
)
from tests.commands import BLOCKED, eventually
from tests.handing_over import anything, at
from tests.makers import CONDITION, NOW, trade

(LATE,) = at(-1, "late")
WAYS = pytest.mark.parametrize("way", ["upsert", "upsert_many"])


@pytest.fixture(autouse=True)
async def marked(marks: TradeWatermarkRepository) -> None:
    await marks.update(CONDITION, NOW)


def upserted(trades: TradeRepository, way: str, one: PolymarketTrade = LATE) -> Awaitable[Any]:
    return trades.upsert(one) if way == "upsert" else trades.upsert_many([one])


@asynccontextmanager
async def waiting(
    db: Database,
    held: Callable[[], Awaitable[object]],
    write: Callable[[], Awaitable[object]],
    *,
    commits: bool = True,
) -> AsyncIterator[None]:
    """Run the body while `write()` waits for what a transaction holds, then let both go on."""
    let_go, holds = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        with nullcontext() if commits else pytest.raises(ZeroDivisionError):
            async with db.transaction():
                await held()
                holds.set()
                await let_go.wait()
                if not commits:
                    raise ZeroDivisionError

    async with asyncio.TaskGroup() as group:
        group.create_task(hold())
        await holds.wait()
        group.create_task(write())  # type: ignore[arg-type]
        await eventually(db, BLOCKED)
        yield
        let_go.set()


@WAYS
async def test_what_another_stores_and_hands_over_while_an_upsert_waits_is_not_handed_over_again(
    db: Database, trades: TradeRepository, way: str
) -> None:
    seen: list[list[str]] = []

    async def store_and_hand_over() -> None:
        await trades.create(LATE)
        seen.extend(await anything(trades))

    async with waiting(db, store_and_hand_over, lambda: upserted(trades, way)):
        pass
    assert seen == [["late"]]
    assert not await anything(trades)


async def test_nor_is_what_is_stored_while_the_upsert_waits_for_another_row(
    db: Database, trades: TradeRepository
) -> None:
    first, second = at(-1, "a", "b")
    await trades.create(first)
    assert await anything(trades) == [["a"]]
    lock = "SELECT FROM polymarket_trades WHERE trade_id = 'a' FOR UPDATE"
    async with waiting(db, lambda: db.execute(lock), lambda: trades.upsert_many([second, first])):
        await trades.create_many([second])
        assert await anything(trades) == [["b"]]
    assert not await anything(trades)


@WAYS
async def test_what_another_deletes_while_an_upsert_waits_is_late_again(
    db: Database, trades: TradeRepository, way: str
) -> None:
    await trades.create(LATE)
    assert await anything(trades) == [["late"]]

    async with waiting(
        db, lambda: trades.delete((CONDITION, "late")), lambda: upserted(trades, way)
    ):
        pass
    assert await anything(trades) == [["late"]]
    assert not await anything(trades)


@WAYS
async def test_what_another_one_stores_and_takes_back_while_an_upsert_waits_is_late(
    db: Database, trades: TradeRepository, way: str
) -> None:
    async with waiting(
        db, lambda: trades.create(LATE), lambda: upserted(trades, way), commits=False
    ):
        pass
    assert await anything(trades) == [["late"]]
    assert not await anything(trades)


@WAYS
async def test_in_one_transaction_a_late_trade_is_late_again_only_where_it_was_deleted(
    db: Database, trades: TradeRepository, way: str
) -> None:
    async with db.transaction():
        await upserted(trades, way)
        assert await anything(trades) == [["late"]]
        await upserted(trades, way)
        await upserted(trades, way)
        assert await trades.update(LATE)
        await upserted(trades, way)
        assert not await anything(trades)
        assert await trades.delete((CONDITION, "late"))
        await upserted(trades, way)
        assert await anything(trades) == [["late"]]
    assert not await anything(trades)


@WAYS
async def test_what_a_savepoint_took_back_counts_for_nothing(
    db: Database, trades: TradeRepository, way: str
) -> None:
    async def taken_back() -> None:
        with pytest.raises(ZeroDivisionError):
            async with db.transaction():
                await upserted(trades, way)
                raise ZeroDivisionError

    async with db.transaction():
        await taken_back()
        await upserted(trades, way)
        assert await anything(trades) == [["late"]]
        await taken_back()
        await upserted(trades, way)
        assert not await anything(trades)


@WAYS
async def test_a_row_that_others_have_locked_is_known_all_the_same(
    db: Database, trades: TradeRepository, way: str
) -> None:
    await trades.create(LATE)
    assert await anything(trades) == [["late"]]
    lock = "SELECT FROM polymarket_trades FOR KEY SHARE"
    async with db.separate_transaction() as one, db.separate_transaction() as other:
        await one.execute(lock)
        await other.execute(lock)
        for _ in range(2):
            await upserted(trades, way)
            await other.execute(lock)
        assert not await anything(trades)


async def test_of_twins_in_a_batch_one_is_handed_over(trades: TradeRepository) -> None:
    twin = trade("late", timestamp=NOW - 2)
    for expected in ([["late"]], []):
        assert await trades.upsert_many([LATE, twin, LATE, twin]) == 1
        assert await anything(trades) == expected
    stored = await trades.get_by_id((CONDITION, "late"))
    assert stored is not None
    assert stored.timestamp == NOW - 2
