"""`polymarket-storage migrate` as a user runs it: its output and its exit status."""

from __future__ import annotations

from pathlib import Path

from polymarket_bot.storage import Database, seed_files
from tests.commands import run
from tests.schemas import load


async def test_it_says_what_it_does_and_where_it_is(empty_url: str, tmp_path: Path) -> None:
    await load(empty_url, seed_files()[0])
    dry = await run("migrate", "--dry-run", "--url", empty_url, cwd=tmp_path)
    assert (dry.status, dry.out.splitlines()) == (
        0,
        [
            "01_schema.sql is there already, and would be recorded",
            "02_indexes.sql would be applied",
            "03_ops.sql would be applied",
            "the schema would be at version 3",
        ],
    )
    done = await run("migrate", cwd=tmp_path, DATABASE_URL=empty_url)
    assert done.status == 0, done.err
    lines = done.out.splitlines()
    assert lines[0] == "01_schema.sql was there already, and is recorded now"
    assert lines[1].startswith("02_indexes.sql applied")
    assert lines[-1] == "the schema is at version 3"
    again = await run("migrate", "--url", empty_url, cwd=tmp_path)
    assert (again.status, again.out) == (0, "the schema is at version 3\n")


async def test_json_is_one_object_with_each_step(db_url: str, tmp_path: Path) -> None:
    outcome = await run("migrate", "--to", "1", "--json", "--url", db_url, cwd=tmp_path)
    assert outcome.status == 0, outcome.err
    report = outcome.json
    assert (report["before"], report["after"], report["dry_run"]) == (3, 1, False)
    assert [(step["version"], step["name"], step["action"]) for step in report["steps"]] == [
        (3, "03_ops.sql", "reverted"),
        (2, "02_indexes.sql", "reverted"),
    ]
    assert all(step["seconds"] > 0 for step in report["steps"])


async def test_what_is_refused_ends_with_1_and_says_why(
    db: Database, db_url: str, tmp_path: Path
) -> None:
    outcome = await run("migrate", "--to", "0", "--json", "--url", db_url, cwd=tmp_path)
    assert outcome.status == 1
    assert outcome.json["error"].startswith("error: 01_schema.sql cannot be taken back")
    async with db.singleton("schema migration"):
        outcome = await run("migrate", "--timeout", "0", "--url", db_url, cwd=tmp_path)
    assert outcome.status == 1
    assert "'schema migration' is held by process" in outcome.err


async def test_without_a_url_it_is_about_the_embedded_server(open_folder: Path) -> None:
    outcome = await run("migrate", "--to", "1", cwd=open_folder)
    assert (outcome.status, outcome.out.splitlines()[-1]) == (0, "the schema is at version 1")
    outcome = await run("migrate", "--json", cwd=open_folder)
    assert [step["action"] for step in outcome.json["steps"]] == ["applied", "applied"]
