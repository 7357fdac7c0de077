"""Whatever a feed has among its records: each is counted once, and none costs a good one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polymarket_bot.storage import IngestReport, TradeRepository
from polymarket_bot.storage.tables import TRADES
from tests.hostile import Stream, tampered_models, valid_models
from tests.hostile_arena import Arena, arena, check_error, outcome
from tests.hostile_values import VALUES, values
from tests.makers import payload
from tests.profiles import EXAMPLES, tried

pytestmark = pytest.mark.usefixtures("hostile_inputs")

_NAMES = [*payload(), "type", "id", "trade_id", "market", "match_time", "token_id", "unknown"]
_LONGEST_REASON = 400


def _is_readable(value: object) -> bool:
    """Tell whether a value has a text: what has none is no part of any feed."""
    try:
        str(value)
    except Exception:  # noqa: BLE001 - whatever a hostile value raises
        return False
    return True


_READABLE = st.sampled_from([value for value in VALUES if _is_readable(value)])


def _payloads() -> st.SearchStrategy[dict[Any, Any]]:
    wrong = st.dictionaries(st.sampled_from(_NAMES), _READABLE, max_size=2)
    odd = st.dictionaries(st.text() | st.integers(), _READABLE, max_size=2)
    return st.tuples(wrong, odd).map(lambda parts: payload() | parts[0] | parts[1])


def _records() -> st.SearchStrategy[Any]:
    texts = _payloads().map(lambda fields: json.dumps(fields, default=repr, skipkeys=True))
    cut = st.tuples(texts, st.integers(0, 300)).map(lambda pair: pair[0][: pair[1]])
    models = st.one_of(valid_models(TRADES), tampered_models(TRADES))
    encoded = texts.map(lambda text: text.encode("utf-16"))
    return st.one_of(_payloads(), texts, texts.map(str.encode), cut, encoded, models, _READABLE)


def _good(number: int) -> dict[str, Any]:
    return payload(transactionHash=f"0x{number:064x}", conditionId="good", size=number + 1)


async def _as_async(records: list[Any]) -> AsyncIterator[Any]:
    for record in records:
        yield record


def test_every_record_is_counted_once_and_the_good_ones_are_stored(db_url: str) -> None:
    with arena(db_url) as place:

        @EXAMPLES
        @given(st.lists(_records(), min_size=1, max_size=6), st.sampled_from([iter, _as_async]))
        def ingest(bad: list[Any], form: Callable[[list[Any]], Any]) -> None:
            feed = [record for n, item in enumerate(bad) for record in (_good(n), item)]
            place.session.run(_check(place, feed, form(feed)))
            tried(len(bad))

        ingest()


async def _check(place: Arena, feed: list[Any], records: Any) -> None:
    trades = TradeRepository(place.session.db)
    report = await trades.ingest(records)
    stored = await trades.get_by_condition("good")
    changed, rows = await place.put_back(TRADES)
    assert changed == {TRADES.name}
    assert {int(trade.size or 0) for trade in stored} >= set(range(1, len(feed) // 2 + 1))
    _check_counts(report, len(feed), len(rows))
    for refusal in report.refusals:
        assert refusal.record is feed[refusal.position]
        assert len(refusal.reason) <= _LONGEST_REASON


def _check_counts(report: IngestReport, read: int, rows: int) -> None:
    counted = report.inserted + report.duplicates + report.skipped + report.refused
    assert (report.read, report.inserted) == (read, rows)
    assert counted == read
    assert len(report.refusals) == report.refused


def test_what_is_no_feed_is_refused_by_name_and_a_broken_one_stores_nothing(db_url: str) -> None:
    with arena(db_url) as place:

        @EXAMPLES
        @given(values() | st.just(Stream([_good(1)], fails=True)), values(), values())
        def ingest(trades: Any, not_before: Any, on_refusal: Any) -> None:
            given_to = {"trades": trades, "not_before": not_before, "on_refusal": on_refusal}
            place.session.run(_refuse(place, given_to))
            tried(len(given_to))

        ingest()


async def _refuse(place: Arena, arguments: dict[str, Any]) -> None:
    trades = TradeRepository(place.session.db)
    for name, value in arguments.items():
        ingest = partial(trades.ingest, **{"trades": [], name: value})
        report, error = await outcome(ingest)
        changed, _ = await place.put_back(TRADES)
        assert not changed
        if error is None:
            assert report.read == report.refused + report.skipped
        else:
            check_error(error, {name, "timestamp"})
