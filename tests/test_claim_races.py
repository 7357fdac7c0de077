"""Processes race for triggers and candidates: one winner each, and nothing is lost with a kill."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from polymarket_bot.storage import CandidateRepository, Database, DatabaseConfig, seed_files
from tests.faults.record import SEED, TOLD, count, tell
from tests.questions import deadlocks
from tests.racers import CONNECTIONS, TOKENS, wanted
from tests.racing import Racer, race, race_together
from tests.schemas import UNIQUE, load
from tests.small_rows import candidate

CONDITIONS = count("CLAIMS", 60)
KILLS = count("KILLS", 12)
CANDIDATES = count("CANDIDATES", 300)
UNDER_FIRE = KILLS * 25  # conditions, so that some are free until the last is killed
PROCESSES = 8
TABLE = "polymarket_first_triggers"
ROWS = f"SELECT condition_id, token_id, model_version FROM {TABLE}"


def racers(url: str, kinds: list[str], *pooler: str, conditions: int = CONDITIONS) -> list[Racer]:
    return [
        Racer(url, kind, f"{kind}{place}", conditions * TOKENS, SEED + place, *pooler)
        for place, kind in enumerate(kinds)
    ]


async def stored(db: Database) -> dict[str, tuple[str, str]]:
    """Return who has which token, by condition; no condition has two."""
    rows = await db.fetch(ROWS)
    held = {condition: (token, name) for condition, token, name in rows}
    assert len(held) == len(rows), f"{TOLD}: a condition has triggered twice"
    return held


def hold_to(rows: dict[str, tuple[str, str]], racer: Racer) -> int:
    """Hold what a worker was told against what is stored, and return how often it has won."""
    won = 0
    for number, is_won, lost_by, token, name in racer.outcomes:
        mine = wanted(number, racer.name)
        holder = rows[mine.condition_id or ""]
        if is_won:
            won += 1
            assert holder == (mine.token_id, racer.name), TOLD
        elif lost_by is not None:
            assert holder == (token, name), TOLD
            assert (lost_by == "token") == (token == mine.token_id), TOLD
    return won


async def judge(db: Database, workers: list[Racer]) -> None:
    assert [worker.status for worker in workers] == [0] * len(workers), TOLD
    rows = await stored(db)
    assert len(rows) == CONDITIONS, TOLD
    won = [hold_to(rows, worker) for worker in workers]
    assert sum(won) == CONDITIONS, TOLD
    assert sum(map(bool, won)) > 1, f"{TOLD}: one has won all, they did not race"
    assert await deadlocks(db) == 0, TOLD


@pytest.mark.parametrize(
    "seeds", ["production's schema alone", "all seeds", "the unique index too"]
)
async def test_of_eight_processes_that_claim_everything_one_wins_each(
    empty_url: str, seeds: str
) -> None:
    await load(empty_url, *seed_files()[: 1 if "alone" in seeds else 3])
    async with Database(DatabaseConfig(url=empty_url)) as db:
        if "unique" in seeds:
            await db.execute(UNIQUE)
        workers = racers(empty_url, ["claim"] * PROCESSES)
        await race_together(db, TABLE, workers)
        await judge(db, workers)
        assert sum(len(worker.outcomes) for worker in workers) == PROCESSES * CONDITIONS * TOKENS
    tell("racers", times=CONDITIONS)


async def test_of_a_thousand_tasks_in_eight_processes_one_wins_each(
    db: Database, db_url: str
) -> None:
    workers = racers(db_url, ["crowd"] * PROCESSES)
    await race_together(db, TABLE, workers, CONNECTIONS)
    await judge(db, workers)
    tell("racers", times=CONDITIONS)


async def test_callers_of_the_old_pair_slip_past_no_claim(db: Database, db_url: str) -> None:
    workers = racers(db_url, ["old", "claim"] * (PROCESSES // 2))
    await race_together(db, TABLE, workers)
    await judge(db, workers)
    assert any(worker.outcomes for worker in workers[::2]), f"{TOLD}: no old pair found any free"
    tell("racers", times=CONDITIONS)


async def test_no_claim_is_lost_or_won_twice_when_claimers_are_killed(
    db: Database, db_url: str
) -> None:
    chance = random.Random(SEED)  # noqa: S311 - repeatable, no secret
    known: list[Racer] = []
    for _ in range(max(1, KILLS // 4)):
        workers = racers(db_url, ["claim"] * 4, conditions=UNDER_FIRE)
        for worker in workers:
            worker.name = worker.arguments[2] = f"claim{len(known)}"
            worker.arguments[4] = str(SEED + len(known))
            known.append(worker)
        await race(workers, [chance.uniform(0.001, 0.2) for _ in workers])
    (last,) = racers(db_url, ["claim"], conditions=UNDER_FIRE)
    last.name = last.arguments[2] = "last"
    await race([last])
    rows = await stored(db)
    assert len(rows) == UNDER_FIRE, TOLD
    acknowledged = sum(hold_to(rows, worker) for worker in [*known, last])
    assert acknowledged <= UNDER_FIRE, TOLD
    killed = Counter(worker.status for worker in known)[-9]
    assert UNDER_FIRE - acknowledged <= killed, f"{TOLD}: more is stored than was cut off"
    assert killed > len(known) // 2, "too few were killed in time"
    tell("worker killed", times=killed)


async def test_each_candidate_is_decided_once_though_workers_are_killed(
    db: Database, db_url: str
) -> None:
    chance = random.Random(SEED)  # noqa: S311 - repeatable, no secret
    await CandidateRepository(db).create_many(candidate(str(n)) for n in range(CANDIDATES))

    def workers(batch: int) -> list[Racer]:
        return [Racer(db_url, "decide", f"d{batch}-{n}", 0, 0) for n in range(4)]

    decided: list[Any] = []
    killed = 0
    for batch in range(max(1, KILLS // 4)):
        team = workers(batch)
        # The first one dies before all can be decided, on whatever machine.
        await race(team, [0.01, *(chance.uniform(0.01, 0.4) for _ in team[1:])])
        killed += sum(worker.status == -9 for worker in team)
        decided += [outcome[0] for worker in team for outcome in worker.outcomes]
    team = workers(KILLS)
    await race(team)
    decided += [outcome[0] for worker in team for outcome in worker.outcomes]
    assert killed, f"{TOLD}: none was killed in time"
    assert len(decided) == len(set(decided)), TOLD
    statuses = "SELECT DISTINCT status FROM polymarket_candidates"
    assert [row[0] for row in await db.fetch(statuses)] == ["approved"], TOLD
    trades = await db.fetch("SELECT candidate_id FROM paper_trades")
    assert len(trades) == len({row[0] for row in trades}) == CANDIDATES, TOLD
    tell("worker killed", times=killed)
