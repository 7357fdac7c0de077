"""What the exchange says of markets: stored, replaced, listed."""

from __future__ import annotations

from decimal import Decimal

import pytest

from polymarket_bot.storage import (
    Database,
    ResolutionRepository,
    StreamWatchlistRepository,
    TokenMetaRepository,
)
from tests.makers import CONDITION, TOKEN
from tests.refusals import Calls, assert_all_refused
from tests.small_rows import resolution, streamed, token_meta


@pytest.fixture
def watchlist(db: Database) -> StreamWatchlistRepository:
    return StreamWatchlistRepository(db)


@pytest.fixture
def resolutions(db: Database) -> ResolutionRepository:
    return ResolutionRepository(db)


@pytest.fixture
def tokens(db: Database) -> TokenMetaRepository:
    return TokenMetaRepository(db)


async def test_a_streamed_market_is_stored_and_replaced(
    watchlist: StreamWatchlistRepository,
) -> None:
    first = streamed(volume="10.5", best_bid="0.4", end_date="2025-12-31")
    assert await watchlist.upsert(first) == first
    second = streamed(category="weather", generated_at="2025-10-10 00:00:00")
    assert await watchlist.upsert(second) == second
    assert await watchlist.get_all() == [second]


async def test_a_category_is_listed_with_the_largest_volume_first(
    watchlist: StreamWatchlistRepository,
) -> None:
    volumes = {"a": None, "b": "5", "c": "1000000", "d": "5", "e": "0"}
    for name, volume in volumes.items():
        await watchlist.upsert(streamed(name, category="sports", volume=volume))
    await watchlist.upsert(streamed("other", category="weather", volume=9))
    await watchlist.upsert(streamed("none", volume=9))
    found = await watchlist.get_by_category("sports")
    assert [row.market_id for row in found] == ["c", "b", "d", "e", "a"]
    assert found[0].volume == Decimal(1_000_000)
    assert await watchlist.get_by_category("absent") == []


async def test_clear_empties_the_list_and_counts(watchlist: StreamWatchlistRepository) -> None:
    assert await watchlist.clear() == 0
    assert await watchlist.upsert_many(streamed(str(n)) for n in range(3)) == 3
    assert await watchlist.clear() == 3
    assert await watchlist.get_all() == []


async def test_a_resolution_is_stored_and_replaced(resolutions: ResolutionRepository) -> None:
    assert await resolutions.get_by_condition(CONDITION) is None
    assert await resolutions.is_resolved(CONDITION) is False
    first = resolution(winning_outcome_index=0, winning_outcome="Yes", resolved_at="2025-10-09")
    assert await resolutions.upsert(first) == first
    second = resolution(winning_outcome_index=1, winning_outcome="No")
    assert await resolutions.upsert(second) == second
    assert await resolutions.get_by_condition(CONDITION) == second
    assert await resolutions.is_resolved(CONDITION) is True
    assert await resolutions.is_resolved("another") is False


async def test_resolutions_are_listed_newest_first(resolutions: ResolutionRepository) -> None:
    assert await resolutions.get_recent() == []
    times = {"a": None, "b": "2025-10-08T12:00:00Z", "c": "2025-10-09T12:00:00Z", "d": None}
    for name, resolved_at in times.items():
        await resolutions.upsert(resolution(name, resolved_at=resolved_at))
    assert [row.condition_id for row in await resolutions.get_recent()] == ["c", "b", "a", "d"]
    assert [row.condition_id for row in await resolutions.get_recent(limit=1)] == ["c"]


async def test_what_is_known_of_a_token_is_stored_and_replaced(tokens: TokenMetaRepository) -> None:
    assert await tokens.get_by_token(TOKEN) is None
    assert await tokens.get_condition_id(TOKEN) is None
    first = token_meta(condition_id=CONDITION, outcome="Yes", fetched_at="2025-10-09T12:00:00Z")
    stored = await tokens.upsert(first)
    assert stored.fetched_at == "2025-10-09T12:00:00.000000+00:00"
    assert await tokens.get_by_token(TOKEN) == stored == first
    assert await tokens.get_condition_id(TOKEN) == CONDITION
    await tokens.upsert(token_meta(outcome="No"))
    assert await tokens.get_condition_id(TOKEN) is None


async def test_a_conditions_tokens_are_listed_by_outcome(tokens: TokenMetaRepository) -> None:
    for name, index in (("d", None), ("c", 1), ("b", 0), ("a", 1)):
        await tokens.upsert(token_meta(name, condition_id=CONDITION, outcome_index=index))
    await tokens.upsert(token_meta("other", condition_id="other", outcome_index=0))
    found = await tokens.get_by_condition(CONDITION)
    assert [row.token_id for row in found] == ["b", "a", "c", "d"]
    assert await tokens.get_by_condition("absent") == []


CALLS: Calls = [
    ("category", lambda db, v: StreamWatchlistRepository(db).get_by_category(v), [None, 5]),
    ("condition_id", lambda db, v: ResolutionRepository(db).get_by_condition(v), [None, "", 5]),
    ("condition_id", lambda db, v: ResolutionRepository(db).is_resolved(v), [None, "", 5]),
    ("limit", lambda db, v: ResolutionRepository(db).get_recent(v), [None, -1, True, 1.0]),
    ("token_id", lambda db, v: TokenMetaRepository(db).get_by_token(v), [None, "", 5]),
    ("condition_id", lambda db, v: TokenMetaRepository(db).get_by_condition(v), [None, 5]),
    ("token_id", lambda db, v: TokenMetaRepository(db).get_condition_id(v), [None, "", "a\x00"]),
    ("stream_watchlist", lambda db, v: StreamWatchlistRepository(db).upsert(v), [None, {}]),
    ("polymarket_resolutions", lambda db, v: ResolutionRepository(db).upsert(v), [None, {}]),
    ("polymarket_token_meta", lambda db, v: TokenMetaRepository(db).upsert(v), [None, {}]),
]


async def test_a_wrong_argument_is_refused_by_name(db: Database) -> None:
    await assert_all_refused(db, CALLS)
