"""A file of trades into the database, by the command."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.harness import Case, Pair, Plan, Sample, check, timed
from benchmarks.processes import COMMAND, peak_of, run
from benchmarks.rows import batch, copy, count, empty, lines
from benchmarks.server import Place, Stage

LINES = 200_000
LONGER = 10
"""How many times as long the longer of two files is."""


def cases(plan: Plan) -> Iterator[Case]:
    """Yield the cases."""
    many = plan.rows(LINES)
    few = max(1, many // LONGER)
    yield Case(
        f"ingest of a file of {many:,} lines / COPY",
        "copy_records_to_table of the same rows into an empty table",
        0.30,
        partial(_speed, many),
        kind="rates",
        unit="ms",
    )
    yield Case(
        f"ingest's memory for {many:,} lines / for {few:,}",
        "the same command for a file that is a tenth as long",
        32.0,
        partial(_memory, many, few),
        kind="difference",
        unit="MiB",
    )


async def _speed(many: int, stage: Stage) -> Pair:
    place, rows = await stage.place(), batch(many).rows
    command = _command(place, _written(stage, many))

    async def before() -> None:
        await empty(place.held)

    async def after() -> None:
        check(await count(place.held), many)

    async def ingest() -> None:
        await run(*command)

    return Pair(
        timed(ingest, None, before=before, after=after),
        timed(lambda: copy(place.held, rows), many, before=before, after=after),
    )


async def _memory(many: int, few: int, stage: Stage) -> Pair:
    place = await stage.place()

    def of_a_file_of(length: int) -> Sample:
        command = _command(place, _written(stage, length))

        async def sample() -> float:
            await empty(place.held)
            mib = (await peak_of(*command)).mib
            check(await count(place.held), length)
            return mib

        return sample

    return Pair(of_a_file_of(many), of_a_file_of(few))


def _command(place: Place, file: Path) -> tuple[str | Path, ...]:
    return (*COMMAND, "ingest", file, "--url", place.url)


def _written(stage: Stage, many: int) -> Path:
    """Write a file of so many lines."""
    file = stage.folder / f"{many}.jsonl"
    with file.open("w", encoding="utf-8") as out:
        out.writelines(f"{line}\n" for line in lines(many))
    return file
