"""What is installed: the wheel, its files, its extras, its types."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from polymarket_bot.storage import seed_files

ROOT = Path(__file__).parents[1]


def run(*arguments: object, cwd: Path) -> str:
    inherited = {key: value for key, value in os.environ.items() if key != "DATABASE_URL"}
    finished = subprocess.run(
        list(map(str, arguments)),
        cwd=cwd,
        env=inherited,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_carries_the_seed_files_and_the_types(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    seed = Path("polymarket_bot/storage/seed")
    files = [file.relative_to(ROOT / "seed") for file in (ROOT / "seed").rglob("*.sql")]
    assert {"01_schema.sql", "down/03_ops.sql"} < {str(file) for file in files}
    assert {str(seed / file) for file in files} <= set(names)
    assert "polymarket_bot/storage/py.typed" in names
    assert "polymarket_bot/storage/embedded/keeper/__init__.py" in names
    assert "polymarket_bot/__init__.py" not in names


def test_an_editable_install_finds_the_seed_files() -> None:
    assert [file.name for file in seed_files()] == [
        "01_schema.sql",
        "02_indexes.sql",
        "03_ops.sql",
    ]


def test_the_wheel_in_a_clean_venv_finds_its_seeds_and_runs_demo(
    wheel: Path, open_folder: Path
) -> None:
    venv.create(open_folder / "venv", with_pip=True)
    python = open_folder / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", f"{wheel}[cli,embedded]", cwd=open_folder)
    where = "from polymarket_bot.storage import seed_files; print(seed_files()[0])"
    assert str(open_folder) in run(python, "-c", where, cwd=open_folder)
    command = open_folder / "venv" / "bin" / "polymarket-storage"
    report = json.loads(run(command, "demo", "--json", cwd=open_folder))
    assert report["inserted"] > 0
    assert report["triggers"]


def test_the_core_alone_imports_and_the_command_names_the_missing_extra(
    wheel: Path, tmp_path: Path
) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", wheel, cwd=tmp_path)
    run(python, "-W", "error", "-c", "import polymarket_bot.storage", cwd=tmp_path)
    finished = subprocess.run(
        [tmp_path / "venv" / "bin" / "polymarket-storage"], capture_output=True, check=False
    )
    assert finished.returncode == 1
    assert b"pip install 'polymarket-bot-storage[cli,embedded]'" in finished.stderr
    assert b"Traceback" not in finished.stderr
