"""Candidates: listed, decided on, and once executed left alone."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from polymarket_bot.storage import (
    CandidateRepository,
    Database,
    FutureTime,
    PolymarketCandidate,
)
from tests.makers import TOKEN
from tests.refusals import Calls, assert_all_refused
from tests.small_rows import candidate, tokens

DAY = datetime(2025, 10, 9, tzinfo=UTC)


@pytest.fixture
def candidates(db: Database) -> CandidateRepository:
    return CandidateRepository(db)


async def found(
    candidates: CandidateRepository, token_id: str = TOKEN, hour: int = 0, **changes: Any
) -> PolymarketCandidate:
    """Store a candidate that was created at an hour of the day."""
    created_at = DAY + timedelta(hours=hour)
    return await candidates.create(candidate(token_id, created_at=created_at, **changes))


async def test_create_returns_the_stored_row_with_its_id(candidates: CandidateRepository) -> None:
    stored = await found(candidates)
    assert stored == candidate(id=stored.id, created_at=DAY)
    twin = await found(candidates)
    assert twin.id != stored.id
    assert await candidates.get_by_id(stored.id) == stored
    assert await candidates.create_many([candidate(), candidate()]) == 2
    assert await candidates.count() == 4


async def test_pending_ones_come_oldest_first_and_others_newest_first(
    candidates: CandidateRepository,
) -> None:
    for token_id, hour in (("c", 3), ("a", 1), ("b", 2), ("twin of a", 1)):
        await found(candidates, token_id, hour)
    for token_id, hour in (("e", 5), ("f", 6), ("twin of e", 5)):
        await found(candidates, token_id, hour, status="own")
    assert tokens(await candidates.get_pending()) == ["a", "twin of a", "b", "c"]
    assert tokens(await candidates.get_pending(limit=2)) == ["a", "twin of a"]
    assert tokens(await candidates.get_by_status("pending")) == ["c", "b", "twin of a", "a"]
    assert tokens(await candidates.get_by_status("own", limit=2)) == ["f", "twin of e"]
    assert await candidates.get_pending(limit=0) == []


async def test_a_tokens_candidates_come_newest_first(candidates: CandidateRepository) -> None:
    for threshold, hour in ((0.9, 2), (0.95, 1), (0.97, 3)):
        await found(candidates, TOKEN, hour, threshold=threshold)
    await found(candidates, "other")
    rows = await candidates.get_by_token(TOKEN)
    assert [row.threshold for row in rows] == [0.97, 0.9, 0.95]


async def test_what_is_not_there_is_none_or_empty(candidates: CandidateRepository) -> None:
    assert await candidates.get_pending() == []
    assert await candidates.get_by_status("own") == []
    assert await candidates.get_by_token(TOKEN) == []
    assert await candidates.update_status(1, "own") is None
    assert await candidates.approve(1) is None
    assert await candidates.reject(1, 0.5) is None
    assert await candidates.mark_executed(1) is None


async def test_a_status_is_set_and_the_rest_is_left_as_it_was(
    candidates: CandidateRepository,
) -> None:
    row = await found(candidates, score=0.25, model_score=0.75)
    id_ = row.id or 0
    for change, status, score in (
        (candidates.update_status(id_, "own"), "own", 0.25),
        (candidates.approve(id_), "approved", 0.25),
        (candidates.reject(id_), "rejected", 0.25),
        (candidates.reject(id_, 0.5), "rejected", 0.5),
        (candidates.update_status(id_, "pending", 0), "pending", 0),
        (candidates.mark_executed(id_), "executed", 0),
    ):
        after = await change
        assert after is not None
        assert after == row.model_copy(
            update={"status": status, "score": score, "updated_at": after.updated_at}
        )
        assert await candidates.get_by_id(id_) == after


async def test_an_executed_candidate_stays_so(candidates: CandidateRepository) -> None:
    executed = await candidates.mark_executed((await found(candidates)).id or 0)
    assert executed is not None
    id_ = executed.id or 0
    assert await candidates.update_status(id_, "pending", 0.1) == executed
    assert await candidates.approve(id_) == executed
    assert await candidates.reject(id_, 0.1) == executed
    assert await candidates.mark_executed(id_) == executed
    for status in ("pending", "executed", "own"):
        late = executed.model_copy(update={"status": status, "score": 0.1})
        assert await candidates.update(late) == executed
        assert await candidates.upsert(late) == executed
        assert await candidates.update_many([late]) == await candidates.upsert_many([late]) == 0
    assert await candidates.get_all() == [executed]


async def test_no_status_after_an_execution_at_the_same_time(
    candidates: CandidateRepository,
) -> None:
    for _ in range(10):
        id_ = (await found(candidates)).id or 0
        await asyncio.gather(
            candidates.mark_executed(id_),
            candidates.reject(id_, 0.1),
            candidates.approve(id_),
            candidates.update_status(id_, "own"),
        )
        row = await candidates.get_by_id(id_)
        assert row is not None
        assert row.status == "executed"


async def test_a_candidate_from_the_future_is_refused(
    db: Database, candidates: CandidateRepository
) -> None:
    ahead = int(await db.fetchval("SELECT extract(epoch FROM now())")) + 1_000
    with pytest.raises(FutureTime, match="trigger_timestamp"):
        await found(candidates, trigger_timestamp=ahead)
    with pytest.raises(FutureTime, match="trigger_timestamp"):
        await candidates.create_many([candidate(), candidate(trigger_timestamp=ahead)])
    assert await candidates.count() == 0


CALLS: Calls = [
    ("limit", lambda c, v: c.get_pending(v), [None, -1, True, 1.0, "1", 2**63]),
    ("status", lambda c, v: c.get_by_status(v), [None, "", 5]),
    ("limit", lambda c, v: c.get_by_status("own", v), [None, -1, True]),
    ("token_id", lambda c, v: c.get_by_token(v), [None, "", 5, "a\x00"]),
    ("id", lambda c, v: c.update_status(v, "own"), [None, "x", True, 2**31]),
    ("status", lambda c, v: c.update_status(1, v), [None, "", 5, "a\x00"]),
    ("score", lambda c, v: c.update_status(1, "own", v), ["x", float("nan"), 10**39, True]),
    ("id", lambda c, v: c.approve(v), [None, "x", True]),
    ("id", lambda c, v: c.reject(v), [None, "x", True]),
    ("score", lambda c, v: c.reject(1, v), ["x", float("inf"), True]),
    ("id", lambda c, v: c.mark_executed(v), [None, "x", True]),
]


async def test_a_wrong_argument_is_refused_by_name(candidates: CandidateRepository) -> None:
    row = await found(candidates, id=1)
    await assert_all_refused(candidates, CALLS)
    assert await candidates.get_all() == [row]
