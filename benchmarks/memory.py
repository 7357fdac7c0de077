"""How large a process gets that iterates over all trades, or that has many tasks."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.harness import Case, Pair, Plan, Sample, check
from benchmarks.processes import PROGRAMS, peak_of
from benchmarks.rows import fill_trades, fill_triggers
from benchmarks.server import Place, Stage

STREAMED = 1_000_000
FIRST = 100
TASKS = 10_000
MOST = 64.0

_TRIGGERS = 1_000


def cases(plan: Plan) -> Iterator[Case]:
    """Yield the cases."""
    streamed, tasks = plan.rows(STREAMED), plan.rows(TASKS)
    yield Case(
        f"stream's memory for {streamed:,} / for {FIRST}",
        f"the same program that stops after {FIRST} trades",
        MOST,
        partial(_stream, streamed),
        kind="difference",
        unit="MiB",
    )
    yield Case(
        f"memory with {tasks:,} idle tasks / with one",
        "the same program with one task that has read and waits",
        MOST,
        partial(_idle, tasks),
        kind="difference",
        unit="MiB",
    )


async def _stream(many: int, stage: Stage) -> Pair:
    place = await stage.place("trades", partial(fill_trades, many=many))
    return Pair(_peak(place, "stream", many), _peak(place, "stream", FIRST))


async def _idle(many: int, stage: Stage) -> Pair:
    place = await stage.place("triggers", partial(fill_triggers, many=_TRIGGERS))
    return Pair(_peak(place, "idle", many), _peak(place, "idle", 1))


def _peak(place: Place, program: str, count: int) -> Sample:
    async def sample() -> float:
        done = await peak_of(*PROGRAMS, program, place.url, str(count))
        check(int(done.out), count)
        return done.mib

    return sample
