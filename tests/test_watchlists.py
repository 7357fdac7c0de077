"""Tokens and markets under watch, and their scores: listed best first, recorded together."""

from __future__ import annotations

import asyncio

import pytest

from polymarket_bot.storage import (
    ConstraintViolation,
    Database,
    FutureTime,
    MarketScoresCache,
    MarketScoresCacheRepository,
    ScoreHistoryRepository,
    TradeWatchlistRepository,
)
from tests.makers import CONDITION, NOW, TOKEN
from tests.questions import unix_time
from tests.refusals import Calls, assert_all_refused
from tests.small_rows import score, scores, store, tokens, watched


@pytest.fixture
def watchlist(db: Database) -> TradeWatchlistRepository:
    return TradeWatchlistRepository(db)


@pytest.fixture
def cache(db: Database) -> MarketScoresCacheRepository:
    return MarketScoresCacheRepository(db)


@pytest.fixture
def history(db: Database) -> ScoreHistoryRepository:
    return ScoreHistoryRepository(db)


async def test_of_items_for_a_token_the_first_stands(watchlist: TradeWatchlistRepository) -> None:
    first = await watchlist.create(watched(initial_score=0.5, current_score=0.5))
    assert first == watched(initial_score=0.5, current_score=0.5)
    assert await watchlist.create(watched(initial_score=0.9, status="promoted")) == first
    assert await watchlist.create_many([watched(initial_score=0.9), watched("b")]) == 1
    assert await watchlist.get_by_id(TOKEN) == first


async def test_the_best_score_comes_first(watchlist: TradeWatchlistRepository) -> None:
    given = {"a": 0.9, "b": 100000, "c": None, "d": 0.9, "e": -1e-05, "f": 2e7, "g": 3, "h": -2}
    for name, value in given.items():
        await watchlist.create(watched(name, current_score=value))
    await watchlist.create(watched("other", current_score=9, status="traded"))
    expected = ["f", "b", "g", "a", "d", "e", "h", "c"]
    assert tokens(await watchlist.get_watching()) == expected
    assert tokens(await watchlist.get_by_status("watching")) == expected
    assert tokens(await watchlist.get_by_status("traded")) == ["other"]


async def test_what_is_not_there_is_none_or_empty(db: Database) -> None:
    watchlist, cache = TradeWatchlistRepository(db), MarketScoresCacheRepository(db)
    history = ScoreHistoryRepository(db)
    assert await watchlist.get_watching() == []
    assert await watchlist.get_by_status("own") == []
    assert await watchlist.update_score(TOKEN, 0.5, 1) is None
    assert await watchlist.update_score(TOKEN, 0.5, 1, record_history=True) is None
    for change in (watchlist.promote, watchlist.mark_traded, watchlist.mark_expired):
        assert await change(TOKEN) is None
    assert await watchlist.reject(TOKEN) is None
    assert await cache.get_by_condition(CONDITION) is None
    assert await cache.get_passing() == []
    assert await cache.get_by_category_flags(is_crypto=True) == []
    assert await history.get_by_token(TOKEN) == []
    assert await history.get_recent(0) == []
    assert await history.cleanup_old() == 0
    assert await history.count() == 0


async def test_a_new_score_has_the_databases_time(
    db: Database, watchlist: TradeWatchlistRepository, history: ScoreHistoryRepository
) -> None:
    await watchlist.create(watched(initial_score=0.5, current_score=0.5, created_at=NOW))
    before = await unix_time(db)
    row = await watchlist.update_score(TOKEN, 0.75, 3.5)
    assert row is not None
    assert (row.initial_score, row.current_score, row.time_to_end_hours) == (0.5, 0.75, 3.5)
    assert before <= (row.last_scored_at or 0) <= await unix_time(db)
    assert (row.updated_at, row.created_at) == (row.last_scored_at, NOW)
    assert await watchlist.get_by_id(TOKEN) == row
    cleared = await watchlist.update_score(TOKEN, 0, None)
    assert cleared is not None
    assert (cleared.current_score, cleared.time_to_end_hours) == (0, None)
    assert await history.count() == 0


async def test_a_recorded_score_is_in_the_history_too(
    watchlist: TradeWatchlistRepository, history: ScoreHistoryRepository
) -> None:
    await watchlist.create(watched())
    row = await watchlist.update_score(TOKEN, 0.75, 3.5, record_history=True)
    assert row is not None
    (recorded,) = await history.get_all()
    expected = score(score=0.75, time_to_end_hours=3.5, scored_at=row.last_scored_at)
    assert recorded.model_copy(update={"id": None}) == expected


@pytest.mark.parametrize("table", ["trade_watchlist", "score_history"])
async def test_a_score_and_its_record_are_stored_together_or_not_at_all(
    db: Database, watchlist: TradeWatchlistRepository, history: ScoreHistoryRepository, table: str
) -> None:
    row = await watchlist.create(watched(current_score=0.5))
    column = "score" if table == "score_history" else "current_score"
    await db.execute(f"ALTER TABLE {table} ADD CONSTRAINT small CHECK ({column} < 1)")
    with pytest.raises(ConstraintViolation):
        await watchlist.update_score(TOKEN, 2, 1, record_history=True)
    assert await watchlist.get_by_id(TOKEN) == row
    assert await history.count() == 0


async def test_a_recorded_score_is_part_of_the_callers_transaction(
    db: Database, watchlist: TradeWatchlistRepository, history: ScoreHistoryRepository
) -> None:
    row = await watchlist.create(watched(current_score=0.5))
    with pytest.raises(ZeroDivisionError):
        async with db.transaction():
            await watchlist.update_score(TOKEN, 0.75, 1, record_history=True)
            assert await history.count() == 1
            _ = 1 / 0
    assert await watchlist.get_by_id(TOKEN) == row
    assert await history.count() == 0


async def test_scores_at_once_are_all_recorded(
    watchlist: TradeWatchlistRepository, history: ScoreHistoryRepository
) -> None:
    await watchlist.create(watched())
    await asyncio.gather(
        *(watchlist.update_score(TOKEN, n, 1, record_history=True) for n in range(30))
    )
    recorded = await history.get_all()
    assert sorted(row.score or 0 for row in recorded) == list(range(30))
    row = await watchlist.get_by_id(TOKEN)
    assert row is not None
    assert row.current_score == recorded[-1].score


async def test_a_status_is_set_with_the_databases_time(
    db: Database, watchlist: TradeWatchlistRepository
) -> None:
    row = await watchlist.create(watched(current_score=0.5, updated_at=NOW))
    before = await unix_time(db)
    for change, status in (
        (watchlist.promote, "promoted"),
        (watchlist.mark_traded, "traded"),
        (watchlist.mark_expired, "expired"),
        (watchlist.reject, "rejected"),
    ):
        after = await change(TOKEN)
        assert after is not None
        assert after == row.model_copy(update={"status": status, "updated_at": after.updated_at})
        assert before <= (after.updated_at or 0) <= await unix_time(db)
        assert tokens(await watchlist.get_by_status(status)) == [TOKEN]


def conditions(rows: list[MarketScoresCache]) -> list[str]:
    return [row.condition_id for row in rows]


async def test_markets_that_pass_come_best_first(cache: MarketScoresCacheRepository) -> None:
    given = {"a": 0.9, "b": 100000, "c": None, "d": 0.9, "e": 1e-05, "f": -2}
    for name, value in given.items():
        await cache.upsert(scores(name, model_score=value, passes_filters=True))
    await cache.upsert(scores("no", model_score=9, passes_filters=0))
    await cache.upsert(scores("nobody has looked", model_score=9))
    assert conditions(await cache.get_passing()) == ["b", "a", "d", "e", "f", "c"]
    assert conditions(await cache.get_passing(limit=2)) == ["b", "a"]


async def test_markets_are_found_by_their_flags(cache: MarketScoresCacheRepository) -> None:
    await cache.upsert(scores("a", is_crypto=1, is_sports=0, model_score=20))
    await cache.upsert(scores("b", is_crypto=True, is_sports=True, model_score=3))
    await cache.upsert(scores("c", is_crypto=False, is_weather=1, is_politics=1))
    assert conditions(await cache.get_by_category_flags(is_crypto=True)) == ["a", "b"]
    assert conditions(await cache.get_by_category_flags(is_crypto=False)) == ["c"]
    assert conditions(await cache.get_by_category_flags(is_crypto=True, is_sports=False)) == ["a"]
    assert conditions(await cache.get_by_category_flags(is_weather=True, is_politics=True)) == ["c"]
    assert conditions(await cache.get_by_category_flags(is_sports=False)) == ["a"]
    assert conditions(await cache.get_by_category_flags()) == ["a", "b", "c"]


async def test_a_markets_scores_are_replaced(cache: MarketScoresCacheRepository) -> None:
    await cache.upsert(scores(model_score=1, end_date="2025-12-31", updated_at="2025-10-09"))
    second = await cache.upsert(scores(model_score=2, is_crypto=True))
    assert await cache.get_by_condition(CONDITION) == second
    assert (second.model_score, second.is_crypto, second.end_date) == (2, 1, None)


async def test_a_tokens_scores_come_newest_first(
    db: Database, history: ScoreHistoryRepository
) -> None:
    for at in (NOW + 2, NOW, NOW + 1, NOW + 1):
        await history.create(score(scored_at=at, score=at - NOW))
    await history.create(score("other"))
    await store(db, "score_history", token_id=TOKEN, score=-1.0)
    rows = await history.get_by_token(TOKEN)
    assert [row.score for row in rows] == [2, 1, 1, 0, -1]
    assert rows[1:3] == sorted(rows[1:3], key=lambda row: row.id or 0, reverse=True)
    assert [row.score for row in await history.get_by_token(TOKEN, limit=2)] == [2, 1]


async def test_recent_scores_are_from_a_second_on(history: ScoreHistoryRepository) -> None:
    for name, at in (("a", NOW - 1), ("b", NOW), ("c", NOW + 1)):
        await history.create(score(name, scored_at=at))
    assert tokens(await history.get_recent(NOW)) == ["c", "b"]
    assert tokens(await history.get_recent(0)) == ["c", "b", "a"]


async def test_old_scores_are_cleaned_up_in_batches(
    db: Database, history: ScoreHistoryRepository
) -> None:
    now = await unix_time(db)
    old = [score(scored_at=now - 86_400 * 31) for _ in range(10_001)]
    await history.create_many([*old, score("young", scored_at=now - 86_400 * 29)])
    await history.create(score("no time", scored_at=None))
    assert await history.cleanup_old() == 10_001
    assert tokens(await history.get_all()) == ["young", "no time"]
    assert await history.cleanup_old(days=28.5) == 1
    assert await history.cleanup_old(days=0) == 0


async def test_a_score_from_the_future_is_refused(
    db: Database, history: ScoreHistoryRepository
) -> None:
    with pytest.raises(FutureTime, match="scored_at"):
        await history.create(score(scored_at=await unix_time(db) + 1_000))
    assert await history.count() == 0


WRONG_TOKENS = [None, "", 5, "a\x00"]
CALLS: Calls = [
    ("status", lambda db, v: TradeWatchlistRepository(db).get_by_status(v), [None, "", 5]),
    ("token_id", lambda db, v: TradeWatchlistRepository(db).update_score(v, 1, 1), WRONG_TOKENS),
    (
        "current_score",
        lambda db, v: TradeWatchlistRepository(db).update_score(TOKEN, v, 1),
        [None, "x", float("nan"), True, 10**39],
    ),
    (
        "time_to_end_hours",
        lambda db, v: TradeWatchlistRepository(db).update_score(TOKEN, 1, v, record_history=True),
        ["x", float("inf"), True],
    ),
    ("token_id", lambda db, v: TradeWatchlistRepository(db).promote(v), WRONG_TOKENS),
    ("token_id", lambda db, v: TradeWatchlistRepository(db).mark_traded(v), WRONG_TOKENS),
    ("token_id", lambda db, v: TradeWatchlistRepository(db).mark_expired(v), WRONG_TOKENS),
    ("token_id", lambda db, v: TradeWatchlistRepository(db).reject(v), WRONG_TOKENS),
    ("condition_id", lambda db, v: MarketScoresCacheRepository(db).get_by_condition(v), [None, ""]),
    ("limit", lambda db, v: MarketScoresCacheRepository(db).get_passing(v), [None, -1, True]),
    (
        "is_crypto",
        lambda db, v: MarketScoresCacheRepository(db).get_by_category_flags(is_crypto=v),
        ["x", 2, -1],
    ),
    ("token_id", lambda db, v: ScoreHistoryRepository(db).get_by_token(v), [None, 5]),
    ("limit", lambda db, v: ScoreHistoryRepository(db).get_by_token(TOKEN, v), [None, -1, True]),
    (
        "scored_at",
        lambda db, v: ScoreHistoryRepository(db).get_recent(v),
        [None, -1, True, 1.5, NOW * 1000],
    ),
    ("days", lambda db, v: ScoreHistoryRepository(db).cleanup_old(v), [None, -1, True, "30", 1e9]),
]


async def test_a_wrong_argument_is_refused_by_name(db: Database) -> None:
    await assert_all_refused(db, CALLS)
