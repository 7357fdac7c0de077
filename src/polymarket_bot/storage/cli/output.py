"""What commands print: plain text for people, one JSON object for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn
from rich.table import Table

_out = Console()
_err = Console(stderr=True)


def print_json(value: Mapping[str, Any]) -> None:
    """Print `value` as one JSON object on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")


def print_table(title: str, headers: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table; numbers are set to the right, with thousands apart."""
    table = Table(title=title, title_justify="left", title_style="bold")
    body = [list(row) for row in rows]
    for place, header in enumerate(headers):
        numeric = bool(body) and all(isinstance(row[place], int) for row in body)
        table.add_column(header, justify="right" if numeric else "left", overflow="fold")
    for row in body:
        table.add_row(*(_cell(value) for value in row))
    _out.print(table)


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
        return f"{value:,}"
    return "" if value is None else str(value)
