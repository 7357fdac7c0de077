"""The tests of one row, run by pytest, and what they have told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

from torture.rows import ROOT, Row


@dataclass(frozen=True)
class Outcome:
    """What came out of a row.

    Attributes:
        fault: its name.
        must: what must come out.
        times: how often the fault was made; each failed test counts as one more.
        goal: how often it must have been made.
        survived: how often all came out as it must.
        worst_recovery: the longest in seconds, or None where none was measured.
        seed: where all chance came from.
        seconds: how long the tests took.
        tests: how many were run.
        failed: which of them have failed.
        skipped: why some were skipped.
        well: none has failed, and the fault was made as often as it must.
        repeat: the command that tries it again, with the seed.
    """

    fault: str
    must: str
    times: int
    goal: int
    survived: int
    worst_recovery: float | None
    seed: int
    seconds: float
    tests: int
    failed: list[str]
    skipped: list[str]
    well: bool
    repeat: str


def attempt(row: Row, seed: int, *, quick: bool) -> Outcome:
    """Run the tests of a row, with its full counts unless `quick`, and return what came out."""
    with tempfile.TemporaryDirectory(prefix="torture-") as folder:
        report, results = Path(folder, "report.jsonl"), Path(folder, "results.xml")
        began = time.monotonic()
        status = _run(row, seed, report, results, quick=quick)
        seconds = time.monotonic() - began
        told = [line for line in _lines(report) if line["fault"] == row.fault]
        tests, failed, skipped = _results(results)
    if status and not failed:
        failed = [f"pytest ended with {status}"]
    survived = sum(line["times"] for line in told)
    goal = min(1, row.goal) if quick else row.goal
    recoveries = [line["worst_recovery"] for line in told if line["worst_recovery"] is not None]
    return Outcome(
        fault=row.fault,
        must=row.must,
        times=survived + len(failed),
        goal=goal,
        survived=survived,
        worst_recovery=max(recoveries, default=None),
        seed=seed,
        seconds=round(seconds, 1),
        tests=tests,
        failed=failed,
        skipped=sorted(set(skipped)),
        well=not failed and survived >= goal,
        repeat=_repeat(row, seed, quick=quick),
    )


def _run(row: Row, seed: int, report: Path, results: Path, *, quick: bool) -> int:
    """Run pytest, whose output goes to standard error, and return its status."""
    counts = {} if quick else {f"TORTURE_{name}": str(n) for name, n in row.counts.items()}
    chance = {"TORTURE_SEED": str(seed), "TORTURE_REPORT": str(report)}
    options = ("-q", "-p", "no:cacheprovider", "-c", "pyproject.toml", "--rootdir", ".")
    seeds = (f"--randomly-seed={seed}", f"--hypothesis-seed={seed}")
    command = (sys.executable, "-m", "pytest", *options, *seeds, f"--junitxml={results}")
    environment = {name: v for name, v in os.environ.items() if not name.startswith("TORTURE_")}
    return subprocess.run(
        (*command, *row.tests),
        cwd=ROOT,
        env={**environment, **counts, **chance},
        stdout=sys.__stderr__,
        check=False,
    ).returncode


def _lines(report: Path) -> list[dict[str, Any]]:
    """Return what the tests have told; see `tests/faults/record.py`."""
    if not report.exists():
        return []
    return [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]


def _results(results: Path) -> tuple[int, list[str], list[str]]:
    """Return how many tests there were, which have failed, and why some were skipped."""
    cases = [] if not results.exists() else list(Xml.parse(results).iter("testcase"))  # noqa: S314 - of our own making
    failed = [_name(case) for case in cases if _first(case, ("failure", "error")) is not None]
    reasons = (_first(case, ("skipped",)) for case in cases)
    skipped = [str(found.get("message")) for found in reasons if found is not None]
    return len(cases), failed, skipped


def _first(case: Xml.Element, tags: Iterable[str]) -> Xml.Element | None:
    found = (case.find(tag) for tag in tags)
    return next((element for element in found if element is not None), None)


def _name(case: Xml.Element) -> str:
    """Return a test as pytest takes it, as far as the results tell."""
    file = str(case.get("classname")).replace(".", "/")
    return f"{file}.py::{case.get('name')}"


def _repeat(row: Row, seed: int, *, quick: bool) -> str:
    short = " --quick" if quick else ""
    return f"make torture ARGS=\"--only '{row.fault}' --seed {seed}{short}\""
