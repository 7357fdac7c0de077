"""`polymarket-storage check` as a user runs it: its output and its exit status."""

from __future__ import annotations

from pathlib import Path

from polymarket_bot.storage import Database
from polymarket_bot.storage.tables import PRODUCTION
from tests.commands import run
from tests.writers import as_user, two_users

GOOD = {"ok": True, "version": 3, "missing": [], "extra": [], "different": []}


async def test_a_good_schema_is_told_with_status_0(db_url: str, tmp_path: Path) -> None:
    outcome = await run("check", "--url", db_url, cwd=tmp_path)
    assert (outcome.status, outcome.out) == (0, "the schema is as it should be, at version 3\n"), (
        outcome.err
    )
    outcome = await run("check", "--json", cwd=tmp_path, DATABASE_URL=db_url)
    assert (outcome.status, outcome.json) == (0, GOOD), outcome.err


async def test_harmful_differences_are_told_first_with_status_1(
    db_url: str, db: Database, tmp_path: Path
) -> None:
    await db.execute(
        "CREATE TABLE aside (id int); ALTER TABLE daily_pnl DROP COLUMN num_wins;"
        "ALTER TABLE score_history ALTER COLUMN score TYPE double precision"
    )
    outcome = await run("check", "--url", db_url, cwd=tmp_path)
    assert outcome.status == 1
    lines = outcome.out.splitlines()
    assert lines == [
        "column daily_pnl.num_wins is missing: expected integer DEFAULT 0; create it: ALTER TABLE "
        "daily_pnl ADD COLUMN num_wins integer DEFAULT 0",
        "column score_history.score is different: expected real, found double precision; put it "
        "back as it is expected",
        "table aside is extra: found a table; harmless",
    ]
    outcome = await run("check", "--json", "--url", db_url, cwd=tmp_path)
    assert outcome.status == 1
    assert outcome.json == {
        "ok": False,
        "version": 3,
        "missing": [
            {
                "kind": "column",
                "name": "daily_pnl.num_wins",
                "expected": "integer DEFAULT 0",
                "found": None,
                "harmless": False,
            }
        ],
        "extra": [
            {
                "kind": "table",
                "name": "aside",
                "expected": None,
                "found": "a table",
                "harmless": True,
            }
        ],
        "different": [
            {
                "kind": "column",
                "name": "score_history.score",
                "expected": "real",
                "found": "double precision",
                "harmless": False,
            }
        ],
    }


async def test_harmless_differences_are_told_with_status_0(
    db_url: str, db: Database, tmp_path: Path
) -> None:
    await db.execute("ALTER TABLE positions ADD COLUMN note text")
    outcome = await run("check", "--url", db_url, cwd=tmp_path)
    assert outcome.status == 0
    assert outcome.out.splitlines() == [
        "column positions.note is extra: found text; harmless",
        "the schema is as it should be, at version 3",
    ]
    outcome = await run("check", "--json", "--url", db_url, cwd=tmp_path)
    assert (outcome.status, outcome.json["ok"], len(outcome.json["extra"])) == (0, True, 1)


async def test_an_empty_database_is_told_with_the_command_that_fills_it(
    empty_url: str, tmp_path: Path
) -> None:
    outcome = await run("check", "--url", empty_url, cwd=tmp_path)
    assert outcome.status == 1
    assert outcome.out.startswith("none of the tables is there; create them: polymarket-storage")
    assert len(outcome.out.splitlines()) == 1
    outcome = await run("check", "--json", "--url", empty_url, cwd=tmp_path)
    assert outcome.status == 1
    missing = {entry["name"] for entry in outcome.json["missing"]}
    assert missing >= {table.name for table in PRODUCTION}
    assert (await run("init", "--url", empty_url, cwd=tmp_path)).status == 0
    assert (await run("check", "--url", empty_url, cwd=tmp_path)).status == 0


async def test_a_check_of_the_embedded_database_mends_nothing(open_folder: Path) -> None:
    assert (await run("check", cwd=open_folder)).status == 1
    assert (await run("check", cwd=open_folder)).status == 1
    assert (await run("init", cwd=open_folder)).status == 0
    assert (await run("check", cwd=open_folder)).status == 0


async def test_an_unreachable_server_is_an_error_and_no_report(tmp_path: Path) -> None:
    outcome = await run(
        *("check", "--json", "--url", "postgresql://u@127.0.0.1:1/d"),
        cwd=tmp_path,
        DATABASE_CONNECT_TIMEOUT="0.2",
    )
    assert outcome.status == 1
    assert set(outcome.json) == {"error"}


async def test_a_user_without_any_right_on_the_tables_may_look(db_url: str, tmp_path: Path) -> None:
    async with two_users(db_url) as (_, _, powerless):
        outcome = await run("check", "--url", as_user(db_url, powerless), cwd=tmp_path)
        assert (outcome.status, outcome.out) == (
            0,
            "the schema is as it should be, at a version that this user may not read\n",
        )
        as_json = await run("check", "--json", "--url", as_user(db_url, powerless), cwd=tmp_path)
    assert (as_json.json["ok"], as_json.json["version"]) == (True, None)
