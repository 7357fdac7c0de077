"""The command line as a user runs it: a process, its output, its exit status."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import signal
import stat
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from polymarket_bot.storage import Database
from tests.makers import payload

BRIEF = {"DATABASE_CONNECT_TIMEOUT": "0.2"}
COMMAND = [sys.executable, "-m", "polymarket_bot.storage.cli"]


class Outcome(NamedTuple):
    """What a finished command left."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON object on standard output."""
        return json.loads(self.out)


async def start(*arguments: object, cwd: Path, **environment: str) -> asyncio.subprocess.Process:
    inherited = {key: value for key, value in os.environ.items() if key != "DATABASE_URL"}
    return await asyncio.create_subprocess_exec(
        *COMMAND,
        *map(str, arguments),
        cwd=cwd,
        env={**inherited, "COLUMNS": "120", **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def run(*arguments: object, cwd: Path, **environment: str) -> Outcome:
    process = await start(*arguments, cwd=cwd, **environment)
    out, err = await process.communicate()
    return Outcome(process.returncode or 0, out.decode(), err.decode())


async def eventually(db: Database, query: str, limit: float = 60) -> None:
    """Wait until another process has made `query` true."""
    async with asyncio.timeout(limit):
        while not await db.fetchval(query):  # noqa: ASYNC110 - seen only by looking
            await asyncio.sleep(0.02)


def write_feed(path: Path, records: list[Any]) -> Path:
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


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


async def test_ingest_counts_every_record_and_writes_the_refused_ones_down(
    db_url: str, db: Database, tmp_path: Path
) -> None:
    records = [
        payload(),
        payload(),
        payload(type="REDEEM", asset=""),
        payload(price=7, transactionHash="0xsecond"),
        '{"half": ',
    ]
    feed = write_feed(tmp_path / "feed.jsonl", records)
    outcome = await run("ingest", "--json", feed, "--url", db_url, cwd=tmp_path)
    counts = {
        "read": 5,
        "inserted": 1,
        "duplicates": 1,
        "late": 0,
        "skipped": 1,
        "refused": 2,
    }
    assert outcome.status == 1
    assert outcome.json == {"files": [{"file": str(feed), **counts}], "total": counts}
    (rejects,) = names(tmp_path, "rejects-*.jsonl")
    refused = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert [(row["line"], row["reason"].split(":")[0]) for row in refused] == [
        (4, "price"),
        (5, "record"),
    ]
    assert refused[1]["record"] == '{"half": '
    assert stat.S_IMODE(rejects.stat().st_mode) == 0o600
    assert await db.fetchval("SELECT count(*) FROM polymarket_trades") == 1


def names(folder: Path, pattern: str = "*") -> list[Path]:
    return sorted(folder.glob(pattern))


def lines(number: int) -> list[str]:
    return [json.dumps(payload(size=n + 1)) for n in range(number)]


def broken_files() -> list[Any]:
    text = "".join(line + "\n" for line in lines(5)).encode()
    header = "conditionId,asset,side,size,price,timestamp,title,transactionHash\n"
    row = "{},{},BUY,{},0.5,1760000000,{},0xaa\n".format
    table = [row("0xc", "123", n, "fair") for n in range(1, 6)]
    table[2] = row("0xc", "123", 3, '"one quote too many')
    array = f"[{','.join(lines(3))}, {lines(1)[0][:40]}"
    return [
        pytest.param(gzip.compress(text)[:-8], 5, 1, id="gzip torn after the last line"),
        pytest.param(gzip.compress(text, 0)[:-20], 4, 1, id="gzip torn in the last line"),
        pytest.param(text[:-30], 4, 1, id="half a line"),
        pytest.param((header + "".join(table)).encode(), 4, 1, id="a quote too many"),
        pytest.param(text.replace(b"Yes", b"\xff\xfe", 1), 4, 1, id="not UTF-8"),
        pytest.param(b"", 0, 1, id="empty"),
        pytest.param(array.encode(), 3, 1, id="torn array"),
    ]


@pytest.mark.parametrize(("content", "stored", "refused"), broken_files())
async def test_a_broken_file_is_refused_line_by_line_and_the_good_ones_are_stored(
    db_url: str, tmp_path: Path, content: bytes, stored: int, refused: int
) -> None:
    feed = tmp_path / "feed"
    feed.write_bytes(content)
    rejects = tmp_path / "refused.jsonl"
    outcome = await run(
        "ingest", feed, "--json", "--url", db_url, "--rejects", rejects, cwd=tmp_path
    )
    total = outcome.json["total"]
    assert outcome.status == 1
    assert (total["inserted"], total["refused"]) == (stored, refused)
    assert total["read"] == stored + refused
    assert len(rejects.read_text().splitlines()) == refused


async def test_ingest_of_good_files_ends_with_status_0_and_leaves_no_rejects(
    db_url: str, tmp_path: Path
) -> None:
    one = write_feed(tmp_path / "one.jsonl", [payload()])
    two = tmp_path / "two.json.gz"
    two.write_bytes(gzip.compress(json.dumps([payload(), payload(size=3)]).encode()))
    outcome = await run("ingest", one, two, "--url", db_url, cwd=tmp_path)
    assert outcome.status == 0, outcome.err
    assert "total" in outcome.out
    assert "two.json.gz: 2 records" in outcome.err
    assert names(tmp_path) == [one, two]


async def test_ingest_overwrites_no_file_with_its_rejects(db_url: str, tmp_path: Path) -> None:
    feed = write_feed(tmp_path / "feed.jsonl", [payload(), "{"])
    text = feed.read_text()
    outcome = await run("ingest", feed, "--rejects", feed, "--url", db_url, cwd=tmp_path)
    assert outcome.status == 1
    assert "is there already" in outcome.err
    assert feed.read_text() == text


async def test_ingest_of_an_absent_file_is_an_error(db_url: str, tmp_path: Path) -> None:
    outcome = await run("ingest", "absent.jsonl", "--url", db_url, cwd=tmp_path)
    assert outcome.status == 2
    assert "absent.jsonl" in outcome.err


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
    outcome = await run("status", "--json", "--url", db_url, cwd=tmp_path)
    assert outcome.status == 0, outcome.err
    report = outcome.json
    assert report["healthy"] is True
    assert {table["name"]: table["rows"] for table in report["tables"]}["positions"] == 1
    assert len(report["tables"]) == 19
    assert (report["conditions_behind"], report["watermark_lag_seconds"]) == (2, 40)
    assert (report["exposure"], report["realized_pnl"]) == ("1234567.9", "0.3")
    assert "healthy" in (await run("status", "--url", db_url, cwd=tmp_path)).out


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
