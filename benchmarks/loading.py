"""Batches of models into the table of trades."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial

from benchmarks import peers
from benchmarks.harness import Call, Case, Pair, Plan, check, timed
from benchmarks.rows import COLUMNS, Batch, batch, copy, count, empty
from benchmarks.server import Place, Stage
from polymarket_bot.storage import TradeRepository
from polymarket_bot.storage.tables import TRADES

MANY = 50_000
STORED = {"none": 0.0, "30 %": 0.3, "all": 1.0}
BATCHES = {1: 400, 10: 200, 100: 60}
"""Of each size, how many batches take longer than a tenth of a second."""

_ARGUMENTS = ", ".join(f"${place}" for place in range(1, len(COLUMNS) + 1))
_INSERT = (
    f"INSERT INTO {TRADES.name} ({', '.join(COLUMNS)}) VALUES ({_ARGUMENTS}) ON CONFLICT DO NOTHING"
)


def cases(plan: Plan) -> Iterator[Case]:
    """Yield the cases."""
    many = plan.rows(MANY)
    yield Case(
        f"create_many of {many:,}, none stored / COPY",
        "copy_records_to_table of the same rows into an empty table",
        0.50,
        partial(_against_copy, many),
        kind="rates",
        unit="ms",
    )
    for stored, share in STORED.items():
        yield Case(
            f"create_many of {many:,}, {stored} stored / SQLAlchemy",
            "SQLAlchemy Core on asyncpg: insert().on_conflict_do_nothing() of the same rows",
            1.5,
            partial(_against_core, many, share),
            kind="rates",
            unit="ms",
            needs=peers.SQLALCHEMY,
        )
    for size, batches in BATCHES.items():
        yield Case(
            f"create_many of {size} / executemany",
            "executemany of INSERT ON CONFLICT DO NOTHING of the same rows, held connection",
            1.15,
            partial(_against_executemany, size, plan.calls(batches)),
            on_uvloop=True,
        )


@dataclass(frozen=True)
class _Loading:
    """A batch into a table that has a part of it.

    Attributes:
        place: where.
        batch: what.
        stored: how many of it are there already.
    """

    place: Place
    batch: Batch
    stored: int = 0

    async def before(self) -> None:
        """Take away what there is, and store what should be there."""
        await empty(self.place.held)
        if self.stored:
            await copy(self.place.held, self.batch.rows[: self.stored])

    async def after(self) -> None:
        """See that all of the batch is there."""
        check(await count(self.place.held), len(self.batch.rows))

    def timed(self, call: Call, expected: object, parts: int = 1) -> Callable[[], Awaitable[float]]:
        """Return what times a call that loads the batch."""
        return timed(call, expected, parts=parts, before=self.before, after=self.after)


async def _against_copy(many: int, stage: Stage) -> Pair:
    place, rows = await stage.place(), batch(many)
    loading = _Loading(place, rows)
    trades = TradeRepository(place.db)
    return Pair(
        loading.timed(lambda: trades.create_many(rows.models), many),
        loading.timed(lambda: copy(place.held, rows.rows), many),
    )


async def _against_core(many: int, share: float, stage: Stage) -> Pair:
    place, rows, stored = await stage.place(), batch(many), round(many * share)
    loading = _Loading(place, rows, stored)
    trades = TradeRepository(place.db)
    opened = await stage.enter(peers.engine(place.url))
    named = [dict(zip(COLUMNS, row, strict=True)) for row in rows.rows]
    return Pair(
        loading.timed(lambda: trades.create_many(rows.models), many - stored),
        loading.timed(lambda: peers.insert_with_core(opened, named), None),
    )


async def _against_executemany(size: int, batches: int, stage: Stage) -> Pair:
    place, rows = await stage.place(), batch(size * batches)
    loading = _Loading(place, rows)
    trades = TradeRepository(place.db)
    parts = [rows.part(start, start + size) for start in range(0, len(rows.rows), size)]

    async def ours() -> int:
        return sum([await trades.create_many(part.models) for part in parts])

    async def base() -> None:
        for part in parts:
            await place.held.executemany(_INSERT, part.rows)

    return Pair(
        loading.timed(ours, size * batches, len(parts)),
        loading.timed(base, None, len(parts)),
    )
