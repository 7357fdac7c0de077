"""`polymarket-storage demo` replays a feed, reports it, and writes where it was told to."""

from __future__ import annotations

import signal
from pathlib import Path

from polymarket_bot.storage import Database
from tests.commands import eventually, run, start, write_feed
from tests.makers import payload


async def test_demo_reports_and_a_second_run_adds_nothing_and_says_so(
    db_url: str, tmp_path: Path
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

    again = await run("demo", "--url", db_url, cwd=tmp_path)
    assert again.status == 0
    assert "Nothing new" in again.out
    assert "Refused, and why" in again.out


async def test_demo_triggers_on_no_stale_trade(db_url: str, db: Database, tmp_path: Path) -> None:
    report = (await run("demo", "--url", db_url, "--json", cwd=tmp_path)).json
    assert report["stale"] > 0
    assert await db.fetchval("SELECT count(*) FROM polymarket_trades WHERE price = 0.985::real") > 0
    triggered = "SELECT count(*) FROM polymarket_first_triggers WHERE price = 0.985::real"
    assert await db.fetchval(triggered) == 0


async def test_demo_does_not_write_into_database_url(
    db_url: str, db: Database, open_folder: Path
) -> None:
    outcome = await run("demo", "--seed", 3, cwd=open_folder, DATABASE_URL=db_url)
    assert outcome.status == 0, outcome.err
    assert (open_folder / ".polymarket").is_dir()
    assert await db.fetchval("SELECT count(*) FROM polymarket_trades") == 0


async def test_demo_replays_a_file_in_the_order_of_time(db_url: str, tmp_path: Path) -> None:
    newest_first = [
        payload(timestamp=1_760_000_000 - 100 * n, size=n + 1, price=0.99 if n == 5 else 0.5)
        for n in range(9)
    ]
    feed = write_feed(tmp_path / "feed.jsonl", newest_first)
    outcome = await run("demo", "--url", db_url, "--feed", feed, "--json", cwd=tmp_path)
    report = outcome.json
    assert (report["inserted"], report["late"], report["stale"]) == (9, 0, 0)
    assert {row["trigger_timestamp"] for row in report["triggers"]} == {1_760_000_000 - 500}


async def test_an_interrupted_demo_leaves_pages_whole_and_goes_on(
    db_url: str, db: Database, tmp_path: Path
) -> None:
    process = await start("demo", "--url", db_url, cwd=tmp_path)
    await eventually(db, "SELECT count(*) > 0 FROM trade_watermarks")
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert process.returncode == 130
    assert b"interrupted" in err
    assert b"Traceback" not in err

    finished = (await run("demo", "--url", db_url, "--json", cwd=tmp_path)).json
    stored = await db.fetch("SELECT condition_id, threshold FROM polymarket_first_triggers")
    assert len({tuple(row) for row in stored}) == len(stored) >= len(finished["triggers"])
