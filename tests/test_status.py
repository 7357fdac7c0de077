"""`status` says what waits for too long and ends with 1, until it was mended."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from polymarket_bot.storage import (
    CandidateRepository,
    Database,
    ExitEventRepository,
    LiveOrderRepository,
    PolymarketResolution,
    ResolutionRepository,
    TradeRepository,
    TradeWatermarkRepository,
)
from tests.alarms import NOTES, PROBLEMS, said, status
from tests.commands import run
from tests.handing_over import anything, at
from tests.makers import CONDITION, NOW
from tests.questions import clock, unix_time
from tests.small_rows import candidate, exit_event, order
from tests.writers import as_user, connect, old_transaction, two_users

BEHIND = "trades wait behind the watermark of … for more than …"
UNMARKED = "conditions with trades and no watermark: …"
LATE = "late trades that wait for more than …: …"
CANDIDATES = "candidates that are pending for more than …: …"
EXITS = "exits that are pending for more than …: …"
ORDERS = "orders without an answer of the exchange for more than …: …"
OPEN_ORDERS = "orders that are open at the exchange for more than …: …"
NO_TIME = "…, of which … is no time: …"
UNSEEN = "… cannot be looked at: …"
EXTREMES = """
INSERT INTO polymarket_trades (condition_id, trade_id, timestamp) VALUES
    ('c', 'first', -9223372036854775808), ('c', 'last', 9223372036854775807),
    ('d', 'none', NULL), ('', 'nothing', 0);
INSERT INTO trade_watermarks VALUES ('c', -9223372036854775808, ''), ('d', 5, '')
"""
MANY = """
ALTER TABLE score_history SET (autovacuum_enabled = off);
INSERT INTO score_history (id) SELECT generate_series(1, 1100000)
"""


async def test_trades_that_wait_behind_a_watermark_are_told_until_it_is_moved(
    db: Database, db_url: str, tmp_path: Path
) -> None:
    trades = TradeRepository(db)
    await trades.ingest([*at(-900, "old"), *at(0, "new")])
    told = await status(db_url, tmp_path)
    assert (told.status, said(told.notes, UNMARKED)) == (0, True)
    # Since then the market is quiet: the newest trade is one second behind the watermark.
    await TradeWatermarkRepository(db).update(CONDITION, NOW - 1)
    told = await status(db_url, tmp_path)
    assert (told.status, told.notes) == (1, [])
    assert said(told.problems, BEHIND)
    age = await unix_time(db) - NOW
    assert f", the oldest for {age // 86400:,} days, of '{CONDITION}'; " in told.problems[0]
    assert (await status(db_url, tmp_path, "--max-lag", str(age + 600))).status == 0
    await anything(trades)
    assert await status(db_url, tmp_path) == (0, [], [])


async def test_a_trade_that_has_just_come_to_a_quiet_market_is_no_problem(
    db: Database, db_url: str, tmp_path: Path
) -> None:
    now = await unix_time(db) - NOW
    await TradeRepository(db).ingest(at(now, "new"))
    await TradeWatermarkRepository(db).update(CONDITION, NOW)
    assert (await status(db_url, tmp_path)).status == 0


async def test_what_a_resolved_condition_leaves_is_no_problem(
    db: Database, db_url: str, tmp_path: Path
) -> None:
    trades = TradeRepository(db)
    await TradeWatermarkRepository(db).update(CONDITION, NOW)
    await trades.ingest([*at(-1, "late"), *at(900, "new")])
    told = await status(db_url, tmp_path, "--max-lag", "0")
    assert said(told.problems, BEHIND, LATE)
    await ResolutionRepository(db).create(PolymarketResolution(condition_id=CONDITION))
    assert await status(db_url, tmp_path, "--max-lag", "0") == (0, [], [])


async def test_a_late_trade_is_told_until_it_is_handed_over(
    db: Database, db_url: str, tmp_path: Path
) -> None:
    trades = TradeRepository(db)
    await TradeWatermarkRepository(db).update(CONDITION, NOW)
    await trades.ingest(at(-1, "a", "b"))
    assert (await status(db_url, tmp_path)).status == 0
    told = await status(db_url, tmp_path, "--max-lag", "0")
    assert said(told.problems, LATE)
    assert ": 2, the oldest for " in told.problems[0]
    await anything(trades)
    assert (await status(db_url, tmp_path, "--max-lag", "0")).status == 0
    await trades.ingest(at(-2, "gone"))
    await db.execute("DELETE FROM polymarket_trades WHERE trade_id = 'gone'")
    assert (await status(db_url, tmp_path, "--max-lag", "0")).status == 0


async def _candidate(db: Database, at: str) -> Callable[[], Awaitable[object]]:
    row = await CandidateRepository(db).create(candidate())
    await db.execute("UPDATE polymarket_candidates SET created_at = $1", at)
    return lambda: CandidateRepository(db).reject(row.id or 0)


async def _exit(db: Database, at: str) -> Callable[[], Awaitable[object]]:
    row = await ExitEventRepository(db).create(exit_event())
    await db.execute("UPDATE exit_events SET created_at = $1", at)
    return lambda: ExitEventRepository(db).mark_failed(row.id or 0, "sold by hand")


async def _order(db: Database, at: str) -> Callable[[], Awaitable[object]]:
    row = await LiveOrderRepository(db).create(order(None, status="pending"))
    await db.execute("UPDATE live_orders SET submitted_at = $1", at)
    return lambda: LiveOrderRepository(db).attach_order_id(row.id or 0, "o1")


@pytest.mark.parametrize(
    ("make", "message", "option"),
    [
        (_candidate, CANDIDATES, "--max-pending"),
        (_exit, EXITS, "--max-pending"),
        (_order, ORDERS, "--max-unanswered"),
    ],
)
async def test_what_waits_is_told_until_somebody_looks_after_it(
    db: Database,
    db_url: str,
    tmp_path: Path,
    make: Callable[[Database, str], Awaitable[Callable[[], Awaitable[object]]]],
    message: str,
    option: str,
) -> None:
    # By its text, in the future.
    east = await clock(db) + timedelta(hours=5, minutes=-100)
    mend = await make(db, f"{east:%Y-%m-%d %H:%M:%S}+05:00")
    told = await status(db_url, tmp_path)
    assert (told.status, said(told.problems, message)) == (1, True)
    assert re.search(r": 1, the oldest for 10\d min; ", told.problems[0])
    assert (await status(db_url, tmp_path, option, "7000")).status == 0
    await mend()
    assert (await status(db_url, tmp_path)).status == 0


async def test_an_order_that_rests_at_the_exchange_is_noted(
    db: Database, db_url: str, tmp_path: Path
) -> None:
    await LiveOrderRepository(db).create(order("o1"))
    told = await status(db_url, tmp_path)
    assert (told.status, said(told.notes, OPEN_ORDERS)) == (0, True)


@pytest.mark.parametrize("text", ["", "yesterday", "2025-02-30T00:00:00Z", "0000-01-01", "9" * 99])
async def test_a_time_that_cannot_be_read_is_noted(
    db: Database, db_url: str, tmp_path: Path, text: str
) -> None:
    for make in (_candidate, _exit, _order):
        await make(db, text)
    told = await status(db_url, tmp_path)
    assert (told.status, said(told.notes, NO_TIME, NO_TIME, NO_TIME)) == (0, True)
    assert "polymarket_candidates.created_at" in told.notes[0]


async def test_the_furthest_times_do_no_harm(db: Database, db_url: str, tmp_path: Path) -> None:
    await db.execute(EXTREMES)
    outcome = await run("status", "--json", "--url", db_url, cwd=tmp_path)
    assert outcome.json["watermark_lag_seconds"] == 2**64 - 1
    assert (outcome.json["conditions"], outcome.json["conditions_behind"]) == (3, 1)


async def test_large_tables_are_estimated(db: Database, db_url: str, tmp_path: Path) -> None:
    await db.execute(MANY)
    await db.execute("ANALYZE score_history")
    outcome = await run("status", "--json", "--url", db_url, cwd=tmp_path)
    tables = {table["name"]: table for table in outcome.json["tables"]}
    estimate = tables["score_history"]["rows"]
    assert 1_000_000 < estimate < 1_200_000
    assert [name for name, table in tables.items() if table["estimated"]] == ["score_history"]
    assert f" ~{estimate:,} " in (await run("status", "--url", db_url, cwd=tmp_path)).out


async def test_problems_and_notes_are_lines_before_the_figures(
    db: Database, db_url: str, tmp_path: Path
) -> None:
    await _order(db, "2025-01-01")
    await _candidate(db, "never")
    outcome = await run("status", "--url", db_url, cwd=tmp_path)
    problem, note, title, *_ = outcome.out.splitlines()
    assert (outcome.status, title.strip()) == (1, "Status")
    assert said([problem.removeprefix("problem: ")], ORDERS)
    assert said([note.removeprefix("note: ")], NO_TIME)
    assert "not healthy, PostgreSQL" in outcome.out


async def test_an_old_transaction_ends_with_1(db_url: str, tmp_path: Path) -> None:
    async with old_transaction(db_url):
        assert (await status(db_url, tmp_path)).status == 0
        for option in ("--max-idle", "--max-transaction"):
            assert len((await status(db_url, tmp_path, option, "0")).problems) == 1
    assert (await status(db_url, tmp_path, "--max-idle", "0")).status == 0


async def test_what_cannot_be_looked_at_is_a_problem_and_the_rest_is_told(
    db: Database, db_url: str, tmp_path: Path
) -> None:
    await _order(db, "2025-01-01")
    async with two_users(db_url) as (admin, _, worker):
        await admin.execute(f"GRANT USAGE ON SCHEMA ops TO {worker}")
        await admin.execute(f"GRANT SELECT ON live_orders, ops.schema_version TO {worker}")
        told = await status(as_user(db_url, worker), tmp_path)
        assert said(told.problems, *[UNSEEN] * 4, ORDERS)
        assert all("polymarket-storage grant" in problem for problem in told.problems[:4])
    session = await connect(db_url)
    await session.execute("BEGIN; LOCK TABLE exit_events")
    outcome = await run(
        "status", "--json", "--url", db_url, cwd=tmp_path, DATABASE_LOCK_TIMEOUT="0.2"
    )
    problems = outcome.json["problems"]
    assert said(problems, UNSEEN, UNSEEN, ORDERS, UNSEEN)
    assert "lock timeout" in problems[1]
    session.terminate()


async def test_a_missing_schema_is_told_with_words_for_programs_too(
    empty_url: str, db: Database, tmp_path: Path
) -> None:
    told = await status(empty_url, tmp_path)
    assert told.status == 1
    assert all("polymarket-storage migrate" in problem for problem in told.problems)
    await db.migrate(to=2)
    outcome = await run("status", "--json", "--url", db.config.url, cwd=tmp_path)
    assert (outcome.status, outcome.json["late_trades"]) == (1, None)
    assert len(outcome.json["tables"]) == 19


async def test_a_status_changes_nothing_and_heeds_no_setting_that_would(
    db: Database, db_url: str, tmp_path: Path
) -> None:
    await db.migrate(to=2)
    settings = {"DATABASE_MIGRATE_ON_START": "true", "DATABASE_VERIFY_SCHEMA": "true"}
    outcome = await run("status", "--json", "--url", db_url, cwd=tmp_path, **settings)
    assert "ops.late_trades" in outcome.json["problems"][1]
    assert await db.schema_version() == 2


async def test_a_database_that_does_not_answer_is_a_problem(tmp_path: Path) -> None:
    url = "postgresql://u@127.0.0.1:1/d"
    outcome = await run(
        "status", "--json", "--url", url, cwd=tmp_path, DATABASE_CONNECT_TIMEOUT="0.2"
    )
    assert (outcome.status, outcome.json["healthy"]) == (1, False)
    assert outcome.json["error"] == f"error: {outcome.json['problems'][0]}"


@pytest.mark.parametrize("wrong", [["5"], ["--watch", "0"], ["--max-lag", "-1"], ["--max-lag"]])
async def test_a_wrong_command_ends_with_2(tmp_path: Path, wrong: list[str]) -> None:
    assert (await run("status", *wrong, cwd=tmp_path)).status == 2


def test_all_that_the_page_says_is_tried_by_some_test() -> None:
    tests = Path(__file__).parent
    sources = [path.read_text(encoding="utf-8") for path in tests.rglob("test_*.py")]
    elsewhere = {"… is missing: …"}  # of `check`: test_drift.py
    assert len(PROBLEMS) + len(NOTES) == 22
    told = [message.removesuffix(": …") for message in {*PROBLEMS, *NOTES} - elsewhere]
    assert [text for text in told if not any(text in source for source in sources)] == []
