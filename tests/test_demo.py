"""`polymarket-storage demo` replays a feed, reports it, and writes where it was told to.

However it is disturbed, it ends in the same state.
"""

from __future__ import annotations

import signal
from decimal import Decimal
from pathlib import Path
from typing import Any

from polymarket_bot.storage import Database, DatabaseConfig
from polymarket_bot.storage.mapping.statements import relation
from polymarket_bot.storage.tables import LATE_TRADES, PRODUCTION
from tests.commands import eventually, run, start, write_feed
from tests.faults.record import SEED, TOLD, count, tell
from tests.makers import CREATED, NOW, payload

KILLS = count("DEMO_KILLS", 6)
TIMING = ("seconds", "records_per_second", "kills")
# What differs between two runs: ids of the database, and times by its clock.
CLOCKS_AND_IDS = (
    "id", "candidate_id", "updated_at", "filled_at", "resolved_at", "arrived_at", "handled_at",
)  # fmt: skip
WORKERS = """
SELECT count(*) {} FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE '%demo worker%'
"""
REFUSE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'not today'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON {} FOR EACH ROW {} EXECUTE FUNCTION refuse()
"""


async def state(url: str, without: tuple[str, ...] = CLOCKS_AND_IDS) -> dict[str, list[str]]:
    """Return the rows of every table, less some columns."""
    query = "SELECT (to_jsonb(t) - $1::text[])::text FROM {} AS t ORDER BY 1"
    async with Database(DatabaseConfig(url=url, min_connections=1)) as db:
        return {
            table.name: [row[0] for row in await db.fetch(query.format(relation(table)), without)]
            for table in (*PRODUCTION, LATE_TRADES)
        }


async def undisturbed(url: str, folder: Path, seed: int) -> dict[str, Any]:
    """Return the report of a run in an empty database."""
    assert (await run("init", "--url", url, cwd=folder)).status == 0
    outcome = await run("demo", "--url", url, "--seed", seed, "--json", cwd=folder)
    assert outcome.status == 0, outcome.err
    report: dict[str, Any] = outcome.json
    return report


async def test_demo_reports_triggers_on_no_stale_trade_and_a_second_run_adds_nothing(
    db_url: str, db: Database, tmp_path: Path
) -> None:
    first = await run("demo", "--url", db_url, "--json", cwd=tmp_path)
    assert first.status == 0, first.err
    report = first.json
    assert report["inserted"] > 5_000
    assert report["duplicates"] > 0
    assert report["late"] > 0
    assert report["skipped"] > 0
    assert report["stale"] > 0
    assert sum(report["reasons"].values()) == report["refused"] > 0
    keys = [(row["condition_id"], row["threshold"]) for row in report["triggers"]]
    assert len(keys) == len(set(keys)) > 0
    stale = "SELECT count(*) FROM {} WHERE price = 0.985::real"
    assert await db.fetchval(stale.format("polymarket_trades")) > 0
    assert await db.fetchval(stale.format("polymarket_first_triggers")) == 0

    stored = await state(db_url, without=())
    again = await run("demo", "--url", db_url, cwd=tmp_path)
    assert again.status == 0
    assert "Nothing new" in again.out
    assert "Refused, and why" in again.out
    assert await state(db_url, without=()) == stored


async def test_demo_does_not_write_into_database_url(
    db_url: str, db: Database, open_folder: Path
) -> None:
    feed = write_feed(open_folder / "feed.jsonl", [payload()])
    outcome = await run("demo", "--feed", feed, cwd=open_folder, DATABASE_URL=db_url)
    assert outcome.status == 0, outcome.err
    assert (open_folder / ".polymarket").is_dir()
    assert await db.fetchval("SELECT count(*) FROM polymarket_trades") == 0


async def test_demo_replays_a_file_in_the_order_of_time(db_url: str, tmp_path: Path) -> None:
    newest_first = [
        payload(timestamp=NOW - 100 * n, size=n + 1, price=0.99 if n == 5 else 0.5)
        for n in range(9)
    ]
    feed = write_feed(tmp_path / "feed.jsonl", newest_first)
    outcome = await run("demo", "--url", db_url, "--feed", feed, "--json", cwd=tmp_path)
    report = outcome.json
    assert (report["inserted"], report["late"], report["stale"]) == (9, 0, 0)
    assert {row["trigger_timestamp"] for row in report["triggers"]} == {NOW - 500}
    plotted = await run("demo", "--url", db_url, "--feed", feed, cwd=tmp_path)
    assert "No market was resolved" in plotted.out


async def test_an_interrupted_demo_leaves_pages_whole_and_goes_on(
    db_url: str, db: Database, empty_url: str, tmp_path: Path
) -> None:
    process = await start("demo", "--url", db_url, cwd=tmp_path)
    await eventually(db, "SELECT count(*) > 0 FROM trade_watermarks")
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert process.returncode == 130
    assert b"interrupted" in err
    assert b"Traceback" not in err
    await eventually(db, WORKERS.format("= 0"))

    finished = (await run("demo", "--url", db_url, "--json", cwd=tmp_path)).json
    stored = await db.fetch("SELECT condition_id, threshold FROM polymarket_first_triggers")
    assert len({tuple(row) for row in stored}) == len(stored) >= len(finished["triggers"])
    whole = await undisturbed(empty_url, tmp_path, 1)
    assert finished["triggers"] == whole["triggers"]
    assert await state(db_url) == await state(empty_url)


async def test_a_run_whose_workers_are_killed_ends_in_the_same_state(
    db_url: str, empty_url: str, tmp_path: Path
) -> None:
    options = ("--seed", SEED, "--kill-workers", KILLS)
    killed = await run("demo", "--url", db_url, *options, "--json", cwd=tmp_path)
    assert killed.status == 0, (TOLD, killed.err)
    whole = await undisturbed(empty_url, tmp_path, SEED)
    assert (whole["kills"], killed.json["kills"]) == (0, KILLS)
    for name in whole.keys() - set(TIMING):
        assert killed.json[name] == whole[name], (TOLD, name)
    assert await state(db_url) == await state(empty_url), TOLD
    tell("worker killed", times=KILLS)


async def test_orders_are_written_down_before_they_are_sent_and_all_are_filled(
    db_url: str, db: Database, tmp_path: Path
) -> None:
    sent = "WHEN (NEW.order_id IS NOT NULL OR NEW.status <> 'pending')"
    await db.execute(REFUSE.format("live_orders", sent))
    options = ("--kill-workers", KILLS, "--seed", SEED, "--json")
    outcome = await run("demo", "--url", db_url, *options, cwd=tmp_path)
    assert outcome.status == 0, (TOLD, outcome.err)
    report = outcome.json
    assert await db.fetchval("SELECT count(*) FROM live_orders WHERE order_id IS NULL") == 0
    assert report["orders"].keys() == {"filled"}
    assert report["candidates"].keys() <= {"executed", "rejected"}
    trades = report["paper_trades"]["trade"]
    assert trades == report["orders"]["filled"] == report["candidates"]["executed"]
    assert sum(report["paper_trades"].values()) == len(report["triggers"])
    tell("worker killed", times=report["kills"])


async def test_each_position_is_booked_once_however_many_workers_try(
    db_url: str, db: Database, tmp_path: Path
) -> None:
    options = ("--kill-workers", KILLS, "--workers", 4, "--seed", SEED, "--json")
    outcome = await run("demo", "--url", db_url, *options, cwd=tmp_path)
    assert outcome.status == 0, (TOLD, outcome.err)
    report = outcome.json
    pnl = await db.fetchval("SELECT sum(realized_pnl::text::numeric)::text FROM positions")
    booked = [Decimal(day["realized_pnl"]) for day in report["daily_pnl"]]
    assert sum(booked) == Decimal(pnl) == Decimal(report["realized_pnl"])
    assert sum(day["num_trades"] for day in report["daily_pnl"]) == report["positions"]["resolved"]
    assert report["positions"].keys() == {"resolved"}
    assert len(report["daily_pnl"]) > 10
    tell("worker killed", times=report["kills"])


async def test_a_worker_that_fails_ends_the_demo_with_what_it_said(
    db_url: str, db: Database, tmp_path: Path
) -> None:
    await db.execute(REFUSE.format("paper_trades", ""))
    outcome = await run("demo", "--url", db_url, cwd=tmp_path)
    assert outcome.status == 1
    assert "error: demo worker" in outcome.err
    assert "not today" in outcome.err
    assert "Traceback" not in outcome.err
    await eventually(db, WORKERS.format("= 0"))


async def test_no_worker_outlives_a_demo_that_is_killed(
    db_url: str, db: Database, tmp_path: Path
) -> None:
    process = await start("demo", "--url", db_url, cwd=tmp_path)
    await eventually(db, WORKERS.format(">= 3"))
    process.kill()
    await process.communicate()
    await eventually(db, WORKERS.format("= 0"))


async def test_the_demo_leaves_a_database_alone_in_which_another_bot_is_at_work(
    db_url: str, db: Database, tmp_path: Path
) -> None:
    await db.execute(
        "INSERT INTO polymarket_candidates"
        " (token_id, threshold, trigger_timestamp, status, created_at)"
        " VALUES ('t', 0.9, 1760000000, 'pending', $1)",
        CREATED,
    )
    outcome = await run("demo", "--url", db_url, cwd=tmp_path)
    assert outcome.status == 1
    assert "name a database of the demo's own" in outcome.err
    assert await db.fetchval("SELECT count(*) FROM polymarket_trades") == 0
