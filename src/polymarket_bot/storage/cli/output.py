"""What commands print: plain text for people, one JSON object for programs."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text

_LONGEST_BAR = 30

_out = Console()
_err = Console(stderr=True)


class About(int):
    """A number that was estimated; printed behind a tilde."""


def print_json(value: Mapping[str, Any]) -> None:
    """Print `value` as one JSON object, in a line of its own, on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()  # whoever reads a watch's lines does not wait for the next ones


def print_table(title: str, headers: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table; numbers are set to the right, with thousands apart."""
    _out.print(as_table(title, headers, rows))


def as_table(title: str, headers: Iterable[str], rows: Iterable[Iterable[object]]) -> Table:
    """Return what `print_table` prints."""
    table = Table(title=title, title_justify="left", title_style="bold")
    body = [list(row) for row in rows]
    for place, header in enumerate(headers):
        numeric = bool(body) and all(isinstance(row[place], int) for row in body)
        table.add_column(header, justify="right" if numeric else "left", overflow="fold")
    for row in body:
        table.add_row(*(_cell(value) for value in row))
    return table


def is_live() -> bool:
    """Tell whether standard output is a terminal that can be drawn anew."""
    return _out.is_terminal and not _out.is_dumb_terminal


@contextmanager
def live_view() -> Iterator[Callable[[Sequence[str], Sequence[Table]], None]]:
    """Give what draws lines and tables in the place of those before; for a terminal."""
    with Live(console=_out, auto_refresh=False) as live:

        def draw(lines: Sequence[str], tables: Sequence[Table]) -> None:
            live.update(Group(*map(Text, lines), *tables), refresh=True)

        yield draw


def print_bars(title: str, rows: Iterable[tuple[str, Decimal]]) -> None:
    """Print a bar for each (label, value): to the right of the axis, or red and to the left of it.

    The longest bar is at most 30 characters, and none that stands for something is shorter than
    one; without any row, nothing is printed.
    """
    body = list(rows)
    if not body:
        return
    labels, values = zip(*body, strict=True)
    numbers = _alike(values)
    room = (_out.width - max(map(len, labels)) - max(map(len, numbers)) - 4) // 2
    table = Table.grid(padding=(0, 1))
    table.title, table.title_justify, table.title_style = title, "left", "bold"
    table.add_column()
    table.add_column(justify="right", style="red", no_wrap=True)
    table.add_column(style="green", no_wrap=True)
    table.add_column(justify="right")
    bars = _bars(values, max(1, min(_LONGEST_BAR, room)))
    for label, (left, right), number in zip(labels, bars, numbers, strict=True):
        table.add_row(escape(label), left, right, number)
    _out.print(table)


def _alike(values: Sequence[Decimal]) -> list[str]:
    """Return values with their signs, thousands apart, and as many digits as any of them has."""
    digits = max(0, *(-int(value.as_tuple().exponent) for value in values))
    return [f"{value:+,.{digits}f}" for value in values]


def _bars(values: Sequence[Decimal], longest: int) -> Iterator[tuple[str, str]]:
    """Yield what stands to the left of the axis and what to the right of it."""
    block = "#" if _out.options.ascii_only else "█"
    most = max(map(abs, values)) or 1
    for value in values:
        bar = block * math.ceil(abs(value) / most * longest)
        yield (bar, "") if value < 0 else ("", bar)


def say(text: str) -> None:
    """Print a line for people on standard output."""
    _out.print(text, markup=False, highlight=False, soft_wrap=True)


def note(text: str) -> None:
    """Print a line about the run on standard error."""
    _err.print(text, markup=False, highlight=False, soft_wrap=True)


class Advance(Protocol):
    """Tells how far the work is."""

    def __call__(self, done: int, records: int) -> None:
        """Show that `done` of the total is done, and `records` in all."""


@contextmanager
def progress(label: str, total: int) -> Iterator[Advance]:
    """Show a bar on a terminal, and a plain line at the end elsewhere; both on standard error."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    state = label
    with Progress(*columns, console=_err, disable=not _err.is_terminal, transient=True) as bar:
        task = bar.add_task(escape(label), total=total)

        def advance(done: int, records: int) -> None:
            nonlocal state
            state = f"{label}: {records:,} records"
            bar.update(task, completed=done, description=escape(state))

        yield advance
    if not _err.is_terminal:
        note(state)


def _cell(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{'~' * isinstance(value, About)}{value:,}"
    return "" if value is None else str(value)
