"""`python -m torture` tries what is asked for, and tells only what the tests have told."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.programs import ROOT, page
from torture.__main__ import main
from torture.rows import ROWS, Row

HEAD = "import pytest\nfrom tests.faults.record import SEED, Trial, count, tell\n\n"
SURVIVED = """
def test_a_fault_is_survived():
    trial = Trial("flood")
    for _ in range(count("FLOODS", 2)):
        with trial.recovery():
            pass
    trial.tell()

def test_another_is_survived():
    tell("flood", times=1, worst_recovery=2.5)
    tell("of another row", times=100, worst_recovery=100.0)
"""
FAILED = """
@pytest.mark.parametrize("depth", [1, 2])
def test_a_deep_one_is_survived(depth):
    assert depth == 1, f"seed {SEED}"
    tell("flood", times=5)
"""
SKIPPED = "\ndef test_a_dry_one_is_survived():\n    pytest.skip('no water')\n"


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the pytest of the runner know nothing of the one that it runs in."""
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTEST_ADDOPTS", "-n 0")
    monkeypatch.setenv("TORTURE_SEED", "7")


def flood(folder: Path, *tests: str, goal: int = 4) -> Row:
    file = folder / "test_floods.py"
    file.write_text(HEAD + "".join(tests))
    return Row("flood", "all that floats", (str(file),), {"FLOODS": 3}, goal=goal)


def tried(folder: Path, row: Row, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Return the exit status, and the one row of JSON."""
    file = folder / "torture.json"
    status = main([*arguments, "--json", str(file)], [row])
    (outcome,) = json.loads(file.read_text())
    return status, outcome


@pytest.mark.usefixtures("alone")
def test_a_row_that_is_survived_is_well_and_told_in_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, outcome = tried(tmp_path, flood(tmp_path, SURVIVED))
    assert status == 0
    assert outcome.pop("seconds") > 0
    assert outcome == {
        "fault": "flood",
        "must": "all that floats",
        "times": 4,
        "goal": 4,
        "survived": 4,
        "worst_recovery": 2.5,
        "seed": 7,
        "tests": 2,
        "failed": [],
        "skipped": [],
        "well": True,
        "repeat": "make torture ARGS=\"--only 'flood' --seed 7\"",
    }
    printed = capsys.readouterr()
    assert "2.50 s" in printed.out
    assert "1 of 1 rows are well" in printed.out
    assert "TORTURE_SEED=7" in printed.err


@pytest.mark.usefixtures("alone")
def test_a_failed_test_is_a_fault_that_was_not_survived_and_can_be_repeated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = flood(tmp_path, SURVIVED, FAILED)
    status, outcome = tried(tmp_path, row, "--seed", "5", "--quick")
    assert status == 1
    assert (outcome["times"], outcome["survived"], outcome["well"]) == (9, 8, False)
    assert [name.split("::")[1] for name in outcome["failed"]] == ["test_a_deep_one_is_survived[2]"]
    printed = capsys.readouterr().out
    assert "make torture ARGS=\"--only 'flood' --seed 5 --quick\"" in printed
    assert "test_a_deep_one_is_survived[2]" in printed
    assert "0 of 1 rows are well" in printed


@pytest.mark.usefixtures("alone")
def test_a_fault_that_was_not_made_often_enough_is_not_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = flood(tmp_path, SURVIVED, SKIPPED, goal=5)
    assert tried(tmp_path, row, "--quick")[0] == 0
    status, outcome = tried(tmp_path, row)
    assert (status, outcome["failed"], outcome["well"]) == (1, [], False)
    assert outcome["skipped"] == ["no water"]
    printed = capsys.readouterr().out
    assert "flood: skipped: no water" in printed
    assert "flood: survived 4 times of 5" in printed


@pytest.mark.usefixtures("alone")
def test_tests_that_cannot_be_run_are_not_well(tmp_path: Path) -> None:
    for tests in ("import nothing_of_that_name\n", "", "def broken(:\n"):
        status, outcome = tried(tmp_path, flood(tmp_path, tests, goal=0))
        assert (status, outcome["well"], len(outcome["failed"])) == (1, False, 1)


def test_a_row_without_a_match_is_told_with_the_names_that_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--only", "earthquake"]) == 2
    assert "worker killed, server killed" in capsys.readouterr().err


def test_every_row_has_a_name_of_its_own_and_tests_that_are_there() -> None:
    assert len({row.fault for row in ROWS}) == len(ROWS) >= 13
    for row in ROWS:
        for test in row.tests:
            file, _, name = test.partition("::")
            text = (ROOT / file).read_text() if name else ""
            assert (ROOT / file).exists(), test
            assert f"def {name}(" in text or not name, test


def test_every_count_of_a_row_is_one_that_tests_read() -> None:
    files = (ROOT / "tests").rglob("*.py")
    text = "".join(file.read_text() for file in files)
    read = {name for pair in re.findall(r'count\("(\w+)"|TORTURE_(\w+)', text) for name in pair}
    assert {name for row in ROWS for name in row.counts} <= read


def test_the_page_lists_every_fault_with_its_count() -> None:
    row = re.compile(r"^\| ([a-z ]+) \|[^|]+\| ([\d,]+) \|[^|]+\|$", re.MULTILINE)
    rows = row.findall(page("docs/reliability.md"))
    listed = {fault: int(goal.replace(",", "")) for fault, goal in rows}
    assert listed == {row.fault: row.goal for row in ROWS}
