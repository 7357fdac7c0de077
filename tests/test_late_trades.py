"""A trade that arrives at or behind its condition's watermark is handed over, once."""

from __future__ import annotations

import asyncio

import pytest

from polymarket_bot.storage import (
    Database,
    PolymarketTrade,
    ProcessReport,
    TradeRepository,
    TradeWatermarkRepository,
)
from tests.handing_over import Seen, anything, at, nothing, trades_config
from tests.makers import CONDITION, NOW, trade
from tests.questions import until_waiting


async def test_what_arrives_at_or_behind_the_watermark_is_handed_over_once(
    trades: TradeRepository, marks: TradeWatermarkRepository
) -> None:
    await marks.update(CONDITION, NOW)
    await trades.ingest([*at(-9, "b"), *at(0, "c"), *at(-9, "a"), *at(1, "d")])
    seen, behind = Seen(), Seen()
    report = await trades.process_new(CONDITION, seen, on_late=behind)
    assert report == ProcessReport(handled=1, late=3, watermark=NOW + 1)
    assert (seen.calls, behind.calls) == ([["d"]], [["a", "b", "c"]])
    assert not await anything(trades)


@pytest.mark.parametrize("way", ["create", "create_many", "ingest", "upsert", "upsert_many"])
async def test_every_way_in_records_what_is_late(
    trades: TradeRepository, marks: TradeWatermarkRepository, way: str
) -> None:
    await marks.update(CONDITION, NOW)
    late, timely = trade("late", timestamp=NOW - 1), trade("timely", timestamp=NOW + 1)
    for _ in range(2):  # the second time they are known
        if way in {"create", "upsert"}:
            for one in (late, timely):
                await getattr(trades, way)(one)
        else:
            await getattr(trades, way)([late, timely])
    assert await anything(trades) == [["late"], ["timely"]]
    assert not await anything(trades)


async def test_late_trades_go_to_the_handler_in_a_call_of_their_own_where_no_other_is_given(
    trades: TradeRepository, marks: TradeWatermarkRepository
) -> None:
    await marks.update(CONDITION, NOW)
    await trades.create_many([*at(1, "new"), *at(-1, "late")])
    seen = Seen()
    await trades.process_new(CONDITION, seen)
    assert seen.calls == [["late"], ["new"]]


async def test_of_many_late_trades_no_more_than_the_limit_come_at_once(
    trades: TradeRepository, marks: TradeWatermarkRepository
) -> None:
    await marks.update(CONDITION, NOW)
    await trades.create_many(at(-1, "a", "b", "c", "d", "e"))
    seen = Seen()
    while (await trades.process_new(CONDITION, seen, limit=2)).late:
        pass
    assert seen.calls == [["a", "b"], ["c", "d"], ["e"]]


async def test_a_trade_that_is_stored_while_the_handler_works_is_late(
    trades: TradeRepository,
) -> None:
    await trades.create_many(at(5, "a"))
    config = trades_config(trades)

    async def slow(_: list[PolymarketTrade]) -> None:
        async with Database(config) as other:
            report = await TradeRepository(other).ingest([*at(3, "b"), *at(5, "c"), *at(7, "d")])
            assert (report.inserted, report.late) == (3, 0)

    assert (await trades.process_new(CONDITION, slow)).handled == 1
    assert await anything(trades) == [["b", "c"], ["d"]]
    assert not await anything(trades)


async def test_a_trade_of_a_transaction_that_began_before_the_watermark_moved_is_not_lost(
    db: Database, trades: TradeRepository
) -> None:
    await trades.create_many(at(5, "a"))
    seen, entered, go_on = Seen(), asyncio.Event(), asyncio.Event()

    async def ingest_slowly() -> None:
        async with db.transaction():
            report = await trades.ingest(at(3, "b"))
            assert (report.inserted, report.late) == (1, 0)
            entered.set()
            await go_on.wait()

    ingesting = asyncio.create_task(ingest_slowly())
    await entered.wait()
    processing = asyncio.create_task(trades.process_new(CONDITION, seen))
    await until_waiting(db)
    assert seen.calls == [["a"]]  # it is handed over, and waits for the other's commit
    go_on.set()
    await asyncio.gather(ingesting, processing)
    assert await anything(trades) == [["b"]]


async def test_an_ingest_that_waits_for_the_gate_sees_the_watermark_that_was_moved(
    db: Database, trades: TradeRepository
) -> None:
    await trades.create_many(at(5, "a"))
    moved, go_on = asyncio.Event(), asyncio.Event()

    async def process() -> None:
        async with db.transaction():
            await trades.process_new(CONDITION, nothing)
            moved.set()
            await go_on.wait()

    processing = asyncio.create_task(process())
    await moved.wait()
    ingesting = asyncio.create_task(trades.ingest(at(3, "b")))
    await until_waiting(db)
    go_on.set()
    await processing
    assert (await ingesting).late == 1
    assert await anything(trades) == [["b"]]


async def test_a_reset_hands_over_again_each_trade_once(
    trades: TradeRepository, marks: TradeWatermarkRepository
) -> None:
    await trades.create_many([*at(0, "a"), *at(5, "b")])
    assert await anything(trades) == [["a", "b"]]
    await trades.create_many(at(3, "c"))
    await marks.reset(CONDITION, NOW, "a test")
    assert await anything(trades) == [["c", "b"]]
    assert not await anything(trades)


async def test_a_late_trade_that_was_deleted_and_comes_again_is_late_again(
    trades: TradeRepository, marks: TradeWatermarkRepository
) -> None:
    await marks.update(CONDITION, NOW)
    (late,) = at(-1, "late")
    for _ in range(2):
        await trades.create(late)
        assert await anything(trades) == [["late"]]
        assert await trades.delete((CONDITION, "late"))
    assert not await anything(trades)


async def test_a_trade_of_the_first_second_of_all_is_handed_over_without_a_watermark(
    trades: TradeRepository,
) -> None:
    await trades.ingest([trade("first", timestamp=0)])
    assert await anything(trades) == [["first"]]
    assert not await anything(trades)
