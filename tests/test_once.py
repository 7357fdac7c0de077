"""What happens once, however many callers and processes want it."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from itertools import chain

import pytest

from polymarket_bot.storage import (
    CandidateRepository,
    Database,
    Position,
    PositionRepository,
    TradeApprovalRepository,
    TradeWatermarkRepository,
)
from tests.faults.record import SEED, TOLD, count, tell
from tests.questions import until_waiting
from tests.racers import CONNECTIONS
from tests.racing import Racer, race_together
from tests.small_rows import approval, candidate, position

KEYS = count("KEYS", 40)
PROCESSES = 8
ROWS = range(KEYS)


@pytest.fixture
def positions(db: Database) -> PositionRepository:
    return PositionRepository(db)


async def opened(positions: PositionRepository, number: int = 1) -> list[int]:
    rows = [await positions.create(position(str(n))) for n in range(1, number + 1)]
    return [row.id or 0 for row in rows]


async def one_winner(
    positions: PositionRepository, id_: int, answers: list[Position | None]
) -> Position:
    """Return the row that one caller got; the others got None, and it is what is stored."""
    (winner,) = [answer for answer in answers if answer is not None]
    assert await positions.get_by_id(id_) == winner
    return winner


async def test_of_eight_callers_one_closes_a_position(positions: PositionRepository) -> None:
    for id_ in await opened(positions, 20):
        answers = await asyncio.gather(
            *(positions.close(id_, Decimal(n) / 10, f"order {n}") for n in range(8))
        )
        winner = await one_winner(positions, id_, answers)
        number = int((winner.exit_order_id or "").split()[1])
        assert winner.current_price == Decimal(number) / 10
        assert winner.realized_pnl == 100 * Decimal(number) / 10 - 75


async def test_of_eight_callers_one_resolves_a_position(positions: PositionRepository) -> None:
    for id_ in await opened(positions, 20):
        answers = await asyncio.gather(*(positions.resolve(id_, f"{n}", n) for n in range(8)))
        winner = await one_winner(positions, id_, answers)
        assert winner.realized_pnl == int(winner.resolution or "") - 75


async def test_a_position_is_closed_or_resolved(positions: PositionRepository) -> None:
    for id_ in await opened(positions, 20):
        answers = await asyncio.gather(
            *(positions.close(id_, "0.8") for _ in range(4)),
            *(positions.resolve(id_, "YES", 100) for _ in range(4)),
        )
        winner = await one_winner(positions, id_, answers)
        closed = winner.status == "closed"
        assert winner.realized_pnl == (5 if closed else 25)
        assert (winner.exit_timestamp is not None) is closed
        assert (winner.resolved_at is None) is closed


async def test_a_close_that_is_rolled_back_never_happened(
    db: Database, positions: PositionRepository
) -> None:
    (id_,) = await opened(positions)
    with pytest.raises(ZeroDivisionError):
        async with db.transaction():
            assert await positions.close(id_, "0.8") is not None
            assert await positions.close(id_, "0.8") is None
            _ = 1 / 0
    closed = await positions.close(id_, "0.7")
    assert closed is not None
    assert closed.realized_pnl == -5


async def test_who_waits_for_a_close_that_is_rolled_back_closes(
    db: Database, positions: PositionRepository
) -> None:
    (id_,) = await opened(positions)
    async with db.connection() as connection:
        block = connection.transaction()
        await block.start()
        assert await PositionRepository(connection).close(id_, "0.8", "first") is not None
        waiting = [asyncio.create_task(positions.close(id_, "0.7", f"{n}")) for n in range(4)]
        await until_waiting(db, len(waiting))
        assert not any(task.done() for task in waiting)
        await block.rollback()
    winner = await one_winner(positions, id_, await asyncio.gather(*waiting))
    assert winner.exit_order_id != "first"


async def test_of_a_hundred_callers_one_consumes_an_approval(db: Database) -> None:
    approvals = TradeApprovalRepository(db)
    await approvals.create(approval())
    token = approval().token_id
    answers = await asyncio.gather(*(approvals.consume(token, "0.9") for _ in range(100)))
    (winner,) = [answer for answer in answers if answer is not None]
    assert await approvals.get_by_token(token) == winner
    assert winner.status == "executed"


def all_keys(url: str, *kinds: str) -> list[Racer]:
    """Return processes that will race for all rows."""
    return [Racer(url, kind, f"racer {n}", KEYS, SEED + n) for n, kind in enumerate(kinds)]


def hold_to_all_keys(racers: list[Racer]) -> None:
    assert [racer.status for racer in racers] == [0] * len(racers), TOLD
    assert {len(racer.outcomes) for racer in racers} == {KEYS}


async def winners(db: Database, table: str, racers: list[Racer]) -> dict[str, list[int]]:
    """Let processes race for all rows, and return which of them each has won; none wins all."""
    await race_together(db, table, racers, CONNECTIONS)
    hold_to_all_keys(racers)
    assert sum(any(is_won for _, is_won in racer.outcomes) for racer in racers) > 1, TOLD
    return {racer.name: [row for row, is_won in racer.outcomes if is_won] for racer in racers}


async def test_of_several_processes_one_closes_or_resolves_each_position(
    db: Database, db_url: str, positions: PositionRepository
) -> None:
    assert await opened(positions, KEYS) == [row + 1 for row in ROWS]
    racers = all_keys(db_url, *["close"] * 4, *["resolve"] * 4)
    won = await winners(db, "positions", racers)
    assert sorted(chain(*won.values())) == list(ROWS)
    for name, numbers in won.items():
        for number in numbers:
            row = await positions.get_by_id(number + 1)
            assert row is not None
            closed = int(name.split()[1]) < PROCESSES // 2
            assert (row.exit_order_id if closed else row.resolution) == name
            assert row.status == ("closed" if closed else "resolved")
    tell("racers", times=KEYS)


async def test_of_several_processes_one_consumes_each_approval(db: Database, db_url: str) -> None:
    approvals = TradeApprovalRepository(db)
    await approvals.create_many(approval(str(n)) for n in ROWS)
    won = await winners(db, "trade_approvals", all_keys(db_url, *["consume"] * PROCESSES))
    assert sorted(chain(*won.values())) == list(ROWS)
    assert {row.status for row in await approvals.get_all()} == {"executed"}
    tell("racers", times=KEYS)


async def test_of_several_processes_the_latest_mark_stands_and_none_goes_back(
    db: Database, db_url: str
) -> None:
    racers = all_keys(db_url, *["mark"] * PROCESSES)
    await race_together(db, "trade_watermarks", racers)
    hold_to_all_keys(racers)
    stood = {
        row.condition_id: row.last_timestamp for row in await TradeWatermarkRepository(db).get_all()
    }
    outcomes = [outcome for racer in racers for outcome in racer.outcomes]
    for number in ROWS:
        mine = [(sent, then) for key, sent, then in outcomes if key == number]
        assert stood[str(number)] == max(sent for sent, _ in mine), TOLD
        assert all(sent <= then <= stood[str(number)] for sent, then in mine), TOLD
    assert any(sent < then for _, sent, then in outcomes), f"{TOLD}: none has met another's"
    tell("racers", times=KEYS)


async def test_of_several_processes_one_decides_each_candidate(db: Database, db_url: str) -> None:
    await CandidateRepository(db).create_many(candidate(str(n)) for n in ROWS)
    racers = [Racer(db_url, "decide", f"racer {n}", 0, 0) for n in range(PROCESSES)]
    await race_together(db, "polymarket_candidates", racers)
    assert sum(bool(racer.outcomes) for racer in racers) > 1, f"{TOLD}: one has decided all"
    decided = sorted(outcome[0] for racer in racers for outcome in racer.outcomes)
    assert decided == [row + 1 for row in ROWS], TOLD
    trades = await db.fetch("SELECT candidate_id FROM paper_trades")
    assert sorted(row[0] for row in trades) == decided, TOLD
    tell("racers", times=KEYS)
