"""Programs written for the layer before this one run as they are, also on its rows."""

from __future__ import annotations

import ast
import inspect
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from polymarket_bot import storage
from polymarket_bot.storage import Database, DatabaseConfig
from tests.contract import METHODS, OWNERS, Method
from tests.old_bot import markets, signals, trading, upkeep
from tests.old_bot.common import naive
from tests.old_bot.signals import Signals
from tests.old_bot.trading import Trading

FOLDER = Path(signals.__file__).parent
FIRST = tuple(method for method in METHODS if method.first)

READS = {"get_by_id", "exists", "delete", "count", "get_all"}
UNSPOKEN = {("TradeRepository", "delete"), ("TriggerRepository", "delete")}  # by two columns

# A trade triggers when it is fresh, from 0.95 on, and its condition has not triggered yet.
FEED: list[dict[str, Any]] = [
    {"id": "t1", "condition": "0xc1", "token": "A-yes", "price": 0.90, "age": 90},
    {"id": "t2", "condition": "0xc1", "token": "A-yes", "price": 0.97, "age": 80},
    {"id": "t3", "condition": "0xc1", "token": "A-no", "price": 0.98, "age": 70},
    {"id": "t4", "condition": "0xc2", "token": "B-yes", "price": 0.99, "age": 4000},
    {"id": "t5", "condition": "0xc3", "token": "C-yes", "price": 0.95, "age": 60},
    {"id": "t6", "condition": "0xc4", "token": "D-yes", "price": 0.985, "age": 50},
    {"id": "t6", "condition": "0xc4", "token": "D-yes", "price": 0.985, "age": 50},
]


async def live(db_url: str) -> tuple[Signals, Trading]:
    return await signals.main(db_url, FEED), await trading.main(db_url)


def conforms(value: object, shape: ast.expr | str) -> bool:
    """Tell whether a result has the shape that the contract states."""
    if isinstance(shape, str):
        shape = ast.parse(shape, mode="eval").body
    match shape:
        case ast.BinOp(left=left, right=right):
            return conforms(value, left) or conforms(value, right)
        case ast.Constant(value=None):
            return value is None
        case ast.Subscript(slice=item):
            return type(value) is list and all(conforms(each, item) for each in value)
        case ast.Name(id=name):
            kinds = {"int": int, "str": str, "bool": bool, "Decimal": Decimal, "Any": object}
            kind = kinds.get(name) or getattr(storage, name, None) or getattr(asyncpg, name)
            return isinstance(value, kind) if name in ("Any", "Record") else type(value) is kind
    raise AssertionError(f"no shape: {ast.dump(shape)}")


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, str]]:
    """The methods that the old programs call; what each returns is held to its shape."""
    seen: set[tuple[str, str]] = set()
    for method in FIRST:
        owner = getattr(storage, method.owner)
        original = getattr(owner, method.name)
        monkeypatch.setattr(owner, method.name, watched(method, original, seen))
    return seen


def watched(
    method: Method, original: Callable[..., Any], seen: set[tuple[str, str]]
) -> Callable[..., Any]:
    async def checked(result: Any) -> Any:
        value = await result
        assert conforms(value, method.returns), (str(method), value)
        return value

    def call(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        if Path(sys._getframe(1).f_code.co_filename).parent != FOLDER:
            return result
        seen.add((method.owner, method.name))
        return checked(result) if inspect.iscoroutine(result) else result

    return call


async def test_an_old_bot_lives_its_life(db_url: str) -> None:
    found, traded = await live(db_url)
    assert found == Signals(
        inserted=6,
        triggered=["A-yes", "C-yes", "D-yes"],
        approved=["A-yes", "C-yes"],
        rejected=["D-yes"],
    )
    # 50 shares each: C for 47.5, sold at 0.99; A for 48.5, paid out at 50.
    assert traded == Trading(
        exposure=Decimal(96), profits=[Decimal(2), Decimal("1.5")], realized=Decimal("3.5")
    )


async def test_an_old_bot_finds_nothing_new_in_what_it_has_seen(db_url: str, db: Database) -> None:
    await live(db_url)
    before = {owner.table: await rows_of(db, owner.table) for owner in OWNERS if owner.table}
    bot = signals.SignalBot(db)
    await bot.take_in(FEED)
    for condition in ("0xc1", "0xc2", "0xc3", "0xc4"):
        await bot.look_at(condition)
    assert bot.report == Signals(inserted=1)  # it counts its first trade without asking
    after = {owner.table: await rows_of(db, owner.table) for owner in OWNERS if owner.table}
    for table in after:
        if table != "trade_watermarks":  # they say when they were looked at
            assert after[table] == before[table], table


async def rows_of(db: Database, table: str) -> list[tuple[Any, ...]]:
    return sorted(map(tuple, await db.fetch(f"SELECT * FROM {table}")), key=str)


async def test_every_method_that_bots_had_from_the_first_is_called(
    db_url: str, called: set[tuple[str, str]]
) -> None:
    await live(db_url)
    async with Database(DatabaseConfig(url=db_url)) as db:
        assert await markets.main(db) == 0
        counts = await upkeep.main(db)
    assert counts == {
        "TradeRepository": 6,
        "TradeWatermarkRepository": 4,
        "TriggerRepository": 3,
        "TriggerWatermarkRepository": 1,
        "CandidateRepository": 3,
        "CandidateWatermarkRepository": 1,
        "PaperTradeRepository": 3,
        "LiveOrderRepository": 6,
        "PositionRepository": 2,
        "ExitEventRepository": 2,
        "DailyPnlRepository": 1,
        "TradeApprovalRepository": 3,
        "ApprovalAlertRepository": 2,
        "StreamWatchlistRepository": 2,
        "ResolutionRepository": 1,
        "TokenMetaRepository": 2,
        "TradeWatchlistRepository": 3,
        "MarketScoresCacheRepository": 3,
        "ScoreHistoryRepository": 2,
    }
    needed = {(m.owner, m.name) for m in FIRST if not m.shared or m.name in READS}
    assert needed - UNSPOKEN <= called, sorted(needed - UNSPOKEN - called)
    shared = {(m.owner, m.name) for m in FIRST if m.shared}
    assert {name for _, name in shared & called} == {name for _, name in shared}


async def test_an_old_bot_goes_on_where_an_older_layer_left_off(db_url: str, db: Database) -> None:
    await write_older_rows(db)
    found, traded = await live(db_url)
    # A's condition has triggered: by a row in milliseconds. E was waiting.
    assert found == Signals(
        inserted=6,
        triggered=["C-yes", "D-yes"],
        approved=["E-yes", "C-yes"],
        rejected=["D-yes"],
    )
    # P: 100 shares for 75, sold at 0.99; C: 50 for 47.5, paid out; E: 50 for 48, sold at 0.99.
    # Booked today: 1 that was there and these; yesterday: 5.25.
    assert traded == Trading(
        exposure=Decimal("170.5"),
        profits=[Decimal(24), Decimal("2.5"), Decimal("1.5")],
        realized=Decimal("34.25"),
        expired_approvals=1,
        deleted_alerts=1,
    )
    assert await markets.main(db) == 1
    assert await db.fetchval("SELECT count(*) FROM score_history WHERE token_id = 'S'") == 1
    assert (
        await db.fetchval("SELECT approved_by FROM trade_approvals WHERE token_id = 'C-yes'")
        == "telegram"
    )
    entered = "SELECT entry_timestamp FROM positions WHERE token_id = 'P-yes'"
    assert await db.fetchval(entered) == "2025-03-01 08:00:00"


async def write_older_rows(db: Database) -> None:
    """Write rows as an older layer left them: short times without an offset, milliseconds."""
    now, spaced = int(time.time()), naive(86_400).replace("T", " ")[:19]
    hour_ago = naive(3600)[:19]
    rows: dict[str, list[list[Any]]] = {
        "polymarket_first_triggers (token_id, condition_id, threshold, trigger_timestamp, "
        "created_at)": [["A-no", "0xc1", 0.95, (now - 3600) * 1000 + 250, hour_ago]],
        "trigger_watermarks": [[0.95, now - 3600, spaced]],
        "trade_watermarks": [["0xc3", now - 1000, spaced]],
        "candidate_watermarks": [[0.95, spaced, spaced]],
        "polymarket_candidates (token_id, threshold, trigger_timestamp, price, status, "
        "created_at)": [["E-yes", 0.95, (now - 3600) * 1000, 0.96, "pending", hour_ago]],
        "trade_approvals (token_id, approved_at, approved_by, expires_at)": [
            ["Y", hour_ago, "web", None],
            ["Z", hour_ago, "web", naive(60)[:19]],
            ["C-yes", spaced, "web", naive(-900)],
        ],
        "approval_alerts (token_id, alerted_at)": [["Y", hour_ago], ["Z", naive(10 * 86_400)]],
        "positions (token_id, size, entry_price, entry_cost, entry_timestamp, created_at)": [
            ["P-yes", 100.0, 0.75, 75.0, "2025-03-01 08:00:00", "2025-03-01T08:00:00Z"]
        ],
        "daily_pnl (date, realized_pnl)": [[naive()[:10], 1.0], [naive(86_400)[:10], 5.25]],
        "score_history (token_id, score, scored_at)": [
            ["S", 0.4, (now - 40 * 86_400) * 1000],
            ["S", 0.5, (now - 86_400) * 1000],
        ],
    }
    for table, values in rows.items():
        for row in values:
            places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
            await db.execute(f"INSERT INTO {table} VALUES ({places})", *row)


def test_the_old_programs_know_only_the_names_that_bots_had_from_the_first() -> None:
    names = {name for owner in OWNERS for name in (owner.name, owner.model)} | {"DatabaseConfig"}
    for file in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and "polymarket_bot" in (node.module or ""):
                assert node.module == "polymarket_bot.storage"
                assert {alias.name for alias in node.names} <= names, file.name
