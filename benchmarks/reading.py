"""A long list of trades to models."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks import peers
from benchmarks.harness import Case, Pair, Plan, Sample, timed
from benchmarks.rows import BUSY, NOW, condition, fill_trades
from benchmarks.server import Place, Stage
from benchmarks.statements import sent
from polymarket_bot.storage import TradeRepository

MANY = 10_000
CALLS = 5


def cases(plan: Plan) -> Iterator[Case]:
    """Yield the cases."""
    many, calls = plan.rows(MANY), plan.calls(CALLS, least=1)
    yield Case(
        f"get_recent of {many:,} / fetch",
        "fetch of the same statement, held connection",
        5.0,
        partial(_against_fetch, many, calls),
        unit="ms",
        on_uvloop=True,
    )
    yield Case(
        f"get_recent of {many:,} / SQLAlchemy ORM",
        "SQLAlchemy ORM on asyncpg: a session's select of the same rows",
        2.0,
        partial(_against_orm, many, calls),
        kind="rates",
        unit="ms",
        on_uvloop=True,
        needs=peers.SQLALCHEMY,
    )


async def _place(stage: Stage, many: int) -> Place:
    return await stage.place("trades", lambda held: fill_trades(held, BUSY * many))


def _ours(place: Place, many: int, calls: int) -> Sample:
    trades = TradeRepository(place.db)

    async def get_recent() -> tuple[int, int | None]:
        found = await trades.get_recent(condition(0), BUSY * many, now=NOW)
        return len(found), found[0].timestamp

    return timed(get_recent, (many, NOW), times=calls)


async def _against_fetch(many: int, calls: int, stage: Stage) -> Pair:
    place = await _place(stage, many)
    repository = TradeRepository(place.held)
    query, args = await sent(
        place.held, lambda: repository.get_recent(condition(0), BUSY * many, now=NOW)
    )

    async def fetch() -> tuple[int, int]:
        found = await place.held.fetch(query, *args)
        return len(found), found[0]["timestamp"]

    return Pair(_ours(place, many, calls), timed(fetch, (many, NOW), times=calls))


async def _against_orm(many: int, calls: int, stage: Stage) -> Pair:
    place = await _place(stage, many)
    opened = await stage.enter(peers.engine(place.url))

    async def select() -> tuple[int, int | None]:
        found = await peers.select_with_orm(opened, condition(0), NOW - BUSY * many, NOW)
        return len(found), found[0].timestamp

    return Pair(_ours(place, many, calls), timed(select, (many, NOW), times=calls))
