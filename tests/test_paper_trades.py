"""Trades on paper: what each call returns, in which order, and what it refuses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from polymarket_bot.storage import Database, PaperTrade, PaperTradeRepository
from tests.refusals import Calls, assert_all_refused
from tests.small_rows import paper_trade

DAY = datetime(2025, 10, 9, tzinfo=UTC)


@pytest.fixture
def papers(db: Database) -> PaperTradeRepository:
    return PaperTradeRepository(db)


def described(rows: list[PaperTrade]) -> list[tuple[int, str]]:
    return [(row.candidate_id, row.decision) for row in rows]


async def test_paper_trades_are_listed_newest_first(papers: PaperTradeRepository) -> None:
    for hour, (candidate_id, decision) in enumerate([(1, "buy"), (2, "skip"), (1, "skip")]):
        given = paper_trade(candidate_id, decision=decision, created_at=DAY + timedelta(hours=hour))
        await papers.create(given)
    twin = await papers.create(paper_trade(3, decision="buy", created_at=DAY))
    assert described(await papers.get_by_candidate(1)) == [(1, "skip"), (1, "buy")]
    assert described(await papers.get_recent(limit=3)) == [(1, "skip"), (2, "skip"), (3, "buy")]
    assert described(await papers.get_by_decision("buy")) == [(3, "buy"), (1, "buy")]
    assert await papers.get_by_decision("buy", limit=1) == [twin]


async def test_what_is_not_there_is_empty(papers: PaperTradeRepository) -> None:
    assert await papers.get_by_candidate(1) == []
    assert await papers.get_recent() == []
    assert await papers.get_by_decision("buy") == []


CALLS: Calls = [
    ("candidate_id", lambda p, v: p.get_by_candidate(v), [None, "x", True, 2**31]),
    ("limit", lambda p, v: p.get_recent(v), [None, -1, True, 1.0, "1"]),
    ("decision", lambda p, v: p.get_by_decision(v), [None, "", 5]),
    ("limit", lambda p, v: p.get_by_decision("buy", v), [None, -1, True]),
]


async def test_a_wrong_argument_is_refused_by_name(papers: PaperTradeRepository) -> None:
    await assert_all_refused(papers, CALLS)
