"""The programs of `examples/` do what they say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

from polymarket_bot.storage import Database
from tests.makers import payload
from tests.programs import ROOT, in_thread, run

OF_THE_FIRST_RUN = """\
created: token 1 breakout at 0.62: new
upsert_many wrote 3 of 3
acted on: token 2 breakout at 0.71: acted
asked for new, refused: it is acted
- token 1 breakout at 0.65: confirmed
- token 2 breakout at 0.71: acted
- token 2 reversal at 0.4: new
"""
OF_THE_SECOND_RUN = """\
token 1 has a breakout from an earlier run
upsert_many wrote 2 of 3
acted on: token 1 breakout at 0.65: acted
asked for new, refused: it is acted
- token 1 breakout at 0.65: acted
- token 2 breakout at 0.71: acted
- token 2 reversal at 0.4: new
"""


def example(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-W", "error", str(ROOT / "examples" / name), *arguments]


def printed(outcome: subprocess.CompletedProcess[str]) -> str:
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout


async def test_the_example_worker_triggers_once_and_only_on_fresh_trades(
    db_url: str, db: Database, tmp_path: Path
) -> None:
    now = int(time.time())
    records = [
        payload(price=0.97, timestamp=now - 10),
        payload(price=0.98, timestamp=now - 5, asset="9" * 77, size=3),
        payload(price=0.99, timestamp=now - 900, conditionId="0xstale"),
        payload(price=9),
    ]
    feed = tmp_path / "trades.jsonl"
    feed.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    worker = example("worker.py", str(feed))
    runs = [printed(await in_thread(worker, tmp_path, DATABASE_URL=db_url)) for _ in range(2)]
    assert "read 4, stored 3, refused 1" in runs[0]
    assert "read 4, stored 0, refused 1" in runs[1]
    assert [output.count("trigger:") for output in runs] == [1, 0]
    assert await db.fetchval("SELECT count(*) FROM polymarket_first_triggers") == 1


async def test_a_bots_own_table_is_written_read_and_held_to_its_lifecycle(
    db_url: str, db: Database, tmp_path: Path
) -> None:
    own_table = example("own_table.py")
    assert printed(await in_thread(own_table, tmp_path, DATABASE_URL=db_url)) == OF_THE_FIRST_RUN
    assert printed(await in_thread(own_table, tmp_path, DATABASE_URL=db_url)) == OF_THE_SECOND_RUN
    stored = await db.fetch(
        "SELECT token_id, kind, price::text, status FROM bot_signals ORDER BY 1, 2"
    )
    assert [tuple(row) for row in stored] == [
        ("1", "breakout", "0.65", "acted"),
        ("2", "breakout", "0.71", "acted"),
        ("2", "reversal", "0.4", "new"),
    ]


def test_a_bots_own_table_needs_nothing_but_the_embedded_server(open_folder: Path) -> None:
    assert printed(run(example("own_table.py"), open_folder)) == OF_THE_FIRST_RUN
    assert (open_folder / ".polymarket").is_dir()


def test_every_example_is_run_here() -> None:
    run_here = set(re.findall(r'example\("([\w.]+)"', Path(__file__).read_text(encoding="utf-8")))
    assert {file.name for file in (ROOT / "examples").glob("*.py")} == run_here
