"""What a run of the demo reports: tables and a plot for people, one object for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from polymarket_bot.storage.cli.demo.counting import Arrived, Pipeline
from polymarket_bot.storage.cli.demo.pages import MAX_AGE
from polymarket_bot.storage.cli.demo.signals import time_text
from polymarket_bot.storage.cli.output import print_bars, print_json, print_table, say
from polymarket_bot.storage.models.positions import DailyPnl
from polymarket_bot.storage.models.triggers import PolymarketFirstTrigger

_SHOWN = 20
_DAYS_SHOWN = 31
_FIGURES = ("date", "realized_pnl", "num_trades", "num_wins", "num_losses")


@dataclass(frozen=True)
class Report:
    """What a run has done, and what stands in the database at its end.

    Attributes:
        feed: the file, or "generated".
        read: records that were looked at; repeated pages count again, killed workers do not.
        skipped: well-formed records of another kind.
        reasons: why records were refused, and how many for each reason.
        arrived: what the run has stored and handed over.
        triggers: the new ones, by threshold and time.
        pipeline: what is in the database now.
        workers: how many processes there were at a time.
        kills: how many were killed and replaced.
        seconds: how long the replay took.
    """

    feed: str
    read: int
    skipped: int
    reasons: Mapping[str, int]
    arrived: Arrived
    triggers: Sequence[PolymarketFirstTrigger]
    pipeline: Pipeline
    workers: int
    kills: int
    seconds: float

    @property
    def refused(self) -> int:
        """Records that are no trade, or a bad one."""
        return sum(self.reasons.values())

    @property
    def duplicates(self) -> int:
        """Trades that were stored already."""
        return self.read - self.arrived.stored - self.skipped - self.refused

    @property
    def rate(self) -> int:
        """Records a second."""
        return round(self.read / self.seconds)


def print_report(report: Report, *, as_json: bool) -> None:
    """Print a report."""
    if as_json:
        print_json(_as_object(report))
        return
    print_table(f"Feed: {report.feed}", ("what", "records"), _feed_rows(report))
    if report.reasons:
        most_first = sorted(report.reasons.items(), key=lambda reason: (-reason[1], reason[0]))
        print_table("Refused, and why", ("reason", "records"), most_first)
    if report.triggers:
        _print_triggers(report.triggers)
    _print_pipeline(report.pipeline)
    say(
        f"{report.workers} workers, {report.kills} killed and replaced, "
        f"{report.seconds:.1f} s, {report.rate:,} records a second"
    )
    if not (report.arrived.stored or report.triggers):
        say("Nothing new: all of this feed was stored before, and nothing triggered again.")


def _as_object(report: Report) -> dict[str, Any]:
    state = report.pipeline
    return {
        "feed": report.feed,
        "read": report.read,
        "inserted": report.arrived.stored,
        "duplicates": report.duplicates,
        "late": report.arrived.late,
        "skipped": report.skipped,
        "refused": report.refused,
        "new": report.arrived.new,
        "stale": report.arrived.stale,
        "reasons": dict(sorted(report.reasons.items())),
        "triggers": [trigger.model_dump(mode="json") for trigger in report.triggers],
        "candidates": state.candidates,
        "paper_trades": state.paper_trades,
        "orders": state.orders,
        "positions": state.positions,
        "daily_pnl": [day.model_dump(mode="json", include={*_FIGURES}) for day in state.daily_pnl],
        "realized_pnl": state.realized_pnl,
        "workers": report.workers,
        "kills": report.kills,
        "seconds": round(report.seconds, 2),
        "records_per_second": report.rate,
    }


def _feed_rows(report: Report) -> list[tuple[str, int]]:
    return [
        ("read", report.read),
        ("stored", report.arrived.stored),
        ("duplicates", report.duplicates),
        ("late: stored behind the watermark", report.arrived.late),
        ("skipped: no trades", report.skipped),
        ("refused", report.refused),
        ("new: handed over once", report.arrived.new),
        (f"stale: older than {MAX_AGE} s", report.arrived.stale),
        ("triggers", len(report.triggers)),
    ]


def _print_triggers(triggers: Sequence[PolymarketFirstTrigger]) -> None:
    rows = [
        (
            time_text(trigger.trigger_timestamp)[:19],
            (trigger.condition_id or "")[:12],
            trigger.outcome,
            str(trigger.threshold),
            str(trigger.price),
        )
        for trigger in triggers[:_SHOWN]
    ]
    print_table(
        "First triggers", ("time (UTC)", "condition", "outcome", "threshold", "price"), rows
    )
    if len(triggers) > _SHOWN:
        say(f"and {len(triggers) - _SHOWN} more: polymarket_first_triggers has them all")


def _print_pipeline(state: Pipeline) -> None:
    counted = {
        "candidates": state.candidates,
        "paper trades": state.paper_trades,
        "orders": state.orders,
        "positions": state.positions,
    }
    rows = [
        (what, status, number)
        for what, by_status in counted.items()
        for status, number in by_status.items()
    ]
    if rows:
        print_table("In the database now", ("what", "status", "rows"), rows)
    _print_pnl(state.daily_pnl, state.realized_pnl)


def _print_pnl(days: Sequence[DailyPnl], total: Decimal) -> None:
    if not days:
        say("No market was resolved, so there is no P&L to plot.")
        return
    print_bars("P&L by day", [(d.date, d.realized_pnl or Decimal(0)) for d in days[-_DAYS_SHOWN:]])
    won, lost = (sum(getattr(day, name) or 0 for day in days) for name in _FIGURES[-2:])
    say(f"{won} won, {lost} lost, {total:+,} in all")
