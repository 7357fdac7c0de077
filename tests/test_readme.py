"""README, docs and compose file are correct to the letter."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

import pytest
import yaml

from polymarket_bot import storage
from polymarket_bot.storage import DatabaseConfig
from polymarket_bot.storage.config import DatabaseConfig as Config
from tests.makers import payload
from tests.programs import ROOT, blocks, page, run

README = page("README.md")
BIN = Path(sys.executable).parent


def commands(program: str) -> list[list[str]]:
    lines = "".join(blocks(README, "bash")).splitlines()
    return [shlex.split(line) for line in lines if line.startswith(program)]


def test_the_first_program_prints_what_readme_says(open_folder: Path) -> None:
    (program,), (printed,) = blocks(README, "python"), blocks(README, "text")
    outcome = run([sys.executable, "-c", program], open_folder)
    assert (outcome.returncode, outcome.stdout) == (0, printed), outcome.stderr


def test_the_commands_of_the_command_line_work_in_their_order(open_folder: Path) -> None:
    (open_folder / "trades.jsonl").write_text(json.dumps(payload()) + "\n")
    listed = commands("polymarket-storage")
    assert len(listed) == 18
    for _, *arguments in listed:
        outcome = run([str(BIN / "polymarket-storage"), *arguments], open_folder)
        assert outcome.returncode == 0, (arguments, outcome.stderr)


def test_every_command_of_readme_is_tried_by_some_test() -> None:
    tried = {
        "make": "the targets, below; the CI script runs them",
        "pip": "test_package.py installs so",
        "polymarket-storage": "above",
        "docker": "the compose file, below",
        "export": "test_first_worker.py makes the database of the compose file and works on it",
        "python": "the same",
        "psql": "test_two_ways.py",
    }
    used = {line.split()[0] for line in "".join(blocks(README, "bash")).splitlines()}
    assert used == set(tried)
    assert commands("pip") == [["pip", "install", ".[cli,embedded]"]]
    assert commands("psql") == [
        ["psql", "-v", "ON_ERROR_STOP=1", "-f", f"seed/{file.name}", "$DATABASE_URL"]
        for file in storage.seed_files()
    ]


@pytest.mark.parametrize("target", ["demo", "test", "check", "bench", "docs", "torture", "audit"])
def test_make_knows_its_targets(target: str) -> None:
    outcome = run(["make", "--dry-run", "--always-make", target], ROOT)
    assert outcome.returncode == 0, outcome.stderr
    assert "-m venv" in outcome.stdout


def test_the_commands_of_readme_are_make_targets() -> None:
    assert commands("make") == [["make", "demo"], ["make", "test"]]


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


def test_every_error_is_explained_with_its_remedy() -> None:
    text = page("docs/database.md")
    explained = set(re.findall(r"^\| `(\w+)` \|[^|]+\|[^|]+\|$", text, re.MULTILINE))
    errors = {
        name
        for name in storage.__all__
        if isinstance(getattr(storage, name), type)
        and issubclass(getattr(storage, name), storage.StorageError)
    }
    assert explained == errors - {"StorageError"}
