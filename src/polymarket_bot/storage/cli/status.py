"""`status`: what is wrong and how much there is, once or again and again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from polymarket_bot.storage.cli.output import (
    About,
    as_table,
    is_live,
    live_view,
    note,
    print_json,
    print_table,
    say,
)
from polymarket_bot.storage.cli.target import located, open_database
from polymarket_bot.storage.config import DatabaseConfig
from polymarket_bot.storage.database import Database
from polymarket_bot.storage.errors import StorageError
from polymarket_bot.storage.monitoring.findings import HealthLimits
from polymarket_bot.storage.monitoring.status import Figures, StatusReport, read_status

_Table: TypeAlias = tuple[str, tuple[str, ...], list[tuple[object, ...]]]


@dataclass(frozen=True)
class _Look:
    """What one look has found, and when.

    Attributes:
        report: how the database stands.
        error: why it does not answer, None where it does.
        at: when, in ISO 8601.
    """

    report: StatusReport
    error: str | None
    at: str


async def show_status(
    url: str | None, data_dir: Path, limits: HealthLimits, *, as_json: bool
) -> int:
    """Look once, print it, and return the exit status: 1 where anything is wrong."""
    look = await _look(open_database(url, data_dir, as_it_is=bool(url)), limits)
    if look.error:
        note(look.error)
    if as_json:
        print_json(_as_object(look))
    elif not look.error:
        _print(look.report)
    return 0 if look.report.healthy else 1


async def watch_status(
    url: str | None, data_dir: Path, limits: HealthLimits, seconds: float, *, as_json: bool
) -> int:
    """Look every so many seconds until Ctrl-C, whatever becomes of the server meanwhile."""
    logging.disable(logging.WARNING)  # what they say is among the problems
    try:
        async with located(url, data_dir, as_it_is=bool(url)) as config:
            with _shown(as_json=as_json) as show:
                while True:
                    show(await _look(Database(_brief(config, seconds)), limits))
                    await asyncio.sleep(seconds)
    except asyncio.CancelledError:  # Ctrl-C is how one leaves it
        return 0


def _brief(config: DatabaseConfig, seconds: float) -> DatabaseConfig:
    """Return settings for one look, which does not wait for a server that is away."""
    patience = min(config.connect_timeout, max(1.0, seconds))
    return config.model_copy(update={"min_connections": 1, "connect_timeout": patience})


async def _look(opening: AbstractAsyncContextManager[Database], limits: HealthLimits) -> _Look:
    error = None
    try:
        async with opening as db:
            report = await read_status(db, await db.health(limits=limits), limits)
    except (StorageError, OSError) as failure:
        error, report = f"error: {failure}", StatusReport([str(failure)], [])
    return _Look(report, error, datetime.now(UTC).isoformat(timespec="seconds"))


def _as_object(look: _Look) -> dict[str, Any]:
    report = look.report
    figures = asdict(report.figures) if report.figures else {}
    told = {"healthy": report.healthy, "problems": report.problems, "notes": report.notes}
    return {"time": look.at, **told, **figures, **({"error": look.error} if look.error else {})}


@contextmanager
def _shown(*, as_json: bool) -> Iterator[Callable[[_Look], None]]:
    """Give what shows a look: as an object, as a line, or drawn anew in a terminal."""
    if as_json:
        yield lambda look: print_json(_as_object(look))
    elif not is_live():
        yield lambda look: say(f"{look.at} {_verdict(look.report)}")
    else:
        with live_view() as draw:
            yield lambda look: draw(
                [f"{look.at}, Ctrl-C ends", *_lines(look.report)],
                [as_table(*table) for table in _tables(look.report)],
            )


def _verdict(report: StatusReport) -> str:
    return "healthy" if report.healthy else f"not healthy: {' | '.join(report.problems)}"


def _lines(report: StatusReport) -> list[str]:
    problems = [f"problem: {problem}" for problem in report.problems]
    return [*problems, *(f"note: {text}" for text in report.notes)]


def _print(report: StatusReport) -> None:
    for line in _lines(report):
        (say if report.figures else note)(line)  # without any figure it could not do its work
    for table in _tables(report):
        print_table(*table)


def _tables(report: StatusReport) -> list[_Table]:
    figures = report.figures
    if figures is None:
        return []
    sizes: list[tuple[object, ...]] = [
        (size.name, About(size.rows) if size.estimated else size.rows, size.bytes)
        for size in figures.tables
    ]
    return [
        ("Status", ("what", "value"), list(_rows(figures, healthy=report.healthy))),
        ("Tables", ("table", "rows", "bytes"), sizes),
    ]


def _rows(figures: Figures, *, healthy: bool) -> Iterator[tuple[object, ...]]:
    state = "healthy" if healthy else "not healthy"
    behind = f"{figures.conditions_behind} of {figures.conditions} conditions"
    yield "database", f"{state}, PostgreSQL {figures.server_version}"
    yield "size", f"{figures.database_bytes / 2**20:.1f} MiB"
    yield "watermarks behind", f"{behind}, by {figures.watermark_lag_seconds} s at most"
    yield "late trades", "" if figures.late_trades is None else str(figures.late_trades)
    for kind, number in figures.pending.items():
        yield f"pending {kind}", str(number)
    yield "open positions", f"{figures.open_positions}, exposure {figures.exposure}"
    yield "realized P&L", str(figures.realized_pnl)
