"""New trades are handed over once, in order, together with the watermark's move."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import pytest

from polymarket_bot.storage import (
    Database,
    DatabaseConfig,
    IdleTransactionTimeout,
    InvalidInput,
    PolymarketTrade,
    ProcessReport,
    QueryError,
    TradeRepository,
    TradeWatermarkRepository,
    TransactionError,
    TriggerRepository,
    seed_files,
)
from tests.commands import eventually
from tests.makers import CONDITION, trade, trigger
from tests.schemas import load

NOW = 1_760_000_000
WAITS = """
SELECT count(*) > 0 FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()
"""


@pytest.fixture
def trades(db: Database) -> TradeRepository:
    return TradeRepository(db)


@pytest.fixture
def marks(db: Database) -> TradeWatermarkRepository:
    return TradeWatermarkRepository(db)


class Seen:
    """A handler that remembers what it was given, one list a call."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    async def __call__(self, trades: list[PolymarketTrade]) -> None:
        self.calls.append([found.trade_id for found in trades])


def at(second: int, *names: str) -> list[PolymarketTrade]:
    return [trade(name, timestamp=NOW + second) for name in names]


async def nothing(_: list[PolymarketTrade]) -> None:
    """Do nothing."""


async def test_new_trades_come_in_the_order_of_time_and_id(
    trades: TradeRepository, marks: TradeWatermarkRepository
) -> None:
    await trades.create_many([*at(2, "a"), *at(1, "d", "c"), *at(0, "b")])
    seen = Seen()
    report = await trades.process_new(CONDITION, seen)
    assert seen.calls == [["b", "c", "d", "a"]]
    assert report == ProcessReport(handled=4, late=0, watermark=NOW + 2, busy=False)
    assert await marks.get_timestamp(CONDITION) == NOW + 2
    assert await trades.process_new(CONDITION, seen) == ProcessReport(watermark=NOW + 2)
    assert len(seen.calls) == 1


async def test_a_condition_without_trades_calls_nobody(trades: TradeRepository) -> None:
    await trades.create_many([trade("other", condition_id="other", timestamp=NOW)])
    seen = Seen()
    assert await trades.process_new(CONDITION, seen) == ProcessReport()
    assert seen.calls == []


@pytest.mark.parametrize(
    ("limit", "calls"),
    [
        (1, [["a"], ["b", "c", "d"], ["e"]]),
        (2, [["a", "b", "c", "d"], ["e"]]),
        (4, [["a", "b", "c", "d"], ["e"]]),
        (5, [["a", "b", "c", "d", "e"]]),
    ],
)
async def test_a_second_is_never_split(
    trades: TradeRepository, limit: int, calls: list[list[str]]
) -> None:
    await trades.create_many([*at(0, "a"), *at(1, "b", "c", "d"), *at(2, "e")])
    seen = Seen()
    while (await trades.process_new(CONDITION, seen, limit=limit)).handled:
        pass
    assert seen.calls == calls


async def test_a_trade_waits_until_it_has_settled(trades: TradeRepository) -> None:
    await trades.create_many([*at(0, "a"), *at(1, "b"), *at(2, "c"), *at(3, "d")])
    seen = Seen()
    for now, settle in ((NOW + 1.9, 2), (NOW + 2, 2), (NOW + 3, 1.5), (NOW + 3, 1), (NOW + 3, 0)):
        await trades.process_new(CONDITION, seen, now=now, settle_seconds=settle)
    assert seen.calls == [["a"], ["b"], ["c"], ["d"]]


async def test_settling_is_measured_by_the_database_s_clock(
    db: Database, trades: TradeRepository
) -> None:
    clock = int(await db.fetchval("SELECT extract(epoch FROM now())"))
    await trades.create_many([trade("old", timestamp=clock - 60), trade("new", timestamp=clock)])
    await trades.create(trade("ahead", timestamp=clock + 100))
    seen = Seen()
    await trades.process_new(CONDITION, seen, settle_seconds=50)
    await trades.process_new(CONDITION, seen, settle_seconds=0)
    assert seen.calls == [["old"], ["new"]]


async def test_a_replay_s_clock_may_be_a_datetime(trades: TradeRepository) -> None:
    await trades.create_many([*at(0, "a"), *at(1, "b")])
    seen = Seen()
    clock = datetime.fromtimestamp(NOW, UTC)
    await trades.process_new(CONDITION, seen, now=clock, settle_seconds=0)
    await trades.process_new(CONDITION, seen, now=clock.replace(tzinfo=None), settle_seconds=0)
    assert seen.calls == [["a"]]


async def test_a_trade_without_a_time_is_never_new(trades: TradeRepository) -> None:
    await trades.create(trade("timeless", timestamp=None))
    assert await trades.process_new(CONDITION, nothing) == ProcessReport()


async def test_what_the_handler_writes_and_the_watermark_s_move_commit_together(
    db: Database, trades: TradeRepository, marks: TradeWatermarkRepository
) -> None:
    await trades.create_many(at(0, "a"))
    triggers = TriggerRepository(db)

    async def claim(_: list[PolymarketTrade]) -> None:
        assert await triggers.claim(trigger())
        async with db.connection() as elsewhere:
            assert await TriggerRepository(elsewhere).count() == 0
            assert await TradeWatermarkRepository(elsewhere).get(CONDITION) is None

    await trades.process_new(CONDITION, claim)
    assert await triggers.count() == 1
    assert await marks.get_timestamp(CONDITION) == NOW


@pytest.mark.parametrize("which", ["new", "late"])
async def test_a_handler_that_raises_leaves_all_as_it_was(
    db: Database, trades: TradeRepository, marks: TradeWatermarkRepository, which: str
) -> None:
    await marks.update(CONDITION, NOW)
    await trades.create_many([*at(-5, "late"), *at(5, "new")])
    triggers = TriggerRepository(db)

    async def claim(_: list[PolymarketTrade]) -> None:
        await triggers.create(trigger())

    async def fail(_: list[PolymarketTrade]) -> None:
        await triggers.create(trigger("other"))
        raise ZeroDivisionError

    new, late = (fail, claim) if which == "new" else (claim, fail)
    with pytest.raises(ZeroDivisionError):
        await trades.process_new(CONDITION, new, on_late=late)
    assert await triggers.count() == 0
    assert await marks.get_timestamp(CONDITION) == NOW
    seen, behind = Seen(), Seen()
    assert await trades.process_new(CONDITION, seen, on_late=behind) == ProcessReport(
        handled=1, late=1, watermark=NOW + 5
    )
    assert (seen.calls, behind.calls) == ([["new"]], [["late"]])


async def test_a_handler_may_change_the_list_that_it_is_given(trades: TradeRepository) -> None:
    await trades.create_many(at(0, "a", "b"))

    async def empty(given: list[PolymarketTrade]) -> None:
        given.clear()

    assert (await trades.process_new(CONDITION, empty)).handled == 2
    assert (await trades.process_new(CONDITION, empty)) == ProcessReport(watermark=NOW)


async def test_a_busy_condition_is_skipped_and_another_is_not(
    trades: TradeRepository, marks: TradeWatermarkRepository
) -> None:
    await marks.update(CONDITION, NOW)
    await trades.create_many([*at(1, "a"), trade("b", condition_id="other", timestamp=NOW)])
    others = Seen()

    async def meanwhile(_: list[PolymarketTrade]) -> None:
        other_worker = asyncio.create_task(outside())
        await other_worker

    async def outside() -> None:
        busy = await elsewhere.process_new(CONDITION, others)
        assert busy == ProcessReport(watermark=NOW, busy=True)
        assert (await elsewhere.process_new("other", others)).handled == 1

    async with Database(trades_config(trades)) as other:
        elsewhere = TradeRepository(other)
        assert (await trades.process_new(CONDITION, meanwhile)).handled == 1
    assert others.calls == [["b"]]


def trades_config(trades: TradeRepository) -> DatabaseConfig:
    db = trades._db
    assert isinstance(db, Database)
    return db.config


async def test_of_many_workers_each_trade_is_handed_to_one(trades: TradeRepository) -> None:
    await trades.create_many(trade(f"{n:03}", timestamp=NOW + n // 3) for n in range(120))
    seen = Seen()

    async def work() -> None:
        while (report := await trades.process_new(CONDITION, seen, limit=7)).handled or report.busy:
            pass

    await asyncio.gather(*(work() for _ in range(8)))
    assert list(chain(*seen.calls)) == [f"{n:03}" for n in range(120)]


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


async def anything(trades: TradeRepository) -> list[list[str]]:
    """Return what would be handed over now, and do."""
    seen = Seen()
    await trades.process_new(CONDITION, seen, on_late=seen)
    return seen.calls


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
    await eventually(db, WAITS)
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
    await eventually(db, WAITS)
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


async def test_in_a_block_all_of_it_belongs_to_the_block(
    db: Database, trades: TradeRepository, marks: TradeWatermarkRepository
) -> None:
    await marks.update(CONDITION, NOW)
    await trades.create_many([*at(-1, "late"), *at(1, "new")])
    with pytest.raises(ZeroDivisionError):
        async with db.transaction():
            assert await anything(trades) == [["late"], ["new"]]
            assert not await anything(trades)
            raise ZeroDivisionError
    assert await anything(trades) == [["late"], ["new"]]


async def test_a_repository_on_a_connection_processes_in_its_transaction(db: Database) -> None:
    await TradeRepository(db).create_many(at(0, "a"))
    async with db.connection() as connection, connection.transaction():
        assert await anything(TradeRepository(connection)) == [["a"]]
    assert await TradeWatermarkRepository(db).get_timestamp(CONDITION) == NOW


@pytest.mark.parametrize("isolation", ["repeatable_read", "serializable"])
async def test_where_others_are_not_seen_nothing_is_processed_or_stored(
    db: Database, trades: TradeRepository, isolation: Any
) -> None:
    async with db.transaction(isolation=isolation):
        with pytest.raises(TransactionError, match="open the block without isolation="):
            await trades.process_new(CONDITION, nothing)
    async with db.transaction(isolation=isolation):
        with pytest.raises(TransactionError, match="trades cannot be stored under"):
            await trades.create_many(at(0, "a"))
    assert await trades.count() == 0


async def test_a_server_whose_default_is_another_isolation_is_no_obstacle(db: Database) -> None:
    name = await db.fetchval("SELECT current_database()")
    await db.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'")
    async with Database(db.config) as other:
        assert await other.fetchval("SHOW transaction_isolation") == "repeatable read"
        trades = TradeRepository(other)
        await trades.ingest(at(0, "a"))
        await trades.upsert_many(at(1, "b"))
        assert await anything(trades) == [["a", "b"]]
        assert await TriggerRepository(other).claim(trigger())


async def test_a_handler_does_not_process_its_own_condition(trades: TradeRepository) -> None:
    await trades.create_many(at(0, "a"))

    async def again(_: list[PolymarketTrade]) -> None:
        await trades.process_new(CONDITION, nothing)

    with pytest.raises(TransactionError, match="let it return"):
        await trades.process_new(CONDITION, again)
    assert await anything(trades) == [["a"]]


@pytest.fixture
async def hasty(db_url: str) -> AsyncIterator[TradeRepository]:
    config = DatabaseConfig(url=db_url, idle_in_transaction_timeout=0.3)
    async with Database(config) as database:
        yield TradeRepository(database)


@pytest.mark.parametrize("waits", ["for ever", "for long"])
async def test_a_handler_that_lets_the_transaction_idle_gets_that_error(
    hasty: TradeRepository, waits: str
) -> None:
    await hasty.create_many(at(0, "a"))
    calls = 0

    async def wait(_: list[PolymarketTrade]) -> None:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.6 if waits == "for long" else 3600)

    with pytest.raises(IdleTransactionTimeout, match="rolled back"):
        await hasty.process_new(CONDITION, wait)
    assert calls == 1
    assert await anything(hasty) == [["a"]]


async def test_a_slow_handler_that_runs_statements_is_not_idle(hasty: TradeRepository) -> None:
    await hasty.create_many(at(0, "a"))

    async def ask(_: list[PolymarketTrade]) -> None:
        for _turn in range(12):
            await asyncio.sleep(0.1)
            await hasty.count()

    assert (await hasty.process_new(CONDITION, ask)).handled == 1


WRONG = [
    ("condition_id", {"condition_id": None}),
    ("handler", {"handler": None}),
    ("on_late", {"on_late": "f"}),
    ("limit", {"limit": 0}),
    ("limit", {"limit": -1}),
    ("limit", {"limit": 1.5}),
    ("settle_seconds", {"settle_seconds": -0.1}),
    ("settle_seconds", {"settle_seconds": float("nan")}),
    ("settle_seconds", {"settle_seconds": "2"}),
    ("now", {"now": "today"}),
]


@pytest.mark.parametrize(("field", "change"), WRONG)
async def test_an_argument_that_does_not_fit_is_named(
    trades: TradeRepository, field: str, change: dict[str, Any]
) -> None:
    await trades.create_many(at(0, "a"))
    given: dict[str, Any] = {"condition_id": CONDITION, "handler": nothing, **change}
    with pytest.raises(InvalidInput) as caught:
        await trades.process_new(**given)
    assert caught.value.field == field
    assert await anything(trades) == [["a"]]


async def test_a_handler_that_cannot_be_awaited_is_refused(trades: TradeRepository) -> None:
    await trades.create_many(at(0, "a"))
    with pytest.raises(InvalidInput, match="async function"):
        await trades.process_new(CONDITION, lambda _: None)  # type: ignore[arg-type,return-value]
    assert await anything(trades) == [["a"]]


async def test_without_schema_ops_trades_are_stored_and_processing_says_what_to_do(
    empty_url: str,
) -> None:
    await load(empty_url, *seed_files()[:1])
    async with Database(DatabaseConfig(url=empty_url)) as db:
        trades = TradeRepository(db)
        await TradeWatermarkRepository(db).update(CONDITION, NOW)
        report = await trades.ingest([*at(-1, "a"), *at(1, "b")])
        assert (report.inserted, report.late) == (2, 1)
        await trades.upsert_many(at(-2, "c"))
        with pytest.raises(QueryError, match="migrate"):
            await trades.process_new(CONDITION, nothing)
        assert await trades.count() == 3
