"""What became of a write whose connection was lost: what the error says is what is stored."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from polymarket_bot.storage import (
    ConnectionLost,
    Database,
    Outcome,
    StatementTimeout,
    TradeRepository,
)
from tests.makers import payload, trade

from .proxy import Action, Direction, Proxy
from .record import SEED, TOLD, count, tell
from .support import eventually, value

if TYPE_CHECKING:
    from .servers import Server

ROUNDS = count("ROUNDS", 30)


@pytest.fixture
async def db(proxied: Database) -> Database:
    await proxied.execute("CREATE TABLE numbers (n int PRIMARY KEY)")
    return proxied


async def stored(server: Server, number: int = 1) -> bool:
    return bool(
        await value(server.url(), f"SELECT EXISTS (SELECT 1 FROM numbers WHERE n = {number})")
    )


async def write(db: Database, number: int = 1) -> None:
    async with db.transaction():
        await db.execute("INSERT INTO numbers VALUES ($1)", number)


@pytest.mark.parametrize(
    ("pattern", "action", "outcome"),
    [
        ("^insert", Action.CUT_BEFORE, Outcome.ROLLED_BACK),
        ("^insert", Action.CUT_AFTER, Outcome.ROLLED_BACK),
        ("if_assigned", Action.CUT_BEFORE, Outcome.ROLLED_BACK),
        ("if_assigned", Action.CUT_AFTER, Outcome.ROLLED_BACK),
        ("^commit", Action.CUT_BEFORE, Outcome.ROLLED_BACK),
        ("^commit", Action.CUT_WITHIN, Outcome.COMMITTED),
        ("^commit", Action.CUT_AFTER, Outcome.COMMITTED),
    ],
)
async def test_the_error_says_what_became_of_a_block(
    db: Database, server: Server, proxy: Proxy, pattern: str, action: Action, outcome: Outcome
) -> None:
    proxy.when(pattern, action)
    with pytest.raises(ConnectionLost, match=outcome.value) as caught:
        await write(db)
    assert caught.value.outcome is outcome
    assert await stored(server) is (outcome is Outcome.COMMITTED)
    await write(db, 2)
    assert await stored(server, 2)


async def test_the_outcome_is_found_when_every_connection_is_lost_at_commit(
    db: Database, server: Server, proxy: Proxy
) -> None:
    held = proxy.when("^commit", Action.HOLD_REPLY, times=None)
    limit = db.config.max_connections
    writing = [asyncio.create_task(write(db, number)) for number in range(limit)]
    await eventually(lambda: held.count == limit)
    await held.answered.wait()
    proxy.clear()
    proxy.cut_all()
    results = await asyncio.gather(*writing, return_exceptions=True)
    outcomes = [r.outcome if isinstance(r, ConnectionLost) else Outcome.COMMITTED for r in results]
    there = [await stored(server, number) for number in range(limit)]
    assert [outcome is Outcome.COMMITTED for outcome in outcomes] == there
    assert Outcome.UNKNOWN not in outcomes
    await write(db, limit)


async def test_a_commit_without_an_answer_is_looked_up(
    db: Database, server: Server, proxy: Proxy
) -> None:
    held = proxy.when("^commit", Action.HOLD_REPLY)
    with pytest.raises(ConnectionLost) as caught:
        await write(db)
    assert caught.value.outcome is Outcome.COMMITTED
    assert await stored(server)
    held.release()
    await write(db, 2)


async def test_a_commit_that_never_arrives_is_rolled_back(
    db: Database, server: Server, proxy: Proxy
) -> None:
    held = proxy.when("^commit", Action.HOLD)
    with pytest.raises(ConnectionLost) as caught:
        await write(db)
    held.release()
    assert caught.value.outcome is Outcome.ROLLED_BACK
    assert not await stored(server)
    await write(db, 2)


async def test_a_cancelled_commit_whose_connection_is_cut_is_looked_up(
    db: Database, server: Server, proxy: Proxy
) -> None:
    held = proxy.when("^commit", Action.HOLD_REPLY)
    task = asyncio.create_task(write(db))
    await held.answered.wait()
    task.cancel()
    proxy.cut_all()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert "committed" in "".join(caught.value.__notes__)
    assert await stored(server)


async def test_a_block_that_wrote_nothing_says_that_nothing_was_written(
    db: Database, proxy: Proxy
) -> None:
    proxy.when("^commit", Action.CUT_AFTER)
    with pytest.raises(ConnectionLost, match="nothing was written"):
        async with db.transaction():
            await db.fetchval("SELECT 1")
    assert await db.fetchval("SELECT 1") == 1


@pytest.mark.parametrize("action", [Action.CUT_BEFORE, Action.CUT_AFTER, Action.CUT_WITHIN])
async def test_run_in_transaction_runs_its_function_to_one_effect(
    db: Database, server: Server, proxy: Proxy, action: Action
) -> None:
    async def add() -> str:
        await db.execute("INSERT INTO numbers SELECT count(*) FROM numbers")
        return "done"

    proxy.when("^commit", action)
    assert await db.run_in_transaction(add) == "done"
    assert await value(server.url(), "SELECT count(*) FROM numbers") == 1


@pytest.mark.parametrize("pattern", ["^commit", "with stored", "pg_advisory", "^begin"])
@pytest.mark.parametrize("action", [Action.CUT_BEFORE, Action.CUT_AFTER, Action.CUT_WITHIN])
async def test_counts_stay_exact_through_a_lost_connection(
    db: Database, server: Server, proxy: Proxy, pattern: str, action: Action
) -> None:
    trades = TradeRepository(db)
    await trades.create(trade("a"))
    first = proxy.when(pattern, action)
    assert await trades.create_many([trade("a"), trade("b"), trade("c")]) == 2
    second = proxy.when(pattern, action)
    report = await trades.ingest([payload(), payload(), payload(size=3)])
    assert (report.read, report.inserted, report.duplicates) == (3, 2, 1)
    assert (first.count, second.count) == (1, 1)
    assert await value(server.url(), "SELECT count(*) FROM polymarket_trades") == 5


@pytest.mark.parametrize("action", [Action.CUT_BEFORE, Action.CUT_AFTER, Action.CUT_WITHIN])
async def test_reads_and_repeatable_writes_do_not_show_a_lost_connection(
    db: Database, proxy: Proxy, action: Action
) -> None:
    trades = TradeRepository(db)
    writing = proxy.when("with stored", action)
    first = await trades.create(trade())
    assert writing.count == 1
    proxy.when("^select", action)
    assert await trades.get_all() == [first]
    assert db.stats().retries > 0


async def test_a_write_that_is_not_repeatable_is_not_sent_twice(
    db: Database, server: Server, proxy: Proxy
) -> None:
    proxy.when("^insert", Action.CUT_AFTER)
    with pytest.raises(ConnectionLost) as caught:
        await db.execute("INSERT INTO numbers SELECT count(*) FROM numbers")
    assert caught.value.outcome is Outcome.UNKNOWN
    assert "read whether it was stored" in str(caught.value)
    assert await value(server.url(), "SELECT count(*) FROM numbers") == 1


async def test_half_open_connections_end_at_the_limit(db: Database, proxy: Proxy) -> None:
    assert await db.fetchval("SELECT 1") == 1
    proxy.half_open()
    with pytest.raises(StatementTimeout):
        await db.fetchval("SELECT 1")
    assert await db.fetchval("SELECT 1") == 1


async def test_a_stalled_server_ends_at_the_limit(db: Database, proxy: Proxy) -> None:
    assert await db.fetchval("SELECT 1") == 1
    proxy.stall(Direction.TO_CLIENT)
    with pytest.raises(StatementTimeout):
        await db.fetchval("SELECT 1")
    proxy.release()
    assert await db.fetchval("SELECT 1") == 1


async def test_one_byte_at_a_time_is_slow_and_right(db: Database, proxy: Proxy) -> None:
    proxy.trickle = True
    trades = TradeRepository(db)
    await trades.create(trade())
    assert [found.trade_id for found in await trades.get_all()] == ["t1"]


async def test_at_random_cuts_the_error_is_right_every_time(
    db: Database, server: Server, proxy: Proxy
) -> None:
    chance = random.Random(SEED)  # noqa: S311 - repeatable, no secret
    said: dict[int, Outcome] = {}
    cuts = 0
    for number in range(ROUNDS):
        pattern = chance.choice(("^begin", "^insert", "if_assigned", "^commit", "^commit"))
        action = chance.choice((Action.CUT_BEFORE, Action.CUT_AFTER, Action.CUT_WITHIN))
        cut = proxy.when(pattern, action)
        try:
            await write(db, number)
            said[number] = Outcome.COMMITTED
        except ConnectionLost as lost:
            said[number] = lost.outcome
        cuts += cut.count
        proxy.clear()
    there = set(await value(server.url(), "SELECT array_agg(n) FROM numbers") or ())
    wrong = {
        number: outcome
        for number, outcome in said.items()
        if outcome is Outcome.UNKNOWN or (outcome is Outcome.COMMITTED) != (number in there)
    }
    assert not wrong, f"{TOLD}: {wrong}"
    assert Outcome.COMMITTED in said.values()
    await write(db, ROUNDS)
    tell("network", times=cuts)
