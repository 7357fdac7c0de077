"""`python -m benchmarks` measures what is asked for, and writes down what came out."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benchmarks import crowd, files, growth, loading, memory, points, reading, soak, starting
from benchmarks.harness import Case, Figure, Kind, Pair, Plan, WrongResult, figure, timed
from benchmarks.rows import NOW, condition, fill_trades, fill_triggers
from benchmarks.server import Stage
from polymarket_bot.storage import Database, TradeRepository, TriggerRepository
from tests.programs import ROOT, in_thread

SUBJECTS = (crowd, files, growth, loading, memory, points, reading, starting)
FAST = ("--quick", "--scale", "0.01", "--loop", "asyncio")


async def bench(db_url: str, *arguments: object) -> tuple[int, str]:
    command = [sys.executable, "-m", "benchmarks", *FAST, *map(str, arguments)]
    outcome = await in_thread(command, ROOT, DATABASE_URL=db_url)
    return outcome.returncode, outcome.stdout + outcome.stderr


def case(kind: Kind = "times", target: float = 2.0, unit: str = "us") -> Case:
    async def never(_: Stage) -> Pair:
        raise AssertionError("nothing is measured")

    return Case("ours / theirs", "theirs", target, never, kind, unit)


@pytest.mark.parametrize(
    ("only", "names"),
    [
        ("/ FETCH", ["has_triggered / fetchval", "get_timestamp / fetchval", "get_recent of 100"]),
        ("executemany", [f"create_many of {size} / executemany" for size in (1, 10, 100)]),
        ("/ COPY", ["create_many of 100, none stored / COPY", "ingest of a file of 200 lines"]),
        ("triggers", ["should_trigger at 2,000 triggers / at 1,000"]),
    ],
)
async def test_chosen_cases_are_measured_and_written_down(
    only: str, names: list[str], db_url: str, tmp_path: Path
) -> None:
    status, printed = await bench(db_url, "--only", only, "--json", tmp_path / "figures.json")
    assert status == 0, printed
    figures: list[dict[str, Any]] = json.loads((tmp_path / "figures.json").read_text())
    assert len(figures) == len(names)
    for found, name in zip(figures, names, strict=True):
        assert found["name"].startswith(name)
        assert tuple(found) == Figure._fields
        assert found["rounds"] == 3
        assert found["median"] > 0
        assert found["met"] is (f"missed: {found['name']}:" not in printed)


async def test_a_stage_drops_its_databases_and_leaves_the_given_one_alone(
    db_url: str, db: Database
) -> None:
    count = "SELECT count(*) FROM pg_database WHERE datname = $1"
    async with Stage(db_url) as stage:
        place = await stage.place("triggers", partial(fill_triggers, many=100))
        name = await place.held.fetchval("SELECT current_database()")
        assert await stage.place("triggers") is place
        assert await TriggerRepository(place.db).count() == 100
        assert await db.fetchval(count, name) == 1
    assert await db.fetchval(count, name) == 0
    assert await TriggerRepository(db).count() == 0


async def test_a_table_that_is_filled_has_the_indexes_of_the_schema(db_url: str) -> None:
    async with Stage(db_url) as stage:
        db = (await stage.place("trades", partial(fill_trades, many=1_000))).db
        assert (await db.check_schema()).ok
        trades = await TradeRepository(db).get_recent(condition(0), 500, now=NOW)
        assert [trade.timestamp for trade in trades] == [*range(NOW, NOW - 501, -100)]


async def test_an_unknown_name_is_told_and_nothing_is_measured(db_url: str) -> None:
    status, printed = await bench(db_url, "--only", "no such case")
    assert (status, printed) == (2, "no case has such a name\n")


def test_every_case_has_a_name_of_its_own_at_every_scale() -> None:
    for plan in (Plan(), Plan(quick=True), Plan(scale=0.01, quick=True)):
        names = [case.name for subject in SUBJECTS for case in subject.cases(plan)]
        assert len(names) == len(set(names)) > 25


def test_a_ratio_of_times_is_that_of_the_medians() -> None:
    found = figure(case(), [(1.0, 1.0), (3.0, 1.0), (9.0, 3.0)])
    assert (found.ratio, found.met, found.better) == (3.0, False, "lower")
    assert found.median == 3e6
    assert found.spread == pytest.approx(2 / 3)


def test_a_ratio_of_rates_is_ours_over_theirs() -> None:
    found = figure(case("rates"), [(1.0, 2.0)] * 3)
    assert (found.ratio, found.met, found.better, found.spread) == (2.0, True, "higher", 0.0)


def test_a_difference_is_in_the_unit_of_the_case() -> None:
    found = figure(case("difference", 150.0, "ms"), [(0.3, 0.2), (0.4, 0.2), (0.2, 0.2)])
    assert found.ratio == pytest.approx(100.0)
    assert found.spread == pytest.approx(200.0)
    assert found.met
    assert figure(case("difference", 64.0, "MiB"), [(100.0, 30.0)]).ratio == 70.0


async def test_a_wrong_result_does_not_count() -> None:
    async def two() -> int:
        return 2

    assert await timed(two, 2, times=3)() >= 0
    with pytest.raises(WrongResult, match="2 instead of 3"):
        await timed(two, 3)()


async def test_many_workers_soak_a_pool_and_every_part_of_the_time_is_told(db: Database) -> None:
    spans = await soak.soak(db, workers=4, seconds=2)
    assert len(spans) == soak.PARTS
    assert sum(len(span.took) for span in spans) > 0
    assert all(span.mib > 0 and span.connections > 0 for span in spans)
    trades, claimed = await TradeRepository(db).count(), await TriggerRepository(db).count()
    assert trades >= 5 * claimed > 0
