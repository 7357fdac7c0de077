"""Cases, and how they are measured: both sides in turn, each result checked."""

from __future__ import annotations

import gc
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from benchmarks.server import Stage

Better = Literal["lower", "higher"]
Kind = Literal["times", "rates", "difference"]
Sample = Callable[[], Awaitable[float]]
"""Measures once: seconds, or what the unit of its case says."""

Call = Callable[[], Awaitable[object]]
Round = tuple[float, float]
"""What ours and theirs were in one round."""

_PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6}


class WrongResult(Exception):
    """A side returned something else than it should: its time says nothing."""


class Pair(NamedTuple):
    """What is measured in turn: this package's side, and the other."""

    ours: Sample
    base: Sample


@dataclass(frozen=True)
class Case:
    """What is held against what.

    Attributes:
        name: "ours / theirs", unlike all others.
        baseline: what it is held against, in words.
        target: what the figure must reach.
        open: prepares both sides; what it opens on the stage is closed there.
        kind: ours over theirs, of times or of rates, or ours less theirs.
        unit: in which ours is shown; that of a difference is the figure's, too.
        on_uvloop: it is about the speed of calls, so that the event loop matters.
        needs: the modules of the group `bench` that it imports.
    """

    name: str
    baseline: str
    target: float
    open: Callable[[Stage], Awaitable[Pair]]
    kind: Kind = "times"
    unit: str = "us"
    on_uvloop: bool = False
    needs: tuple[str, ...] = ()

    @property
    def better(self) -> Better:
        """Whether the figure must be at most the target, or at least."""
        return "higher" if self.kind == "rates" else "lower"


@dataclass(frozen=True)
class Plan:
    """How thoroughly it is measured.

    Attributes:
        rounds: how many count.
        scale: of all counts.
        quick: a tenth of the rows, and no tables of millions.
    """

    rounds: int = 5
    scale: float = 1.0
    quick: bool = False

    def rows(self, count: int, least: int = 100) -> int:
        """Return how many rows there are in the place of `count`."""
        return max(least, round(count * self.scale * (0.1 if self.quick else 1)))

    def calls(self, count: int, least: int = 10) -> int:
        """Return how often a call is made in the place of `count` times."""
        return max(least, round(count * self.scale))


class Figure(NamedTuple):
    """What came out of a case.

    Attributes:
        name: of the case.
        ratio: the figure that the target is for: of the medians, or a difference.
        target: what it must reach.
        better: whether that is at most or at least.
        met: whether it is reached.
        baseline: what it was held against.
        unit: of `median`, and of a difference.
        median: ours.
        spread: from the lowest to the highest round, relative to the ratio; of a difference in
            its unit.
        rounds: how many rounds counted.
    """

    name: str
    ratio: float
    target: float
    better: Better
    met: bool
    baseline: str
    unit: str
    median: float
    spread: float
    rounds: int


def timed(
    call: Call,
    expected: object,
    *,
    times: int = 1,
    parts: int = 1,
    before: Call | None = None,
    after: Call | None = None,
) -> Sample:
    """Return what times a call, in seconds for each part of it.

    Args:
        call: what is timed.
        expected: what it must return each time.
        times: how often a sample makes it.
        parts: of how many like parts it consists.
        before: comes before the time begins, once for each sample.
        after: comes when it has ended, and raises `WrongResult` for what `call` cannot see.
    """

    async def sample() -> float:
        if before:
            await before()
        gc.collect()
        began = time.perf_counter()
        for _ in range(times):
            check(await call(), expected)
        took = time.perf_counter() - began
        if after:
            await after()
        return took / times / parts

    return sample


def check(result: object, expected: object) -> None:
    """Hold a result against what it must be.

    Raises:
        WrongResult: it is another one.
    """
    if result != expected:
        raise WrongResult(f"{result!r} instead of {expected!r}")


async def measure(case: Case, stage: Stage, rounds: int) -> Figure:
    """Run a case's rounds, after one that does not count."""
    pair = await case.open(stage)
    samples = [await _round(pair, ours_first=n % 2 == 0) for n in range(rounds + 1)]
    return figure(case, samples[1:])


async def _round(pair: Pair, *, ours_first: bool) -> Round:
    if ours_first:
        ours = await pair.ours()
        return ours, await pair.base()
    base = await pair.base()
    return await pair.ours(), base


def figure(case: Case, rounds: Sequence[Round]) -> Figure:
    """Return what came out of a case, from ours and theirs of each round."""
    factor = _PER_SECOND.get(case.unit, 1.0)
    ours, base = (median(column) * factor for column in zip(*rounds, strict=True))
    ratio = _compared(case.kind, ours, base)
    each = [_compared(case.kind, a * factor, b * factor) for a, b in rounds]
    width = max(each) - min(each)
    return Figure(
        name=case.name,
        ratio=ratio,
        target=case.target,
        better=case.better,
        met=ratio >= case.target if case.better == "higher" else ratio <= case.target,
        baseline=case.baseline,
        unit=case.unit,
        median=ours,
        spread=width if case.kind == "difference" else width / ratio,
        rounds=len(rounds),
    )


def _compared(kind: Kind, ours: float, base: float) -> float:
    if kind == "difference":
        return ours - base
    return base / ours if kind == "rates" else ours / base
