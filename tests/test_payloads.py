"""What of the exchange's payloads becomes a trade, and which are one trade."""

from __future__ import annotations

import contextlib
import csv
import decimal
import io
import json
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polymarket_bot.storage import InvalidRecord, OtherRecord, PolymarketTrade
from tests.makers import CONDITION, TOKEN, payload

SNAKE = {
    "conditionId": "condition_id",
    "proxyWallet": "proxy_wallet",
    "outcomeIndex": "outcome_index",
    "transactionHash": "transaction_hash",
    "asset": "token_id",
}


def test_a_payload_becomes_a_trade() -> None:
    text = json.dumps(payload(price=0.7900001161363874))
    trade = PolymarketTrade.from_api(text)
    assert trade.model_dump(exclude={"trade_id"}) == {
        "condition_id": CONDITION,
        "token_id": TOKEN,
        "price": Decimal("0.7900001161363874"),
        "size": Decimal("12.5"),
        "side": "BUY",
        "timestamp": 1_760_000_000,
        "raw_json": text,
        "outcome": "Yes",
        "outcome_index": 0,
    }


def test_the_exchanges_own_text_is_kept_untouched() -> None:
    text = ' {"extra" : [1,  2.50], ' + json.dumps(payload(title="Ångström"))[1:]
    assert PolymarketTrade.from_api(text).raw_json == text
    assert PolymarketTrade.from_api(text.encode()).raw_json == text


def as_csv(fields: dict[str, Any]) -> dict[str, str]:
    out = io.StringIO()
    writer = csv.DictWriter(out, fields)
    writer.writeheader()
    writer.writerow(fields)
    return next(csv.DictReader(io.StringIO(out.getvalue())))


@pytest.mark.parametrize(
    "same",
    [
        payload(price="0.91", size="12.50"),
        payload(price="0.910", size=Decimal("12.5")),
        payload(price="9.1e-1"),
        payload(timestamp="1760000000"),
        payload(timestamp=1_760_000_000_123),
        payload(timestamp="2025-10-09T08:53:20Z"),
        payload(timestamp="2025-10-09T04:53:20.5-04:00"),
        payload(side="buy"),
        payload(conditionId=CONDITION.upper().replace("X", "x")),
        payload(transactionHash="0x" + "2E" * 32, proxyWallet="0X" + "1F" * 20),
        payload(asset=int(TOKEN)),
        payload(id="another endpoint's row id", page=7, title="any"),
        payload(type="TRADE"),
        MappingProxyType(payload()),
        {SNAKE.get(name, name): value for name, value in payload().items()},
        as_csv(payload()),
    ],
)
def test_spelling_place_and_unknown_fields_do_not_change_the_identity(
    same: dict[str, Any],
) -> None:
    first, second = PolymarketTrade.from_api(payload()), PolymarketTrade.from_api(same)
    assert (second.condition_id, second.trade_id) == (first.condition_id, first.trade_id)
    assert second.timestamp == first.timestamp
    as_text = PolymarketTrade.from_api(json.dumps(dict(same), default=str))
    assert as_text.trade_id == first.trade_id


@pytest.mark.parametrize(
    "change",
    [
        {"transactionHash": "0x" + "3e" * 32},
        {"proxyWallet": "0x" + "2f" * 20},
        {"asset": "8" * 77},
        {"side": "SELL"},
        {"price": 0.911},
        {"size": 12.51},
        {"timestamp": 1_760_000_001},
        {"conditionId": "0x" + "cd" * 32},
    ],
)
def test_each_value_that_tells_fills_apart_changes_the_identity(change: dict[str, Any]) -> None:
    other = PolymarketTrade.from_api(payload(**change))
    assert other.trade_id != PolymarketTrade.from_api(payload()).trade_id


@given(st.just(0.0) | st.floats(1e-40, 1), st.integers(0, 10**6))
def test_a_number_is_the_same_as_json_number_text_and_float(price: float, cents: int) -> None:
    size = cents / 100
    spellings: list[Any] = [
        payload(price=price, size=size),
        payload(price=repr(price), size=f"{size:.2f}"),
        json.dumps(payload(price=price, size=size)),
    ]
    assert len({PolymarketTrade.from_api(spelling).trade_id for spelling in spellings}) == 1


def test_no_size_is_one_size_however_it_is_signed() -> None:
    ids = {PolymarketTrade.from_api(payload(size=size)).trade_id for size in (0, "-0.0", 0.0)}
    assert len(ids) == 1


def test_hashes_that_cannot_be_encoded_stay_different() -> None:
    trades = [PolymarketTrade.from_api(payload(transactionHash=h)) for h in ("0x\ud800", "0x?")]
    assert len({trade.trade_id for trade in trades}) == 2
    assert json.loads(trades[0].raw_json or "")["transactionHash"] == "0x\ud800"


def test_hexadecimal_texts_are_stored_in_lower_case() -> None:
    trade = PolymarketTrade.from_api(payload(asset="0xAB", conditionId="0XCD"))
    assert (trade.token_id, trade.condition_id) == ("0xab", "0xcd")


def test_a_mapping_keeps_its_fields_as_json() -> None:
    given = MappingProxyType({**payload(), "more": MappingProxyType({"a": 1})})
    kept = json.loads(PolymarketTrade.from_api(given).raw_json or "")
    assert kept["more"] == {"a": 1}
    assert kept["asset"] == TOKEN


def test_decimals_that_refuse_floats_are_no_hindrance() -> None:
    with decimal.localcontext() as context:
        context.traps[decimal.FloatOperation] = True
        assert PolymarketTrade.from_api(json.dumps(payload())).size == Decimal("12.5")


def test_a_row_id_serves_where_there_is_no_hash() -> None:
    assert PolymarketTrade.from_api(payload(transactionHash=None, id=17)).trade_id == "17"


def test_a_record_of_another_kind_is_told_from_a_bad_trade() -> None:
    redeem = payload(type="REDEEM", asset="", side="", outcomeIndex=999, price=0)
    with pytest.raises(OtherRecord, match="type"):
        PolymarketTrade.from_api(redeem)


@pytest.mark.parametrize(
    ("field", "record"),
    [
        ("condition_id", payload(conditionId="")),
        ("token_id", payload(asset=None)),
        ("price", payload(price=1.5)),
        ("price", payload(price="much")),
        ("price", payload(price=True)),
        ("price", payload(price="nan")),
        ("size", payload(size=-1)),
        ("size", payload(size="Infinity")),
        ("size", payload(size=None)),
        ("side", payload(side="HOLD")),
        ("timestamp", payload(timestamp=None)),
        ("timestamp", payload(timestamp="soon")),
        ("timestamp", payload(timestamp=-5)),
        ("timestamp", payload(timestamp=10**17)),
        ("timestamp", payload(timestamp="1e999999999")),
        ("outcome", payload(outcome="a\x00b")),
        ("outcome", payload(outcome=["Yes"])),
        ("outcome_index", payload(outcomeIndex=2**40)),
        ("transactionHash", payload(transactionHash=None)),
        ("outcome_index", json.dumps(payload()).replace("}", ', "outcomeIndex": 1e999999999}')),
        ("outcome_index", json.dumps(payload()).replace("}", ', "outcomeIndex": 1e-99999999}')),
        ("record", "{"),
        ("record", "[]"),
        ("record", "5"),
        ("record", ""),
        ("record", "[" * 100_000),
        ("record", '{"price": ' + "9" * 10_000 + "}"),
        ("record", '{"price": NaN}'),
        ("record", '{"x": 1e99999999999999999999}'),
        ("record", {**payload(), "x": 10**5000}),
        ("timestamp", payload(timestamp=-0.5)),
        ("price", payload(price="0.9_5")),
        ("record", b"\xff{}"),
        ("record", None),
        ("record", 5),
    ],
)
def test_what_is_no_trade_is_refused_by_the_name_of_its_field(field: str, record: Any) -> None:
    with pytest.raises(InvalidRecord) as caught:
        PolymarketTrade.from_api(record)
    assert caught.value.field == field
    assert not isinstance(caught.value, OtherRecord)
    assert len(str(caught.value)) < 500


def test_strict_precision_refuses_what_real_cannot_hold() -> None:
    held, lost = payload(price="0.79"), payload(price="0.7900001161363874")
    assert PolymarketTrade.from_api(held, strict_precision=True).price == Decimal("0.79")
    assert PolymarketTrade.from_api(lost).price == Decimal("0.7900001161363874")
    with pytest.raises(InvalidRecord, match="price"):
        PolymarketTrade.from_api(lost, strict_precision=True)
    with pytest.raises(InvalidRecord, match="size"):
        PolymarketTrade.from_api(payload(size="1e39"), strict_precision=True)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(payload())), json_values))
def test_any_payload_becomes_a_trade_or_is_refused(changes: dict[str, Any]) -> None:
    with contextlib.suppress(InvalidRecord):
        trade = PolymarketTrade.from_api({**payload(), **changes})
        assert PolymarketTrade(**trade.model_dump()) == trade
