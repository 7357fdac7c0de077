"""A database is made, looked at and served by commands, as a user runs them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from polymarket_bot.storage import Database
from polymarket_bot.storage.embedded import running_url
from tests.commands import run, write_feed
from tests.makers import payload

BRIEF = {"DATABASE_CONNECT_TIMEOUT": "0.2"}


async def test_init_creates_the_database_and_all_in_it(
    empty_url: str, db: Database, tmp_path: Path
) -> None:
    outcome = await run("init", "--json", cwd=tmp_path, DATABASE_URL=empty_url)
    assert outcome.status == 0, outcome.err
    assert outcome.json == {"url": empty_url, "database_created": False, "tables": 19}
    again = await run("init", "--url", empty_url, cwd=tmp_path)
    assert "19 tables are ready" in again.out
    del db


async def test_status_tells_how_the_database_stands(
    db_url: str, db: Database, tmp_path: Path
) -> None:
    await db.execute(
        "INSERT INTO polymarket_trades (condition_id, trade_id, timestamp) VALUES ('c', 't', 50),"
        " ('no watermark', 'old', 10), ('no watermark', 'new', 50);"
        "INSERT INTO trade_watermarks VALUES ('c', 20, '');"
        "INSERT INTO positions (token_id, size, entry_price, entry_cost, entry_timestamp,"
        " created_at) VALUES ('t', 10, 0.1, 1234567.9, '', '');"
        "INSERT INTO daily_pnl (date, realized_pnl) VALUES ('2025-10-09', 0.1),"
        " ('2025-10-10', 0.2)"
    )
    asked = ("status", "--url", db_url, "--max-lag", "1e10")
    outcome = await run(*asked, "--json", cwd=tmp_path)
    assert outcome.status == 0, outcome.err
    report = outcome.json
    assert report["healthy"] is True
    assert {table["name"]: table["rows"] for table in report["tables"]}["positions"] == 1
    assert len(report["tables"]) == 19
    assert (report["conditions_behind"], report["watermark_lag_seconds"]) == (2, 40)
    assert (report["exposure"], report["realized_pnl"]) == ("1234567.9", "0.3")
    assert " healthy, PostgreSQL " in (await run(*asked, cwd=tmp_path)).out


async def test_a_database_given_in_parts_is_found(db_url: str, tmp_path: Path) -> None:
    parts = urlsplit(db_url)
    host = parse_qs(parts.query).get("host", [parts.hostname or ""])[0]
    port = parse_qs(parts.query).get("port", [str(parts.port)])[0]
    given = {"DB_HOST": host, "DATABASE_PORT": port, "DB_DATABASE": parts.path.lstrip("/")}
    user = {"DB_USER": parts.username or ""}
    assert (await run("check", cwd=tmp_path, **given, **user)).status == 0
    outcome = await run("check", cwd=tmp_path, **{**given, "DATABASE_PORT": "none"})
    assert (outcome.status, "DATABASE_PORT" in outcome.err) == (2, True), outcome.err
    elsewhere = {"DATABASE_HOST": "elsewhere.invalid"}
    assert (await run("check", cwd=tmp_path, DATABASE_URL=db_url, **elsewhere)).status == 0
    assert not os.listdir(tmp_path)  # noqa: PTH208 - no embedded server was made


async def test_a_database_without_the_schema_names_the_remedy(
    empty_url: str, tmp_path: Path
) -> None:
    outcome = await run("status", "--url", empty_url, cwd=tmp_path)
    assert outcome.status == 1
    assert "polymarket-storage migrate" in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hunter2@127.0.0.1:1/d",
        "postgresql://u:hunter2@127.0.0.1:99999/d",
        "postgresql://u:[hunter2@h/d",
        "postgresql://u@127.0.0.1:1/d?pass%77ord=hunter2",
        "mysql://u:hunter2@h/d",
        "hunter2",
    ],
)
async def test_an_unusable_url_is_an_error_without_its_password(tmp_path: Path, url: str) -> None:
    outcome = await run("status", "--url", url, cwd=tmp_path, **BRIEF)
    assert outcome.status == 1
    assert outcome.err.startswith("error: ")
    as_json = await run("status", "--json", "--url", url, cwd=tmp_path, **BRIEF)
    assert as_json.json["error"].startswith("error: ")
    assert "hunter2" not in outcome.err + outcome.out


async def test_the_embedded_server_is_started_used_and_stopped(open_folder: Path) -> None:
    assert (await run("db", "url", cwd=open_folder)).status == 1
    started = await run("db", "start", "--json", cwd=open_folder)
    assert started.status == 0, started.err
    try:
        url = (await run("db", "url", cwd=open_folder)).out.strip()
        assert url == started.json["url"]
        feed = write_feed(open_folder / "feed.jsonl", [payload()])
        assert (await run("ingest", feed, cwd=open_folder)).status == 0
        report = await run("status", "--json", "--url", url, cwd=open_folder)
        rows = {table["name"]: table["rows"] for table in report.json["tables"]}
        assert rows["polymarket_trades"] == 1
    finally:
        stopped = await run("db", "stop", cwd=open_folder)
    assert (stopped.status, stopped.out.strip()) == (0, "stopped")
    assert (await run("db", "stop", cwd=open_folder)).out.strip() == "not running"
    assert (await run("db", "url", cwd=open_folder)).status == 1


async def test_a_server_that_was_started_to_stay_and_is_away_does_not_stay_after_a_stop(
    open_folder: Path,
) -> None:
    data = open_folder / ".polymarket"
    assert (await run("db", "start", cwd=open_folder)).status == 0
    keeper = json.loads((data / "server.json").read_text())["keeper"]
    os.kill(keeper, signal.SIGTERM)  # as at the machine's shutdown
    async with asyncio.timeout(60):
        while await running_url(data) is not None:  # noqa: ASYNC110 - seen only by looking
            await asyncio.sleep(0.02)
    stopped = await run("db", "stop", cwd=open_folder)
    assert (stopped.status, stopped.out.strip()) == (0, "not running")
    assert (await run("check", cwd=open_folder)).status == 0
    assert await running_url(data) is None


async def test_what_leads_to_another_server_has_no_say_in_the_embedded_one(
    open_folder: Path,
) -> None:
    elsewhere = {
        "DATABASE_POOLER": "transaction",
        "DATABASE_DIRECT_URL": "postgresql://u@127.0.0.1:1/d",
        "DATABASE_VERIFY_SCHEMA": "true",  # what is not there yet is made first
    }
    commands = (["migrate"], ["check"], ["status"], ["grant"], ["db", "start"], ["db", "stop"])
    for command in commands:
        done = await run(*command, cwd=open_folder, **elsewhere)
        assert done.status == 0, (command, done.err)
