"""What came out, as a table, as a plot and as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.harness import Case, Figure

Result = tuple[Case, Figure]

_BAR = 40
"""How long a bar may get; the target is in the middle."""

_BLOCKS = " ▏▎▍▌▋▊▉█"
_console = Console(width=None if sys.stdout.isatty() else 120)
_notes = Console(stderr=True)


def note(text: str) -> None:
    """Print a line about the run on standard error."""
    _notes.print(text, markup=False, highlight=False, soft_wrap=True)


def write_json(file: Path, results: Iterable[Result]) -> None:
    """Write the figures as a list of objects."""
    figures = [figure._asdict() for _, figure in results]
    file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def show(results: Sequence[Result]) -> None:
    """Print the table, the plot, and which targets are missed."""
    _console.print(_table(results))
    _console.print(_plot(results))
    missed = [figure for _, figure in results if not figure.met]
    for figure in missed:
        _say(f"missed: {figure.name}: {figure.ratio:.3g}, target {_target(figure)}")
    _say(f"{len(results) - len(missed)} of {len(results)} targets are met")


def _say(text: str) -> None:
    _console.print(text, markup=False, highlight=False, soft_wrap=True)


def _table(results: Iterable[Result]) -> Table:
    table = Table("ours / theirs", title="Figures", title_justify="left", title_style="bold")
    for header in ("median", "ratio", "spread", "target", "met"):
        table.add_column(header, justify="right", no_wrap=True)
    for case, figure in results:
        table.add_row(
            Text(figure.name),
            f"{figure.median:,.1f} {figure.unit}",
            _ratio(case, figure),
            _spread(case, figure),
            _target(figure),
            Text("yes", "green") if figure.met else Text("no", "bold red"),
        )
    return table


def _plot(results: Iterable[Result]) -> Table:
    """Draw how much of its target each ratio takes up."""
    title = "Ratios against their targets: to the left of the mark they are met"
    plot = Table(title=title, title_justify="left", title_style="bold", box=None, show_header=False)
    plot.add_column(overflow="fold")
    plot.add_column(no_wrap=True, width=_BAR + 1)
    for _, figure in results:
        plot.add_row(Text(figure.name), _bar(figure))
    return plot


def _bar(figure: Figure) -> Text:
    """Draw a bar that ends at the mark where the ratio is the target, and is cut at twice that."""
    middle = _BAR // 2
    taken = _taken(figure)
    eighths = round(8 * min(_BAR, max(0.0, taken * middle)))
    whole, rest = divmod(eighths, 8)
    bar = (_BLOCKS[8] * whole + _BLOCKS[rest].strip()).ljust(_BAR)
    marked = f"{bar[:middle]}│{bar[middle:]}"
    return Text(marked, "green" if figure.met else "red")


def _taken(figure: Figure) -> float:
    """Return how much of its target a ratio takes up: 1 is all of it, and more misses it."""
    if figure.better == "higher":
        return figure.target / figure.ratio
    return figure.ratio / figure.target


def _ratio(case: Case, figure: Figure) -> str:
    if case.kind == "difference":
        return f"{figure.ratio:+.3g} {figure.unit}"
    return f"{figure.ratio:.3g}"


def _spread(case: Case, figure: Figure) -> str:
    if case.kind == "difference":
        return f"{figure.spread:.2g} {figure.unit}"
    return f"{figure.spread:.0%}"


def _target(figure: Figure) -> str:
    return f"{'≥' if figure.better == 'higher' else '≤'} {figure.target:g}"
