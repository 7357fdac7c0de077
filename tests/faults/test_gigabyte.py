"""A hostile file of a gigabyte, and a line of one: counted, refused, in memory that stays flat."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.processes import peak_of
from polymarket_bot.storage import Database
from tests.hostile_values import INCOMPRESSIBLE
from tests.makers import payload

from .record import count, tell

MEGABYTES = count("MEGABYTES", 96)
MIB = 1 << 20
MORE = 64.0
"""How many MiB the large file may take beyond what the small one takes."""

SMALL = 12
BLOCK = 100
PROGRAM = """
import asyncio, json, sys
from pathlib import Path
from polymarket_bot.storage import Database, DatabaseConfig
from polymarket_bot.storage.cli.ingest import Rejects, counts, ingest_file
from polymarket_bot.storage.repositories.trade_repo import TradeRepository

async def main(url, file, rejects):
    refused = Rejects(Path(rejects))
    async with Database(DatabaseConfig(url=url)) as db:
        report = await ingest_file(TradeRepository(db), Path(file), refused, lambda *_: None)
    refused.close()
    print(json.dumps(counts(report)))

asyncio.run(main(*sys.argv[1:]))
"""


def block() -> tuple[bytes, int]:
    """Return many lines, of which some are broken, and how many these are."""
    good = [json.dumps(payload(size=n + 1, title=INCOMPRESSIBLE[:400])) for n in range(BLOCK)]
    torn = [good[0][:200], good[0][200:], good[1].replace('"', ""), "\x00" * 50, "null"]
    torn += ["[" * 9_000, '{"a":' * 2_000, '{"price": ' + "9" * 9_000 + "}"]
    prices: list[Any] = [7, -1, "NaN", [], {}]
    wrong = [json.dumps(payload(price=price)) for price in prices]
    cut = [line.encode() for line in (*good, *torn, *wrong)]
    bad = [*torn, *wrong, "not UTF-8", "SQL"]
    sql = json.dumps(payload(price="'; DROP TABLE polymarket_trades; --")).encode()
    lines = [*cut, b'{"a": "\xff\xfe"}', sql]
    return b"".join(line + b"\n" for line in lines), len(bad)


def write_lines(path: Path, megabytes: int) -> tuple[int, int]:
    """Write a file of so many MiB and a line of as many in its middle.

    Returns:
        How many lines it has, and how many of them are to be refused.
    """
    text, bad = block()
    half = megabytes * MIB // len(text) // 2
    with path.open("wb") as file:
        for _ in range(half):
            file.write(text)
        for piece in a_line_of(megabytes):
            file.write(piece)
        for _ in range(half):
            file.write(text)
    return 2 * half * text.count(b"\n") + 1, 2 * half * bad + 1


def a_line_of(megabytes: int) -> Iterator[bytes]:
    yield b'{"transactionHash": "'
    yield from itertools.repeat(b"x" * MIB, megabytes)
    yield b'"}\n'


async def ingest(url: str, file: Path) -> tuple[float, dict[str, int], list[str]]:
    """Ingest a file; return how large the process got in MiB, the counts, and the refusals."""
    rejects = file.with_suffix(".rejects")
    peak = await peak_of(sys.executable, "-c", PROGRAM, url, file, rejects)
    told = rejects.read_text().splitlines()
    rejects.unlink()
    return peak.mib, json.loads(peak.out), told


async def test_a_file_of_any_size_is_counted_and_refused_in_memory_that_stays_flat(
    db: Database, db_url: str, tmp_path: Path
) -> None:
    peaks = []
    for megabytes in (SMALL, MEGABYTES):
        file = tmp_path / f"{megabytes}.jsonl"
        lines, bad = await asyncio.to_thread(write_lines, file, megabytes)
        peak, counts, told = await ingest(db_url, file)
        file.unlink()
        peaks.append(peak)
        assert (counts["read"], counts["refused"]) == (lines, bad)
        assert counts["inserted"] + counts["duplicates"] == lines - bad
        assert len(told) == bad
        assert sum("longer than 1048576 bytes" in line for line in told) == 1
        assert await db.fetchval("SELECT count(*) FROM polymarket_trades") == BLOCK
    assert peaks[1] - peaks[0] < MORE
    tell("bad input", times=len(peaks))  # its lines are some few, again and again


def long_lines(megabytes: int) -> Iterator[bytes]:
    """Yield lines of just less than what is accepted, every other one of them broken."""
    for number in range(megabytes):
        price: float = 7 if number % 2 else 0.5
        title = "x" * (MIB - 1_000)
        yield json.dumps(payload(size=number + 1, price=price, title=title)).encode() + b"\n"


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
async def test_many_long_lines_are_read_in_memory_that_stays_flat(
    db: Database, db_url: str, tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    peaks = []
    for megabytes in (SMALL, SMALL + min(MEGABYTES, 256)):
        file = tmp_path / f"{megabytes}.jsonl"
        with file.open("wb") as out:
            for line in long_lines(megabytes):
                out.write(pack(line))
        peak, counts, told = await ingest(db_url, file)
        file.unlink()
        peaks.append(peak)
        assert (counts["read"], counts["refused"]) == (megabytes, megabytes // 2)
        assert len(told) == megabytes // 2
    assert peaks[1] - peaks[0] < MORE
    assert await db.fetchval("SELECT count(*) FROM polymarket_trades") == megabytes // 2
    tell("bad input", times=len(peaks))


@pytest.mark.parametrize("opening", [b"", b"[", b'[{"a": "', b'a,b\n"', b"a,b\n1,", b'{"a": "'])
async def test_a_file_of_one_endless_line_is_refused_in_memory_that_stays_flat(
    db: Database, db_url: str, tmp_path: Path, opening: bytes
) -> None:
    peaks = []
    for megabytes in (SMALL, MEGABYTES):
        file = tmp_path / f"{megabytes}"
        with file.open("wb") as out:
            out.write(opening)
            for _ in range(megabytes):
                out.write(b"x" * MIB)
        peak, counts, _ = await ingest(db_url, file)
        file.unlink()
        peaks.append(peak)
        assert counts["read"] == counts["refused"] > 0
    assert peaks[1] - peaks[0] < MORE
    assert await db.fetchval("SELECT count(*) FROM polymarket_trades") == 0
    tell("bad input", times=len(peaks))
