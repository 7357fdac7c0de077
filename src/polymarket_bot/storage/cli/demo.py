"""`demo`: a feed through all of the package, from raw records to first triggers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from polymarket_bot.storage.cli.feed import Feed
from polymarket_bot.storage.cli.ingest import counts
from polymarket_bot.storage.cli.output import print_json, print_table, progress, say
from polymarket_bot.storage.cli.target import open_database
from polymarket_bot.storage.database import Database
from polymarket_bot.storage.errors import InvalidRecord
from polymarket_bot.storage.files import read_records
from polymarket_bot.storage.ingest import IngestReport, Refusal, TradeLike
from polymarket_bot.storage.models.trades import PolymarketTrade
from polymarket_bot.storage.models.triggers import PolymarketFirstTrigger
from polymarket_bot.storage.repositories.trade_repo import (
    TradeRepository,
    TradeWatermarkRepository,
)
from polymarket_bot.storage.repositories.trigger_repo import (
    TriggerRepository,
    TriggerWatermarkRepository,
)

THRESHOLDS = (0.90, 0.95)
MAX_AGE = 300
_PAGE = 500
_POLL = 60
_SHOWN = 20

Page = Sequence[TradeLike]


class Replay:
    """Stores a feed page by page and triggers on what is new and fresh.

    The clock is the replay's: the newest trade that has arrived.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._trades, self._marks = TradeRepository(db), TradeWatermarkRepository(db)
        self._triggers, self._read_marks = TriggerRepository(db), TriggerWatermarkRepository(db)
        self._clock = 0
        self.report = IngestReport()
        self.reasons: Counter[str] = Counter()
        self.new = 0
        self.stale = 0

    async def arrive(self, page: Page) -> None:
        """Store a page and look at each of its conditions."""
        records = [_parsed(record) for record in page]
        trades = [record for record in records if isinstance(record, PolymarketTrade)]
        self.report += await self._trades.ingest(records, on_refusal=self._refused)
        self._clock = max([self._clock, *(trade.timestamp or 0 for trade in trades)])
        for condition_id in sorted({trade.condition_id for trade in trades}):
            async with self._db.transaction():
                await self._look_at(condition_id)

    async def new_triggers(self) -> list[PolymarketFirstTrigger]:
        """Return the triggers behind each threshold's watermark, and move it."""
        found: list[PolymarketFirstTrigger] = []
        for threshold in THRESHOLDS:
            async with self._db.transaction():
                since = await self._read_marks.get_timestamp(threshold)
                new = await self._triggers.get_recent(since + 1, threshold)
                if new:
                    await self._read_marks.update(threshold, new[0].trigger_timestamp)
                found += reversed(new)
        return found

    def _refused(self, refusal: Refusal) -> None:
        self.reasons[refusal.reason.partition(", got ")[0]] += 1

    async def _look_at(self, condition_id: str) -> None:
        """Trigger on the fresh ones among the condition's new trades, and move its watermark."""
        since = await self._marks.get_timestamp(condition_id)
        stored = await self._trades.get_since(condition_id, since, limit=_PAGE)
        # An interrupted replay may have stored what has not arrived yet in this one.
        new = [trade for trade in stored if (trade.timestamp or 0) <= self._clock]
        if not new:
            return
        recent = await self._trades.get_recent(condition_id, MAX_AGE, now=self._clock)
        fresh = {trade.trade_id for trade in recent}
        for trade in new:
            self.new += 1
            if trade.trade_id in fresh:
                await self._trigger(trade)
            else:
                self.stale += 1
        await self._marks.update(condition_id, new[-1].timestamp or 0)

    async def _trigger(self, trade: PolymarketTrade) -> None:
        """Record the first time that the token, or another of its condition, is so dear."""
        price = trade.price or Decimal(0)
        for threshold in THRESHOLDS:
            if price >= Decimal(str(threshold)):
                await self._triggers.claim(_first_trigger(trade, threshold))


async def run_demo(
    feed: Path | None, seed: int, *, url: str | None, data_dir: Path, as_json: bool
) -> int:
    """Replay a feed, print what became of it, and return the exit status."""
    async with open_database(url, data_dir) as db:
        replay = Replay(db)
        pages = list(Feed(seed).pages() if feed is None else _file_pages(feed))
        with progress("replay", sum(map(len, pages))) as advance:
            for page in pages:
                await replay.arrive(page)
                advance(replay.report.read, replay.report.read)
        triggers = await replay.new_triggers()
    _print(replay, triggers, "generated" if feed is None else str(feed), as_json=as_json)
    return 0


def _file_pages(path: Path) -> Iterator[Page]:
    """Read a trade file into pages as a poller would have got them: time goes forward.

    The API lists the newest first; such a file is replayed from its end.
    """
    records = [_parsed(record.payload) for record in read_records(path)]
    times = [time for record in records if (time := _time(record)) is not None]
    if times and times[0] > times[-1]:
        records.reverse()
    return _polls(records)


def _polls(records: Iterable[TradeLike]) -> Iterator[Page]:
    """Cut records into pages of at most 500 that begin a minute apart at most."""
    page: list[TradeLike] = []
    began: int | None = None
    for record in records:
        time = _time(record)
        if len(page) == _PAGE or (time and began and time > began + _POLL):
            yield page
            page, began = [], None
        page.append(record)
        began = began or time
    if page:
        yield page


def _time(record: TradeLike) -> int | None:
    return record.timestamp if isinstance(record, PolymarketTrade) else None


def _parsed(record: TradeLike) -> TradeLike:
    """Return the trade that a record holds; what is none stays, for `ingest` to refuse."""
    if isinstance(record, PolymarketTrade):
        return record
    try:
        return PolymarketTrade.from_api(record)
    except InvalidRecord:
        return record


def _first_trigger(trade: PolymarketTrade, threshold: float) -> PolymarketFirstTrigger:
    return PolymarketFirstTrigger(
        token_id=trade.token_id or "",
        condition_id=trade.condition_id,
        threshold=threshold,
        trigger_timestamp=trade.timestamp or 0,
        price=trade.price,
        size=trade.size,
        created_at=_time_text(trade.timestamp or 0),
        outcome=trade.outcome,
        outcome_index=trade.outcome_index,
    )


def _print(
    replay: Replay, triggers: Sequence[PolymarketFirstTrigger], feed: str, *, as_json: bool
) -> None:
    numbers = counts(replay.report)
    if as_json:
        listed = [trigger.model_dump(mode="json") for trigger in triggers]
        details = {"new": replay.new, "stale": replay.stale, "reasons": dict(replay.reasons)}
        print_json({"feed": feed, **numbers, **details, "triggers": listed})
        return
    print_table(f"Feed: {feed}", ("what", "records"), _summary(replay, numbers, len(triggers)))
    if replay.reasons:
        print_table("Refused, and why", ("reason", "records"), replay.reasons.most_common())
    if triggers:
        _print_triggers(triggers)
    if not (replay.report.inserted or triggers):
        say("Nothing new: all of this feed was stored before, and nothing triggered again.")


def _summary(replay: Replay, numbers: dict[str, int], triggers: int) -> list[tuple[str, int]]:
    return [
        ("read", numbers["read"]),
        ("stored", numbers["inserted"]),
        ("duplicates", numbers["duplicates"]),
        ("late: stored behind the watermark", numbers["late"]),
        ("skipped: no trades", numbers["skipped"]),
        ("refused", numbers["refused"]),
        ("new behind the watermark", replay.new),
        (f"stale: older than {MAX_AGE} s", replay.stale),
        ("triggers", triggers),
    ]


def _print_triggers(triggers: Sequence[PolymarketFirstTrigger]) -> None:
    rows: list[tuple[Any, ...]] = [
        (
            _time_text(trigger.trigger_timestamp)[:19],
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


def _time_text(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp, UTC).isoformat()
