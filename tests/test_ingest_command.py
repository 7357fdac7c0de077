"""`polymarket-storage ingest` stores what is good, and writes down what it refuses."""

from __future__ import annotations

import asyncio
import gzip
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from polymarket_bot.storage import Database
from tests.commands import COMMAND, run, write_feed
from tests.makers import payload


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


async def test_what_is_piped_in_is_stored_whole(db_url: str, db: Database, tmp_path: Path) -> None:
    records = [payload(transactionHash=f"0x{number}") for number in range(10_001)]
    feed = write_feed(tmp_path / "feed.jsonl", records)
    command = f'cat {feed} | "{COMMAND[0]}" {" ".join(COMMAND[1:])} ingest /dev/stdin'
    process = await asyncio.create_subprocess_shell(f"{command} --url '{db_url}'", cwd=tmp_path)
    assert await process.wait() == 0
    assert await db.fetchval("SELECT count(*) FROM polymarket_trades") == 10_001
