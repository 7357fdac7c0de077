"""Any mixture of records, loaded by several at once, gives what a model says it must."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from polymarket_bot.storage import (
    IngestReport,
    PolymarketTrade,
    TradeRepository,
    TradeWatermarkRepository,
)
from tests.makers import NOW, payload
from tests.profiles import SHARED_DATABASE, Session
from tests.questions import deadlocks

CONDITIONS = ("a", "b", "c")
NOT_BEFORE = NOW - 50
FORMS = (dict, json.dumps, lambda fields: json.dumps(fields).encode(), PolymarketTrade.from_api)
SKIPPED = (payload(type="REDEEM", asset=""), payload(timestamp=NOT_BEFORE - 1))
REFUSED = (payload(price=2), payload(timestamp=9_999_999_999), payload(asset=None), "{", None, 7)


@dataclass(frozen=True)
class Known:
    """One trade of the model, by its number: its condition, and how long after `NOW` it was."""

    number: int

    @property
    def condition(self) -> str:
        return CONDITIONS[self.number % len(CONDITIONS)]

    @property
    def time(self) -> int:
        return NOW + self.number % 11 - 5

    def record(self, form: Any) -> Any:
        """Return the trade as an exchange may have sent it."""
        return form(payload(conditionId=self.condition, timestamp=self.time, size=self.number + 1))


TRADES = st.integers(0, 40).map(Known)
FEEDS = st.lists(st.one_of(TRADES, st.sampled_from(["skipped", "refused"])), max_size=60)
WATERMARKS = st.dictionaries(st.sampled_from(CONDITIONS), st.integers(NOW - 6, NOW + 6))


@SHARED_DATABASE
@given(
    feeds=st.lists(st.tuples(FEEDS, st.integers(1, 30)), min_size=1, max_size=4),
    known=st.lists(TRADES, max_size=10),
    watermarks=WATERMARKS,
    data=st.data(),
)
def test_what_is_counted_and_stored_is_what_the_model_says(
    on_database: Session,
    feeds: Any,
    known: list[Known],
    watermarks: dict[str, int],
    data: st.DataObject,
) -> None:
    feeds = [([_record(data, item) for item in feed], feed, size) for feed, size in feeds]
    on_database.run(check(on_database, feeds, set(known), watermarks))


def _record(data: st.DataObject, item: Known | str) -> Any:
    if isinstance(item, Known):
        return item.record(data.draw(st.sampled_from(FORMS)))
    return data.draw(st.sampled_from(SKIPPED if item == "skipped" else REFUSED))


async def check(
    on_database: Session, feeds: Any, known: set[Known], watermarks: dict[str, int]
) -> None:
    trades = TradeRepository(on_database.db)
    await on_database.db.execute("TRUNCATE polymarket_trades, trade_watermarks, ops.late_trades")
    await trades.ingest(item.record(dict) for item in known)
    await TradeWatermarkRepository(on_database.db).update_many(watermarks)
    reports = await asyncio.gather(
        *(
            trades.ingest(records, not_before=NOT_BEFORE, batch_size=size)
            for records, _, size in feeds
        )
    )
    given = [feed for _, feed, _ in feeds]
    for report, feed in zip(reports, given, strict=True):
        hold_to_feed(report, feed)
    new = {item for feed in given for item in feed if isinstance(item, Known)} - known
    assert sum(report.inserted for report in reports) == len(new)
    late = {item for item in new if item.time <= watermarks.get(item.condition, 0)}
    assert sum(report.late for report in reports) == len(late)
    await hold_to_rows(on_database, known | new, late)


def hold_to_feed(report: IngestReport, feed: list[Any]) -> None:
    """Hold one worker's report to its feed; what is new is the first one's to count."""
    assert report.read == len(feed)
    assert report.read == report.inserted + report.duplicates + report.skipped + report.refused
    assert (report.skipped, report.refused) == (feed.count("skipped"), feed.count("refused"))
    assert sorted(refusal.position for refusal in report.refusals) == [
        place for place, item in enumerate(feed) if item == "refused"
    ]


async def hold_to_rows(on_database: Session, stored: set[Known], late: set[Known]) -> None:
    rows = await on_database.db.fetch(
        "SELECT condition_id, timestamp, size::int - 1, late.trade_id IS NOT NULL "
        "FROM polymarket_trades LEFT JOIN ops.late_trades AS late USING (condition_id, trade_id)"
    )
    expected = {(item.condition, item.time, item.number, item in late) for item in stored}
    assert {tuple(row) for row in rows} == expected
    assert len(rows) == len(expected)
    assert await deadlocks(on_database.db) == 0
