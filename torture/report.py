"""What came out, as a table and as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from torture.run import Outcome


def note(text: str) -> None:
    """Print a line about the run on standard error."""
    Console(stderr=True).print(text, markup=False, highlight=False, soft_wrap=True)


def write_json(file: Path, outcomes: Iterable[Outcome]) -> None:
    """Write the outcomes as a list of objects, with the fields of `Outcome`."""
    rows = [asdict(outcome) for outcome in outcomes]
    file.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def show(outcomes: Sequence[Outcome]) -> None:
    """Print the table, and for each row that is not well what has failed and how to repeat it."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(_table(outcomes))
    lines = [line for outcome in outcomes for line in _remarks(outcome)]
    well = sum(outcome.well for outcome in outcomes)
    for line in (*lines, f"{well} of {len(outcomes)} rows are well"):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _table(outcomes: Iterable[Outcome]) -> Table:
    table = Table("fault", title="Faults", title_justify="left", title_style="bold")
    for header in ("times", "survived", "worst recovery", "took", "well"):
        table.add_column(header, justify="right", no_wrap=True)
    for outcome in outcomes:
        table.add_row(
            Text(outcome.fault),
            _number(outcome.times),
            _number(outcome.survived),
            "" if outcome.worst_recovery is None else f"{outcome.worst_recovery:.2f} s",
            f"{outcome.seconds:,.0f} s",
            Text("yes", "green") if outcome.well else Text("no", "bold red"),
        )
    return table


def _number(times: int) -> str:
    return f"{times:,}" if times else ""


def _remarks(outcome: Outcome) -> Iterator[str]:
    for reason in outcome.skipped:
        yield f"{outcome.fault}: skipped: {reason}"
    if outcome.well:
        return
    for test in outcome.failed:
        yield f"{outcome.fault}: failed: {test}"
    if outcome.survived < outcome.goal:
        yield f"{outcome.fault}: survived {outcome.survived:,} times of {outcome.goal:,}"
    yield f"{outcome.fault}: repeat: {outcome.repeat}"
