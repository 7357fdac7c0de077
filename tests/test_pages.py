"""The programs of `docs/database.md` and `docs/embedded.md` run as they stand."""

from __future__ import annotations

import asyncio
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from polymarket_bot.storage import AlreadyHeld, Database, TradeRepository, TradeWatermarkRepository
from tests.makers import trade
from tests.programs import blocks, in_thread, page, run

SECTION = re.compile(r"^#{1,2} (.+)\n((?:(?!#{1,2} ).*\n)*)", re.MULTILINE)
DATABASE = dict(SECTION.findall(page("docs/database.md")))
EMBEDDED = dict(SECTION.findall(page("docs/embedded.md")))
BIN = Path(sys.executable).parent


def program(section: str) -> str:
    (block,) = blocks(section, "python")
    return block


def defined(section: str, **names: Any) -> dict[str, Any]:
    """What the program of a section defines."""
    exec(program(section), names)  # noqa: S102 - our own page
    return names


async def test_the_first_program_asks_the_server(db_url: str, tmp_path: Path) -> None:
    code = program(DATABASE["The database object"])
    outcome = await in_thread([sys.executable, "-c", code], tmp_path, DATABASE_URL=db_url)
    assert (outcome.returncode, outcome.stdout[:11]) == (0, "PostgreSQL "), outcome.stderr


async def test_a_block_moves_a_watermark_behind_the_trades(db: Database) -> None:
    stored = await TradeRepository(db).create(trade())
    handle = defined(DATABASE["What a transaction block covers"])["handle"]
    await handle(db, stored.condition_id)
    marks = TradeWatermarkRepository(db)
    assert await marks.get_timestamp(stored.condition_id) == stored.timestamp


async def test_one_holder_is_told_of_notifications(db: Database) -> None:
    said: list[str] = []
    lead = defined(DATABASE["One holder, and notifications"], print=said.append)["lead"]
    leading = asyncio.create_task(lead(db))
    async with asyncio.timeout(60):
        while not said and not leading.done():
            await db.execute("SELECT pg_notify('new_trades', '0xc3')")
            await asyncio.sleep(0.02)
    assert said[:1] == ["0xc3"], leading
    with pytest.raises(AlreadyHeld):
        await lead(db)
    leading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leading


async def test_a_check_says_what_differs(db: Database, db_url: str, tmp_path: Path) -> None:
    section = DATABASE["Is the schema as it should be"]
    said: list[object] = []
    print_what_differs = defined(section, print=said.append)["print_what_differs"]
    (command,) = blocks(section, "bash")
    for change, differences in (
        ("SELECT 1", 0),
        ("ALTER TABLE positions DROP COLUMN market_id", 1),
    ):
        await db.execute(change)
        await print_what_differs(db)
        outcome = await in_thread(arguments(command), tmp_path, DATABASE_URL=db_url)
        assert (len(said), outcome.returncode) == (differences, differences), outcome.stdout


async def test_a_framework_gets_one_database_for_the_process(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_url)
    names = defined(DATABASE["One for the process"])
    async with names["lifespan"](object()):
        assert await names["trades_stored"]() == 0


async def test_the_embedded_server_serves_a_program(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(open_folder)
    said: list[str] = []
    await defined(EMBEDDED["The embedded server"], print=said.append)["main"]()
    assert said[0].startswith("PostgreSQL 18")


def test_a_dump_is_restored(open_folder: Path) -> None:
    (commands,) = blocks(EMBEDDED["Dump and restore"], "bash")
    for command in ["polymarket-storage migrate", *commands.splitlines()]:
        outcome = run(arguments(command), open_folder)
        assert outcome.returncode == 0, (command, outcome.stderr)


def test_no_program_of_the_two_pages_stands_elsewhere() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    for page_, sections in (("DATABASE", DATABASE), ("EMBEDDED", EMBEDDED)):
        for heading, section in sections.items():
            if blocks(section, "python") or blocks(section, "bash"):
                assert f'{page_}["{heading}"]' in source


def arguments(command: str) -> list[str]:
    name, *rest = shlex.split(command)
    return [str(BIN / name), *rest]
