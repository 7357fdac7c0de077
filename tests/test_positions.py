"""Positions and their exits: what each call returns, in which order, and what it refuses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from polymarket_bot.storage import (
    AlreadyExists,
    Database,
    InvalidInput,
    Position,
    PositionRepository,
)
from polymarket_bot.storage.clock import parse_time
from tests.makers import TOKEN
from tests.refusals import Calls, assert_all_refused
from tests.small_rows import position

OTHER = "8" * 77
DAY = datetime(2025, 10, 9, tzinfo=UTC)


@pytest.fixture
def positions(db: Database) -> PositionRepository:
    return PositionRepository(db)


async def opened(positions: PositionRepository, hour: int = 0, **changes: Any) -> Position:
    """Store a position that was opened at an hour of the day."""
    return await positions.create(position(entry_timestamp=DAY + timedelta(hours=hour), **changes))


def number(row: Position) -> int:
    assert row.id is not None
    return row.id


def hours(rows: list[Position]) -> list[int]:
    return [parse_time(row.entry_timestamp).hour for row in rows]


async def test_create_returns_the_stored_row_with_its_id(positions: PositionRepository) -> None:
    stored = await positions.create(position())
    assert stored == position(id=stored.id, entry_timestamp="2025-10-09T12:00:00.000000+00:00")
    assert (stored.side, stored.status, stored.realized_pnl) == ("BUY", "open", Decimal(0))
    assert await positions.get_by_id(stored.id) == stored
    again = await positions.create(position(id=stored.id, entry_timestamp=DAY))
    assert again.id != stored.id


async def test_a_second_position_of_the_same_key_is_refused(positions: PositionRepository) -> None:
    await opened(positions)
    with pytest.raises(AlreadyExists):
        await opened(positions, size="5")
    assert await positions.count() == 1
    await opened(positions, hour=1)
    await opened(positions, token_id=OTHER)
    assert await positions.count() == 3


async def test_positions_are_listed_by_the_time_of_their_entry(
    positions: PositionRepository,
) -> None:
    for hour in (2, 0, 3, 1):
        await opened(positions, hour)
    closed = await opened(positions, 5)
    await opened(positions, 4, token_id=OTHER)
    await positions.close(number(closed), "0.8")
    assert hours(await positions.get_open()) == [0, 1, 2, 3, 4]
    assert hours(await positions.get_by_status("open", limit=2)) == [4, 3]
    assert hours(await positions.get_by_status("closed")) == [5]
    assert hours(await positions.get_by_token(TOKEN)) == [5, 3, 2, 1, 0]
    assert hours(await positions.get_open_by_token(TOKEN)) == [0, 1, 2, 3]
    assert await positions.get_by_status("open", limit=0) == []


async def test_of_positions_of_one_instant_the_later_stored_is_the_newer(
    positions: PositionRepository,
) -> None:
    ids = [number(await opened(positions, token_id=name)) for name in "abc"]
    assert [row.id for row in await positions.get_open()] == ids
    assert [row.id for row in await positions.get_by_status("open")] == ids[::-1]


async def test_what_is_not_there_is_none_or_empty(positions: PositionRepository) -> None:
    assert await positions.get_by_id(1) is None
    assert await positions.get_open() == []
    assert await positions.get_by_status("open") == []
    assert await positions.get_by_token("absent") == []
    assert await positions.get_open_by_token("absent") == []
    assert await positions.update_price(1, "0.5") is None
    assert await positions.close(1, "0.5") is None
    assert await positions.resolve(1, "YES", 5) is None
    assert await positions.delete(1) is False
    assert await positions.update(position(id=1)) is None
    assert await positions.get_total_exposure() == Decimal(0)


async def test_a_price_gives_value_and_profit(positions: PositionRepository) -> None:
    row = await opened(positions)
    priced = await positions.update_price(number(row), "0.85")
    assert priced is not None
    assert (priced.current_price, priced.current_value) == (Decimal("0.85"), Decimal(85))
    assert (priced.unrealized_pnl, priced.realized_pnl) == (Decimal(10), Decimal(0))
    assert priced.updated_at is not None
    assert await positions.get_by_id(row.id) == priced


async def test_a_close_books_the_profit(positions: PositionRepository) -> None:
    row = await opened(positions, entry_order_id="in", exit_order_id="planned")
    closed = await positions.close(number(row), "0.85")
    assert closed is not None
    assert (closed.status, closed.realized_pnl) == ("closed", Decimal(10))
    assert (closed.current_price, closed.current_value) == (Decimal("0.85"), Decimal(85))
    assert (closed.unrealized_pnl, closed.exit_order_id) == (Decimal(0), "planned")
    assert closed.exit_timestamp is not None
    assert closed.exit_timestamp == closed.updated_at
    assert closed.resolved_at is None


async def test_a_close_takes_a_profit_that_is_known_better(positions: PositionRepository) -> None:
    row = await opened(positions)
    closed = await positions.close(number(row), "0.85", "out", "9.75")
    assert closed is not None
    assert (closed.realized_pnl, closed.exit_order_id) == (Decimal("9.75"), "out")
    other = await opened(positions, 1)
    lost = await positions.close(number(other), 0, realized_pnl=-75)
    assert lost is not None
    assert (lost.realized_pnl, lost.current_price) == (Decimal(-75), Decimal(0))


async def test_a_resolution_pays_out(positions: PositionRepository) -> None:
    row = await opened(positions)
    await positions.update_price(number(row), "0.9")
    resolved = await positions.resolve(number(row), "YES", 100)
    assert resolved is not None
    assert (resolved.status, resolved.resolution) == ("resolved", "YES")
    assert (resolved.realized_pnl, resolved.current_value) == (Decimal(25), Decimal(100))
    assert (resolved.unrealized_pnl, resolved.exit_timestamp) == (Decimal(0), None)
    assert resolved.resolved_at is not None


async def test_a_position_pays_out_at_most_its_size(positions: PositionRepository) -> None:
    row = await opened(positions)
    with pytest.raises(InvalidInput, match="final_value: expected at most the size of 100 shares"):
        await positions.resolve(number(row), "YES", "100.001")
    assert await positions.get_by_id(row.id) == row
    resolved = await positions.resolve(number(row), "NO", 0)
    assert resolved is not None
    assert resolved.realized_pnl == Decimal(-75)
    assert await positions.resolve(number(row), "YES", "100.001") is None


CHANGES: list[Callable[[PositionRepository, int], Awaitable[Position | None]]] = [
    lambda positions, id_: positions.close(id_, "0.1", "late", 5),
    lambda positions, id_: positions.resolve(id_, "late", 1),
    lambda positions, id_: positions.update_price(id_, "0.1"),
]


@pytest.mark.parametrize("status", ["closed", "resolved"])
async def test_what_is_no_longer_open_is_not_changed_again(
    positions: PositionRepository, status: str
) -> None:
    id_ = number(await opened(positions))
    if status == "closed":
        final = await positions.close(id_, "0.85", "out")
    else:
        final = await positions.resolve(id_, "YES", 100)
    assert final is not None
    for change in CHANGES:
        assert await change(positions, id_) is None
    assert await positions.get_by_id(id_) == final
    for given in ("open", "closed", "resolved", "own"):
        late = final.model_copy(update={"status": given, "realized_pnl": Decimal(1)})
        assert await positions.update(late) == final
        assert await positions.upsert(late) == final
        assert await positions.update_many([late]) == 0
        assert await positions.upsert_many([late]) == 0
        new = late.model_copy(update={"id": None})
        assert await positions.upsert(new) == final
        assert await positions.upsert_many([new]) == 0
    assert await positions.get_all() == [final]


async def test_only_an_open_position_is_closed(positions: PositionRepository) -> None:
    row = await opened(positions, status="closing")
    for change in CHANGES:
        assert await change(positions, number(row)) is None
    assert await positions.update(row.model_copy(update={"status": "open"}))
    assert await positions.close(number(row), "0.85") is not None


async def test_exposure_is_the_cost_of_what_is_open(positions: PositionRepository) -> None:
    for hour, cost in enumerate(("0.1", "0.2", "1000000", "75.25")):
        await opened(positions, hour, entry_cost=cost)
    closed = await opened(positions, 9, entry_cost="5")
    await positions.close(number(closed), "0.5")
    assert await positions.get_total_exposure() == Decimal("1000075.55")


CALLS: Calls = [
    ("id", lambda p, v: p.update_price(v, "0.5"), [None, "x", True, 1.5, 2**31]),
    ("id", lambda p, v: p.close(v, "0.5"), [None, "x", True]),
    ("id", lambda p, v: p.resolve(v, "YES", 1), [None, "x", True]),
    ("current_price", lambda p, v: p.update_price(1, v), [None, "", "nan", -0.1, 1.01, True]),
    ("exit_price", lambda p, v: p.close(1, v), [None, "x", float("inf"), "-0.01", 2, False]),
    ("exit_order_id", lambda p, v: p.close(1, "0.5", v), [5, "a\x00"]),
    ("realized_pnl", lambda p, v: p.close(1, "0.5", None, v), ["x", float("nan"), 10**39, True]),
    ("resolution", lambda p, v: p.resolve(1, v, 1), [None, 5, "a\x00"]),
    ("final_value", lambda p, v: p.resolve(1, "YES", v), [None, -1, "x", float("nan"), True]),
    ("status", lambda p, v: p.get_by_status(v), [None, "", 5]),
    ("limit", lambda p, v: p.get_by_status("open", v), [None, -1, "5", True, 1.0, 2**63]),
    ("token_id", lambda p, v: p.get_by_token(v), [None, "", 5, "a\x00"]),
    ("token_id", lambda p, v: p.get_open_by_token(v), [None, ""]),
]


async def test_a_wrong_argument_is_refused_by_name(positions: PositionRepository) -> None:
    row = await opened(positions, id=1)
    await assert_all_refused(positions, CALLS)
    assert await positions.get_all() == [row]
