"""Attempts to leave a position: each is executed or fails once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from polymarket_bot.storage import Database, ExitEvent, ExitEventRepository
from tests.refusals import Calls, assert_all_refused
from tests.small_rows import exit_event

DAY = datetime(2025, 10, 9, tzinfo=UTC)


@pytest.fixture
def exits(db: Database) -> ExitEventRepository:
    return ExitEventRepository(db)


async def planned(exits: ExitEventRepository, hour: int = 0, **changes: Any) -> ExitEvent:
    return await exits.create(exit_event(created_at=DAY + timedelta(hours=hour), **changes))


def ids(rows: list[ExitEvent]) -> list[int | None]:
    return [row.id for row in rows]


async def test_exits_are_listed_oldest_first(exits: ExitEventRepository) -> None:
    late, early, middle = [await planned(exits, hour) for hour in (9, 1, 5)]
    twin = await planned(exits, 5)
    other = await planned(exits, 0, position_id=2)
    assert ids(await exits.get_pending()) == ids([other, early, middle, twin, late])
    assert ids(await exits.get_by_position(1)) == ids([early, middle, twin, late])
    await exits.mark_executed(middle.id or 0)
    await exits.mark_failed(late.id or 0, "no bid")
    assert ids(await exits.get_pending()) == ids([other, early, twin])
    assert ids(await exits.get_by_position(1)) == ids([early, middle, twin, late])


async def test_what_is_not_there_is_none_or_empty(exits: ExitEventRepository) -> None:
    assert await exits.get_pending() == []
    assert await exits.get_by_position(1) == []
    assert await exits.mark_executed(1) is None
    assert await exits.mark_failed(1, "x") is None


async def test_an_executed_exit_has_its_time(exits: ExitEventRepository) -> None:
    row = await planned(exits, reason="stop")
    executed = await exits.mark_executed(row.id or 0)
    assert executed is not None
    assert (executed.status, executed.reason) == ("executed", "stop")
    assert executed.executed_at is not None
    assert executed.executed_at.endswith("+00:00")


async def test_a_failed_exit_has_its_reason(exits: ExitEventRepository) -> None:
    failed = await exits.mark_failed((await planned(exits, reason="stop")).id or 0, "no bid")
    assert failed is not None
    assert (failed.status, failed.reason, failed.executed_at) == ("failed", "no bid", None)


@pytest.mark.parametrize("first", ["executed", "failed"])
async def test_an_exit_ends_once(exits: ExitEventRepository, first: str) -> None:
    id_ = (await planned(exits)).id or 0
    ended = await (exits.mark_executed(id_) if first == "executed" else exits.mark_failed(id_, "a"))
    assert ended is not None
    assert await exits.mark_executed(id_) == ended
    assert await exits.mark_failed(id_, "b") == ended
    for status in ("pending", "executed", "failed", "own"):
        late = ended.model_copy(update={"status": status, "reason": "late"})
        assert await exits.update(late) == ended
        assert await exits.upsert(late) == ended
        assert await exits.update_many([late]) == await exits.upsert_many([late]) == 0
    assert await exits.get_all() == [ended]


CALLS: Calls = [
    ("position_id", lambda e, v: e.get_by_position(v), [None, "x", True, 2**31]),
    ("id", lambda e, v: e.mark_executed(v), [None, "x", True]),
    ("id", lambda e, v: e.mark_failed(v, "r"), [None, "x", True]),
    ("reason", lambda e, v: e.mark_failed(1, v), [None, 5, "a\x00"]),
]


async def test_a_wrong_argument_is_refused_by_name(exits: ExitEventRepository) -> None:
    await assert_all_refused(exits, CALLS)
