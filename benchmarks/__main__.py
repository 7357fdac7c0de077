"""`python -m benchmarks`: measures the cases and shows what came out; see the package."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import benchmarks
from benchmarks import crowd, files, growth, loading, memory, points, reading, starting
from benchmarks.harness import Case, Plan, measure
from benchmarks.report import Result, note, show, write_json
from benchmarks.server import Stage, open_server

SUBJECTS: tuple[ModuleType, ...] = (
    starting,
    points,
    crowd,
    reading,
    loading,
    files,
    memory,
    growth,
)
ASYNCIO, UVLOOP = "asyncio", "uvloop"

_QUICK_ROUNDS = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for, and return the exit status."""
    options = _parser().parse_args(arguments)
    plan = Plan(scale=options.scale, quick=options.quick)
    if options.quick:
        plan = replace(plan, rounds=_QUICK_ROUNDS)
    loops = (ASYNCIO, UVLOOP) if options.loop == "both" else (options.loop,)
    chosen = {loop: _chosen(plan, loop, options.only or "") for loop in loops}
    if problem := _problem(chosen):
        note(problem)
        return 2
    results: list[Result] = []
    try:
        for loop, subjects in chosen.items():
            with asyncio.Runner(loop_factory=_factory(loop)) as runner:
                runner.run(_measure_all(subjects, plan, results))
    finally:
        if options.json:
            write_json(options.json, results)
    show(results)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=benchmarks.__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE")
    parser.add_argument("--only", metavar="TEXT", help="measure the cases whose name contains TEXT")
    parser.add_argument(
        "--quick", action="store_true", help="3 rounds, a tenth of the rows, no table of millions"
    )
    parser.add_argument(
        "--scale", type=_positive, default=1.0, metavar="X", help="multiply all counts by X"
    )
    parser.add_argument(
        "--loop",
        choices=(ASYNCIO, UVLOOP, "both"),
        default="both",
        help="the event loop; on uvloop, what is about the speed of calls",
    )
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return value


def _chosen(plan: Plan, loop: str, only: str) -> list[list[Case]]:
    """Return the cases of each subject that are measured on a loop."""
    return [
        [case for case in _cases(subject, plan, loop) if only.lower() in case.name.lower()]
        for subject in SUBJECTS
    ]


def _cases(subject: ModuleType, plan: Plan, loop: str) -> Iterable[Case]:
    for case in subject.cases(plan):
        if loop == ASYNCIO:
            yield case
        elif case.on_uvloop:
            yield replace(case, name=f"{case.name} ({UVLOOP})", needs=(*case.needs, UVLOOP))


def _problem(chosen: dict[str, list[list[Case]]]) -> str | None:
    """Say why what is asked for cannot be measured, or return None."""
    cases = [case for subjects in chosen.values() for subject in subjects for case in subject]
    if not cases:
        return "no case has such a name"
    needed = sorted({name for case in cases for name in case.needs})
    if missing := [name for name in needed if find_spec(name) is None]:
        return f"not installed: {', '.join(missing)}; `make bench` installs what it needs"
    return None


def _factory(loop: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if loop == ASYNCIO:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = import_module(UVLOOP).new_event_loop
    return factory


async def _measure_all(
    subjects: Iterable[Sequence[Case]], plan: Plan, results: list[Result]
) -> None:
    """Measure the cases of all subjects, and add what comes out to `results`."""
    async with open_server() as server_url:
        for cases in filter(None, subjects):
            async with Stage(server_url) as stage:
                for case in cases:
                    note(f"{case.name} …")
                    results.append((case, await measure(case, stage, plan.rounds)))


if __name__ == "__main__":
    sys.exit(main())
