"""Markets, tokens and scores that the other programs look up, and what is kept of them."""

from __future__ import annotations

import time

from polymarket_bot.storage import (
    Database,
    MarketScoresCache,
    MarketScoresCacheRepository,
    PolymarketResolution,
    PolymarketTokenMeta,
    ResolutionRepository,
    ScoreHistory,
    ScoreHistoryRepository,
    StreamWatchlistItem,
    StreamWatchlistRepository,
    TokenMetaRepository,
    TradeWatchlistItem,
    TradeWatchlistRepository,
)
from tests.old_bot.common import naive, zulu


class MarketBot:
    """Keeps watchlists, metadata, resolutions and scores."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.streamed = StreamWatchlistRepository(db)
        self.resolutions = ResolutionRepository(db)
        self.tokens = TokenMetaRepository(db)
        self.watched = TradeWatchlistRepository(db)
        self.scores = MarketScoresCacheRepository(db)
        self.history = ScoreHistoryRepository(db)

    async def run(self) -> int:
        """Refresh everything once and return how many old scores were removed."""
        await self.refresh_stream()
        await self.learn_tokens()
        await self.learn_resolutions()
        await self.score_markets()
        await self.watch()
        await self.ask_directly()
        return await self.history.cleanup_old(30)

    async def refresh_stream(self) -> None:
        """Replace the list of streamed markets."""
        await self.streamed.clear()
        items = [
            StreamWatchlistItem(
                market_id=market,
                question=f"Market {market}?",
                slug=market,
                category="sports",
                best_bid=0.94,
                best_ask=0.96,
                liquidity=12_000.0,
                volume=volume,
                end_date="2030-01-31",
                generated_at=zulu(),
            )
            for market, volume in [("m1", 10.5), ("m2", 2_000_000.0)]
        ]
        await self.streamed.create_many(items)
        items[0].volume = 3_000_000.0  # type: ignore[assignment]  # bots give floats
        await self.streamed.upsert(items[0])
        await self.streamed.upsert_many(items)
        listed = await self.streamed.get_by_category("sports")
        assert [item.market_id for item in listed] == ["m1", "m2"]
        assert [float(item.volume or 0) for item in listed] == [3e6, 2e6]

    async def learn_tokens(self) -> None:
        """Remember which token stands for which outcome."""
        for index, outcome in enumerate(["Yes", "No"]):
            await self.tokens.upsert(
                PolymarketTokenMeta(
                    token_id=f"token-{outcome}",
                    condition_id="0xmeta",
                    outcome_index=index,
                    outcome=outcome,
                    fetched_at=naive(),
                )
            )
        meta = await self.tokens.get_by_token("token-No")
        assert meta is not None
        meta.question = "Will it rain?"
        await self.tokens.update(meta)
        first, second = await self.tokens.get_by_condition("0xmeta")
        assert (first.outcome, second.question) == ("Yes", "Will it rain?")
        assert await self.tokens.get_condition_id("token-No") == "0xmeta"
        assert await self.tokens.get_condition_id("unknown") is None

    async def learn_resolutions(self) -> None:
        """Remember how markets ended."""
        assert not await self.resolutions.is_resolved("0xmeta")
        for winner in (1, 0):
            await self.resolutions.upsert(
                PolymarketResolution(
                    condition_id="0xmeta", winning_outcome_index=winner, resolved_at=zulu()
                )
            )
        assert await self.resolutions.is_resolved("0xmeta")
        resolution = await self.resolutions.get_by_condition("0xmeta")
        assert resolution is not None
        assert resolution.winning_outcome_index == 0
        assert resolution in await self.resolutions.get_recent(10)

    async def score_markets(self) -> None:
        """Cache the model's scores and the filters' answers."""
        for condition, score, crypto in [("0xa", 0.7, 0), ("0xb", 0.9, 1), ("0xc", None, 1)]:
            await self.scores.upsert(
                MarketScoresCache(
                    condition_id=condition,
                    spread_pct=2.5,
                    model_score=score,
                    passes_filters=1 if score else 0,
                    is_crypto=crypto,
                    updated_at=naive(),
                )
            )
        passing = await self.scores.get_passing(10)
        assert [market.condition_id for market in passing] == ["0xb", "0xa"]
        crypto_markets = await self.scores.get_by_category_flags(None, True)
        assert [market.condition_id for market in crypto_markets] == ["0xb", "0xc"]
        for market in passing:
            market.is_weather = 1
        assert await self.scores.update_many(passing) == 2
        stored = await self.scores.get_by_condition("0xa")
        assert stored is not None
        assert (stored.is_weather, stored.model_score) == (1, 0.7)

    async def watch(self) -> None:
        """Score tokens again until there is a decision."""
        now = int(time.time())
        for token in ("w1", "w2", "w3"):
            for score in (0.5, 0.1):
                await self.watched.create(
                    TradeWatchlistItem(
                        token_id=token,
                        trigger_price=0.96,
                        trigger_timestamp=now,
                        initial_score=score,
                        current_score=score,
                        created_at=now,
                    )
                )
        for token, score in (("w1", 0.6), ("w2", 0.8)):
            await self.watched.update_score(token, score, 12.5)
            await self.history.create(
                ScoreHistory(token_id=token, score=score, time_to_end_hours=12.5, scored_at=now)
            )
        watching = await self.watched.get_watching()
        assert [item.token_id for item in watching] == ["w2", "w1", "w3"]
        assert {item.initial_score for item in watching} == {0.5}
        await self.watched.promote("w2")
        await self.watched.mark_traded("w1")
        await self.watched.mark_expired("w3")
        for status, token in (("promoted", "w2"), ("traded", "w1"), ("expired", "w3")):
            assert [item.token_id for item in await self.watched.get_by_status(status)] == [token]
        assert [row.score for row in await self.history.get_by_token("w2", 5)] == [0.8]
        assert {"w1", "w2"} <= {row.token_id for row in await self.history.get_recent(now)}

    async def ask_directly(self) -> None:
        """Ask the database in SQL."""
        status = await self.db.execute(
            "UPDATE stream_watchlist SET best_bid = $1 WHERE market_id = $2", 0.95, "m1"
        )
        assert status == "UPDATE 1"
        rows = await self.db.fetch("SELECT market_id FROM stream_watchlist ORDER BY market_id")
        assert [row["market_id"] for row in rows] == ["m1", "m2"]
        row = await self.db.fetchrow("SELECT * FROM stream_watchlist WHERE market_id = $1", "m1")
        assert row is not None
        assert abs(row["best_bid"] - 0.95) < 1e-6
        assert await self.db.fetchval("SELECT count(*) FROM stream_watchlist") == 2
        async with self.db.connection() as conn:
            assert await conn.fetchval("SELECT 1") == 1


async def main(db: Database) -> int:
    """Refresh everything in a database that somebody else opened."""
    return await MarketBot(db).run()
