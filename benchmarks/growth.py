"""The same questions to a small table and to a large one: what they cost must not grow."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.harness import Call, Case, Pair, Plan, timed
from benchmarks.rows import ABSENT, BUSY, NOW, condition, fill_trades, fill_triggers, token
from benchmarks.server import Place, Stage
from polymarket_bot.storage import TradeRepository, TriggerRepository

TRIGGERS = (1_000, 1_000_000)
TRADES = (10_000, 1_000_000, 10_000_000)
FLAT = 1.25
CALLS = 1_000

_QUICK_TRIGGERS = (1_000, 100_000)
_QUICK_TRADES = (10_000, 100_000)


def cases(plan: Plan) -> Iterator[Case]:
    """Yield the cases, the largest tables last."""
    few, *larger = _sizes(plan, _QUICK_TRIGGERS if plan.quick else TRIGGERS)
    for many in larger:
        yield Case(
            f"should_trigger at {many:,} triggers / at {few:,}",
            f"the same with {few:,} triggers",
            FLAT,
            partial(_should_trigger, plan.calls(CALLS), few, many),
        )
    few, *larger = _sizes(plan, _QUICK_TRADES if plan.quick else TRADES)
    for many in larger:
        yield Case(
            f"get_recent at {many:,} trades / at {few:,}",
            f"the same number of rows among {few:,} trades",
            FLAT,
            partial(_get_recent, plan.calls(CALLS // 2), few, many),
        )
        yield Case(
            f"get_latest_timestamp at {many:,} trades / at {few:,}",
            f"the same with {few:,} trades",
            FLAT,
            partial(_get_latest_timestamp, plan.calls(CALLS), few, many),
        )


def _sizes(plan: Plan, counts: tuple[int, ...]) -> list[int]:
    """Return the tables' sizes by `plan.scale`, in hundreds, and each unlike the others."""
    sizes: list[int] = []
    for count in counts:
        least = 2 * sizes[-1] if sizes else 1_000
        sizes.append(max(least, 100 * round(count * plan.scale / 100)))
    return sizes


async def _with_triggers(stage: Stage, many: int) -> Place:
    return await stage.place(f"{many} triggers", partial(fill_triggers, many=many))


async def _with_trades(stage: Stage, many: int) -> Place:
    return await stage.place(f"{many} trades", partial(fill_trades, many=many))


async def _should_trigger(calls: int, few: int, many: int, stage: Stage) -> Pair:
    def ask(place: Place) -> Call:
        triggers = TriggerRepository(place.db)
        return partial(triggers.should_trigger, token(0), condition(0), ABSENT)

    return Pair(
        timed(ask(await _with_triggers(stage, many)), expected=True, times=calls),
        timed(ask(await _with_triggers(stage, few)), expected=True, times=calls),
    )


async def _get_recent(calls: int, few: int, many: int, stage: Stage) -> Pair:
    listed = few // BUSY

    def ask(place: Place) -> Call:
        trades = TradeRepository(place.db)

        async def get_recent() -> int:
            return len(await trades.get_recent(condition(0), few - 1, now=NOW))

        return get_recent

    return Pair(
        timed(ask(await _with_trades(stage, many)), listed, times=calls),
        timed(ask(await _with_trades(stage, few)), listed, times=calls),
    )


async def _get_latest_timestamp(calls: int, few: int, many: int, stage: Stage) -> Pair:
    def ask(place: Place) -> Call:
        return partial(TradeRepository(place.db).get_latest_timestamp, condition(0))

    return Pair(
        timed(ask(await _with_trades(stage, many)), NOW, times=calls),
        timed(ask(await _with_trades(stage, few)), NOW, times=calls),
    )
