"""Calls of `process_new` inside a handler, and one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

import pytest

from polymarket_bot.storage import (
    Database,
    DatabaseConfig,
    PolymarketTrade,
    ProcessReport,
    TradeRepository,
    TradeWatermarkRepository,
    TransactionError,
)
from tests.handing_over import Seen, anything, at, nothing
from tests.makers import CONDITION, NOW, trade

Inner: TypeAlias = Callable[[Database, TradeRepository], Awaitable[object]]
OTHER = "0xother"


async def by_itself(_: Database, trades: TradeRepository) -> None:
    await trades.process_new(CONDITION, nothing)


async def by_another_repository(_: Database, trades: TradeRepository) -> None:
    await TradeRepository(trades._db).process_new(CONDITION, nothing)


async def by_the_database(db: Database, _: TradeRepository) -> None:
    await TradeRepository(db).process_new(CONDITION, nothing)


async def by_the_connection_of_an_inner_block(db: Database, _: TradeRepository) -> None:
    async with db.transaction() as connection:
        await TradeRepository(connection).process_new(CONDITION, nothing)


async def by_a_task(db: Database, trades: TradeRepository) -> None:
    await asyncio.create_task(by_the_connection_of_an_inner_block(db, trades))


async def by_the_handler_of_another_condition(_: Database, trades: TradeRepository) -> None:
    async def again(_: list[PolymarketTrade]) -> None:
        await trades.process_new(CONDITION, nothing)

    await trades.process_new(OTHER, again)


EVERY = (
    by_itself,
    by_another_repository,
    by_the_database,
    by_the_connection_of_an_inner_block,
    by_a_task,
    by_the_handler_of_another_condition,
)


@asynccontextmanager
async def place(db: Database, name: str) -> AsyncIterator[TradeRepository]:
    """Open where `process_new` is called: on the database, or on a connection."""
    if name == "database":
        yield TradeRepository(db)
    elif name == "block":
        async with db.transaction():
            yield TradeRepository(db)
    elif name == "connection of a block":
        async with db.transaction() as connection:
            yield TradeRepository(connection)
    else:
        async with db.connection() as connection:
            yield TradeRepository(connection)


PLACES = ("database", "block", "connection of a block", "connection")
ELSEWHERE = {by_the_database, by_the_connection_of_an_inner_block, by_a_task}
"""What is not done on the connection where one is held outside any block."""


@pytest.mark.parametrize(
    ("where", "inner"),
    [(w, i) for w in PLACES for i in EVERY if w != "connection" or i not in ELSEWHERE],
)
async def test_a_handler_does_not_process_its_own_condition(
    db: Database, trades: TradeRepository, where: str, inner: Inner
) -> None:
    await trades.create_many([*at(0, "a"), trade("b", condition_id=OTHER)])
    async with place(db, where) as outer:

        async def again(_: list[PolymarketTrade]) -> None:
            await inner(db, outer)

        with pytest.raises(TransactionError, match="let it return"):
            await outer.process_new(CONDITION, again)
    assert await anything(trades) == [["a"]]


async def test_a_late_trades_handler_does_not_either(
    db: Database, trades: TradeRepository, marks: TradeWatermarkRepository
) -> None:
    await marks.update(CONDITION, NOW)
    await trades.create_many(at(-1, "late"))

    async def again(_: list[PolymarketTrade]) -> None:
        await by_the_connection_of_an_inner_block(db, trades)

    with pytest.raises(TransactionError, match="let it return"):
        await trades.process_new(CONDITION, nothing, on_late=again)
    assert await anything(trades) == [["late"]]


async def test_on_another_connection_the_condition_is_busy(
    db: Database, trades: TradeRepository
) -> None:
    await trades.create_many(at(0, "a"))
    reports: list[ProcessReport] = []

    async def ask(_: list[PolymarketTrade]) -> None:
        with db.detached():
            reports.append(await trades.process_new(CONDITION, nothing))
        async with db.separate_transaction() as connection:
            reports.append(await TradeRepository(connection).process_new(CONDITION, nothing))
        async with db.connection() as connection:
            reports.append(await TradeRepository(connection).process_new(CONDITION, nothing))

    assert (await trades.process_new(CONDITION, ask)).handled == 1
    assert reports == [ProcessReport(busy=True)] * 3


@pytest.mark.parametrize("where", PLACES)
async def test_one_call_after_the_other_goes_well(
    db: Database, trades: TradeRepository, where: str
) -> None:
    async def fail(_: list[PolymarketTrade]) -> None:
        raise ZeroDivisionError

    async with place(db, where) as here:
        for name in "abc":
            await trades.create_many(at(ord(name), name))
            with pytest.raises(ZeroDivisionError):
                await here.process_new(CONDITION, fail)
            assert await anything(here) == [[name]]
            assert not await anything(TradeRepository(here._db))


async def test_tasks_of_a_block_take_turns(db: Database, trades: TradeRepository) -> None:
    await trades.create_many(at(0, "a"))
    seen = Seen()
    async with db.transaction():
        await asyncio.gather(*(trades.process_new(CONDITION, seen) for _ in range(3)))
    assert seen.calls == [["a"]]


@pytest.mark.parametrize("where", PLACES)
async def test_a_handler_may_process_another_condition_and_another_database(
    db: Database, trades: TradeRepository, where: str, empty_url: str
) -> None:
    config = DatabaseConfig(url=empty_url, migrate_on_start=True)
    async with Database(config) as elsewhere, place(db, where) as outer:
        there, seen = TradeRepository(elsewhere), Seen()
        await there.create_many(at(0, "there"))
        await trades.create_many([*at(0, "here"), trade("other", condition_id=OTHER)])

        async def more(_: list[PolymarketTrade]) -> None:
            await outer.process_new(OTHER, seen)
            await there.process_new(CONDITION, seen)
            async with elsewhere.transaction() as connection:
                await TradeRepository(connection).process_new(CONDITION, seen)

        assert (await outer.process_new(CONDITION, more)).handled == 1
        assert seen.calls == [["other"], ["there"]]


async def test_a_task_that_outlives_its_handler_processes_the_condition(
    db: Database, trades: TradeRepository
) -> None:
    await trades.create_many(at(0, "a"))
    over, tasks = asyncio.Event(), []

    async def follow_up() -> list[list[str]]:
        await over.wait()
        await trades.create_many(at(1, "b"))
        return await anything(trades)

    async def start(_: list[PolymarketTrade]) -> None:
        with db.detached():
            tasks.append(asyncio.create_task(follow_up()))

    await trades.process_new(CONDITION, start)
    over.set()
    assert await tasks[0] == [["b"]]
