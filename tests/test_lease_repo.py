"""Leases: one holder at a time, taken over when they run out, each with a larger number."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from polymarket_bot.storage import Database, InvalidInput
from polymarket_bot.storage.ops import Lease, LeaseRepository

LONG = 3600


@pytest.fixture
def leases(db: Database) -> LeaseRepository:
    return LeaseRepository(db)


async def taken(leases: LeaseRepository, owner: str = "a", seconds: float = LONG) -> Lease:
    lease = await leases.acquire("orders", owner, seconds)
    assert lease is not None
    return lease


async def run_out(db: Database) -> None:
    """Let the time of every lease pass."""
    await db.execute("UPDATE ops.leases SET until = now() - interval '1 second'")


async def test_a_free_lease_is_taken_and_lasts_by_the_database_s_clock(
    db: Database, leases: LeaseRepository
) -> None:
    lease = await taken(leases)
    assert (lease.name, lease.owner, lease.fencing) == ("orders", "a", 1)
    left = await db.fetchval("SELECT $1::timestamptz - now()", lease.until)
    assert timedelta(seconds=LONG - 60) < left <= timedelta(seconds=LONG)
    assert await leases.get_by_id("orders") == lease


@pytest.mark.parametrize("owner", ["a", "b"])
async def test_a_lease_that_is_held_is_given_to_nobody(leases: LeaseRepository, owner: str) -> None:
    lease = await taken(leases)
    assert await leases.acquire("orders", owner, LONG) is None
    assert await leases.get_by_id("orders") == lease
    assert (await taken_elsewhere(leases)).fencing == 1


async def taken_elsewhere(leases: LeaseRepository) -> Lease:
    lease = await leases.acquire("prices", "a", LONG)
    assert lease is not None
    return lease


async def test_one_that_has_run_out_is_taken_over_with_a_larger_number(
    db: Database, leases: LeaseRepository
) -> None:
    late = await taken(leases)
    await run_out(db)
    lease = await taken(leases, "b")
    assert (lease.owner, lease.fencing) == ("b", 2)
    assert await leases.renew(late, LONG) is None
    assert await leases.release(late) is False
    assert await leases.get_by_id("orders") == lease


async def test_a_late_holder_is_refused_though_nobody_has_taken_over(
    db: Database, leases: LeaseRepository
) -> None:
    late = await taken(leases)
    await run_out(db)
    assert await leases.renew(late, LONG) is None
    assert await leases.release(late) is False
    assert (await taken(leases, "a")).fencing == 2


async def test_an_owner_of_the_same_name_is_another_holder(
    db: Database, leases: LeaseRepository
) -> None:
    before = await taken(leases, "a")
    await run_out(db)
    after = await taken(leases, "a")
    assert await leases.renew(before, LONG) is None
    assert await leases.renew(after, LONG) is not None


async def test_a_lease_is_renewed_from_now_on(leases: LeaseRepository) -> None:
    lease = await taken(leases, seconds=60)
    longer = await leases.renew(lease, timedelta(hours=2))
    assert longer is not None
    assert longer.until - lease.until > timedelta(hours=1)
    assert (longer.owner, longer.fencing) == ("a", 1)
    shorter = await leases.renew(lease, 0.001)
    assert shorter is not None
    assert shorter.until < lease.until


async def test_a_lease_that_is_given_back_is_free_and_its_number_is_not_used_again(
    leases: LeaseRepository,
) -> None:
    lease = await taken(leases)
    assert await leases.release(lease) is True
    assert await leases.release(lease) is False
    assert (await taken(leases, "b")).fencing == 2


async def test_a_lease_of_a_part_of_a_second_runs_out(leases: LeaseRepository) -> None:
    await taken(leases, seconds=0.01)
    await asyncio.sleep(0.02)
    assert (await taken(leases, "b")).fencing == 2


async def test_a_lease_that_is_taken_in_a_block_that_rolls_back_was_not_taken(
    db: Database, leases: LeaseRepository
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with db.transaction():
            await taken(leases)
            raise ZeroDivisionError
    assert (await taken(leases, "b")).fencing == 1


async def test_of_many_who_want_a_lease_one_gets_it_each_time(
    db: Database, leases: LeaseRepository
) -> None:
    for turn in range(1, 6):
        asked = [leases.acquire("orders", f"owner{n}", LONG) for n in range(30)]
        got = [lease for lease in await asyncio.gather(*asked) if lease]
        assert [lease.fencing for lease in got] == [turn]
        await run_out(db)


@pytest.mark.parametrize("seconds", [0, -1, True, "5", None, float("nan"), 2**31, timedelta(0)])
async def test_a_span_that_is_none_is_refused(leases: LeaseRepository, seconds: Any) -> None:
    with pytest.raises(InvalidInput, match="seconds: expected a"):
        await leases.acquire("orders", "a", seconds)
    lease = await taken(leases)
    with pytest.raises(InvalidInput, match="seconds: expected a"):
        await leases.renew(lease, seconds)
    assert await leases.get_by_id("orders") == lease


async def test_names_and_owners_are_texts_that_a_key_can_hold(leases: LeaseRepository) -> None:
    wrong: Any
    for wrong in ("", None, 5, "a\x00", "x" * 5_000):
        with pytest.raises(InvalidInput, match=r"^name"):
            await leases.acquire(wrong, "a", LONG)
        with pytest.raises(InvalidInput, match=r"^owner"):
            await leases.acquire("orders", wrong, LONG)
        with pytest.raises(InvalidInput, match="expected a Lease"):
            await leases.renew(wrong, LONG)
    assert await leases.count() == 0
