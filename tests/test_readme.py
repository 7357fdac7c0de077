"""README, example and compose file are correct to the letter."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from polymarket_bot import storage
from polymarket_bot.storage import Database, DatabaseConfig
from polymarket_bot.storage.config import DatabaseConfig as Config
from tests.makers import payload

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent
BLOCKS = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCKS.findall(README) if name == language]


def commands(program: str) -> list[list[str]]:
    lines = "".join(blocks("bash")).splitlines()
    return [shlex.split(line) for line in lines if line.startswith(program)]


def run(arguments: list[str], cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if key != "DATABASE_URL"}
    return subprocess.run(
        arguments,
        cwd=cwd,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


async def in_thread(*arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(run, *arguments, **options)


def test_the_first_program_prints_what_readme_says(open_folder: Path) -> None:
    (program,), (printed,) = blocks("python"), blocks("text")
    outcome = run([sys.executable, "-c", program], open_folder)
    assert (outcome.returncode, outcome.stdout) == (0, printed), outcome.stderr


def test_the_commands_of_the_command_line_work_in_their_order(open_folder: Path) -> None:
    (open_folder / "trades.jsonl").write_text(json.dumps(payload()) + "\n")
    listed = commands("polymarket-storage")
    assert len(listed) == 9
    for _, *arguments in listed:
        outcome = run([str(BIN / "polymarket-storage"), *arguments], open_folder)
        assert outcome.returncode == 0, (arguments, outcome.stderr)


def test_every_command_of_readme_is_tried_by_some_test() -> None:
    tried = {
        "make": "the targets, below; the CI script runs them",
        "pip": "test_package.py installs so",
        "polymarket-storage": "above",
        "docker": "the compose file, below; its seed folder is loaded in test_schema.py",
        "psql": "test_schema.py",
    }
    used = {line.split()[0] for line in "".join(blocks("bash")).splitlines()}
    assert used == set(tried)
    assert commands("pip") == [["pip", "install", ".[cli,embedded]"]]
    assert commands("psql") == [
        ["psql", "-v", "ON_ERROR_STOP=1", "-f", "seed/01_schema.sql", "$DATABASE_URL"]
    ]


@pytest.mark.parametrize("target", ["demo", "test", "check", "bench", "torture"])
def test_make_knows_its_targets(target: str) -> None:
    outcome = run(["make", "--dry-run", "--always-make", target], ROOT)
    assert outcome.returncode == 0, outcome.stderr
    assert "-m venv" in outcome.stdout


def test_the_commands_of_readme_are_make_targets() -> None:
    assert commands("make") == [["make", "demo"], ["make", "test"]]


def test_the_links_of_readme_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(targets) > 5
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_compose_file_is_what_readme_says() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    service = compose["services"]["postgres"]
    assert service["image"] == "postgres:15-alpine"
    assert set(service["environment"].values()) == {"predict"}
    assert service["ports"] == ["127.0.0.1:5433:5432"]
    assert "./seed:/docker-entrypoint-initdb.d:ro" in service["volumes"]
    assert "pg_isready" in service["healthcheck"]["test"][1]
    named = {volume.split(":")[0] for volume in service["volumes"]} & set(compose["volumes"])
    assert named == {"postgres-data"}


def test_the_example_settings_are_those_of_the_config(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    shown = dict(re.findall(r"^#?(DATABASE_\w+)=(.*)$", text, re.MULTILINE))
    assert set(shown) == {f"DATABASE_{name.upper()}" for name in Config.model_fields}
    for name, value in re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE):
        monkeypatch.setenv(name, value)
    assert DatabaseConfig() == DatabaseConfig(
        url="postgresql://predict:predict@localhost:5433/predict"
    )
    monkeypatch.delenv("DATABASE_SCHEMA_NAME", raising=False)
    for name in set(shown) - {"DATABASE_SCHEMA_NAME"}:
        monkeypatch.setenv(name, shown[name])
    assert DatabaseConfig().pooler == "transaction"


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
    worker = [sys.executable, str(ROOT / "examples" / "worker.py"), str(feed)]
    outcomes = [await in_thread(worker, tmp_path, DATABASE_URL=db_url) for _ in range(2)]
    assert [outcome.returncode for outcome in outcomes] == [0, 0], outcomes
    assert "read 4, stored 3, refused 1" in outcomes[0].stdout
    assert "read 4, stored 0, refused 1" in outcomes[1].stdout
    assert [outcome.stdout.count("trigger:") for outcome in outcomes] == [1, 0]
    assert await db.fetchval("SELECT count(*) FROM polymarket_first_triggers") == 1


def test_every_error_is_explained_with_its_remedy() -> None:
    text = (ROOT / "docs" / "database.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"^\| `(\w+)` \|[^|]+\|[^|]+\|$", text, re.MULTILINE))
    errors = {
        name
        for name in storage.__all__
        if isinstance(getattr(storage, name), type)
        and issubclass(getattr(storage, name), storage.StorageError)
    }
    assert explained == errors - {"StorageError"}


@pytest.mark.parametrize("page", ["database.md", "embedded.md"])
def test_the_programs_of_the_docs_compile_and_their_names_are_there(page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    programs = [block for language, block in BLOCKS.findall(text) if language == "python"]
    assert programs
    for program in programs:
        compile(program, page, "exec")
        for names in re.findall(
            r"^from polymarket_bot.storage import (.+)$", program, re.MULTILINE
        ):
            assert set(names.split(", ")) <= set(storage.__all__)
