"""Watermarks of all three kinds: they only go forward, and no poison gets in."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from polymarket_bot.storage import Database, DatabaseConfig, FutureTime, InvalidInput
from tests.makers import NOW
from tests.questions import clock, unix_time
from tests.spellings import NO_TIMES, SPELLINGS, canonical
from tests.watermark_kinds import CANDIDATE, EVERY_KIND, KINDS, TRIGGER, Kind

MILLISECONDS = NOW * 1_000


@EVERY_KIND
async def test_a_key_has_no_watermark_until_it_is_set(db: Database, kind: Kind) -> None:
    marks = kind.open(db)
    assert await marks.get(kind.key(1)) is None
    assert await kind.read(db, kind.key(1)) == kind.nothing
    before = await clock(db)
    stored = await marks.update(kind.key(1), kind.given(NOW))
    assert canonical(before) <= stored.updated_at <= canonical(await clock(db))
    assert await marks.get(kind.key(1)) == stored
    assert await kind.read(db, kind.key(1)) == getattr(stored, kind.column) == kind.kept(NOW)
    assert await marks.get(kind.key(2)) is None


@EVERY_KIND
async def test_a_watermark_is_not_moved_backwards(db: Database, kind: Kind) -> None:
    key = kind.key(1)
    for seconds, expected in ((5, 5), (3, 5), (5, 5), (6, 6), (-NOW, 6)):
        assert await kind.update(db, key, NOW + seconds) == kind.kept(NOW + expected)
    assert await kind.update_many(db, {1: NOW + 2}) == 0
    assert await kind.read(db, key) == kind.kept(NOW + 6)


@EVERY_KIND
async def test_update_many_counts_what_moved(db: Database, kind: Kind) -> None:
    assert await kind.update_many(db, {}) == 0
    assert await kind.update_many(db, {1: NOW, 2: NOW, 3: NOW}) == 3
    assert await kind.update_many(db, {1: NOW, 2: NOW - 1, 3: NOW + 1, 4: NOW}) == 2
    expected = {1: NOW, 2: NOW, 3: NOW + 1, 4: NOW}
    assert await kind.all(db) == {kind.key(n): kind.kept(at) for n, at in expected.items()}
    assert await kind.open(db).count() == 4
    assert await kind.open(db).delete(kind.key(1)) is True
    assert await kind.open(db).exists(kind.key(1)) is False


@EVERY_KIND
async def test_thousands_are_moved_in_one_call(db: Database, kind: Kind) -> None:
    numbers = list(range(12_000))
    random.Random(1).shuffle(numbers)  # noqa: S311 - an order, no secret
    assert await kind.update_many(db, {n: NOW + n for n in numbers}) == 12_000
    half = {n: NOW + n + n % 2 for n in numbers}
    queries: list[str] = []
    stop = db.on_query(lambda event: queries.append(event.name))
    assert await kind.update_many(db, half) == 6_000
    stop()
    assert len(queries) <= 12_000 // 1_000
    assert await kind.all(db) == {kind.key(n): kind.kept(at) for n, at in half.items()}


@EVERY_KIND
async def test_a_watermark_holds_the_latest_of_all_writers(db: Database, kind: Kind) -> None:
    chance = random.Random(11)  # noqa: S311 - repeatable, no secret
    given: dict[int, list[int]] = {n: [NOW] for n in range(8)}
    work = []
    for step in range(120):
        chosen = chance.sample(range(8), chance.randint(1, 8))
        marks = {n: NOW + chance.randrange(1_000) for n in chosen}
        for number, at in marks.items():
            given[number].append(at)
        if step % 2:
            work.append(kind.update_many(db, marks))
        else:
            work += [kind.update(db, kind.key(n), at) for n, at in marks.items()]
    await asyncio.gather(*work)
    expected = {kind.key(n): kind.kept(max(times)) for n, times in given.items() if times[1:]}
    assert await kind.all(db) == expected


@EVERY_KIND
async def test_no_reader_sees_a_watermark_go_back(db: Database, kind: Kind) -> None:
    key, done = kind.key(1), asyncio.Event()
    await kind.update(db, key, NOW)
    async with Database(db.config) as reader:  # on `db` it would wait in line behind all writers
        seen = [await kind.read(reader, key)]

        async def watch() -> None:
            while not done.is_set():
                seen.append(await kind.read(reader, key))

        watching = asyncio.create_task(watch())
        steps = [NOW + n for n in range(150)]
        random.Random(2).shuffle(steps)  # noqa: S311 - an order, no secret
        singles = [kind.update(db, key, at) for at in steps[::2]]
        await asyncio.gather(*singles, *(kind.update_many(db, {1: at}) for at in steps[1::2]))
        done.set()
        await watching
    assert seen == sorted(seen)
    assert len(set(seen)) > 1, "nothing was seen to move"
    assert await kind.read(db, key) == kind.kept(max(steps))


@EVERY_KIND
async def test_every_answer_is_at_least_what_was_given(db: Database, kind: Kind) -> None:
    steps = [NOW + n for n in range(60)]
    random.Random(4).shuffle(steps)  # noqa: S311 - an order, no secret
    answers = await asyncio.gather(*(kind.update(db, kind.key(1), at) for at in steps))
    assert all(answer >= kind.kept(at) for answer, at in zip(answers, steps, strict=True))


def poison(kind: Kind) -> list[Any]:
    """What is no time of the kind, whatever the clock says."""
    if kind is CANDIDATE:
        return [*NO_TIMES, None, NOW, True, "9999-12-31T23:59:59-02:00"]
    return [-1, MILLISECONDS, MILLISECONDS * 1_000, MILLISECONDS * 10**6, None, "soon", True, 1.5]


@EVERY_KIND
async def test_poison_is_refused_and_leaves_nothing(db: Database, kind: Kind) -> None:
    await kind.update_many(db, {1: NOW, 2: NOW})
    before = await kind.all(db)
    marks = kind.open(db)
    for wrong in poison(kind):
        with pytest.raises(InvalidInput, match=kind.column):
            await marks.update(kind.key(1), wrong)
        with pytest.raises(InvalidInput, match=kind.column):
            await marks.update_many({kind.key(1): kind.given(NOW + 5), kind.key(3): wrong})
        with pytest.raises(InvalidInput, match=kind.column):
            await marks.reset(kind.key(1), wrong, "a test")
    assert await kind.all(db) == before


@EVERY_KIND
async def test_the_future_by_the_databases_clock_is_refused(
    db: Database, db_url: str, kind: Kind
) -> None:
    ahead = await unix_time(db) + 400
    marks = kind.open(db)
    with pytest.raises(FutureTime, match=kind.column):
        await marks.update(kind.key(1), kind.given(ahead))
    with pytest.raises(FutureTime, match=kind.column):
        await marks.reset(kind.key(1), kind.given(ahead), "a test")
    with pytest.raises(FutureTime, match=kind.column):
        await kind.update_many(db, {1: NOW, 2: ahead, 3: NOW})
    assert await kind.all(db) == {}
    assert await kind.update(db, kind.key(1), ahead - 200) == kind.kept(ahead - 200)
    async with Database(DatabaseConfig(url=db_url, future_skew=1_000)) as patient:
        assert await kind.update_many(patient, {1: ahead, 2: ahead}) == 2


@EVERY_KIND
@pytest.mark.parametrize("place", [0, 4_999, 5_000, 10_999])
async def test_one_time_in_the_future_spoils_thousands(
    db: Database, kind: Kind, place: int
) -> None:
    await kind.update(db, kind.key(0), NOW)
    marks = dict.fromkeys(range(11_000), NOW + 1)
    marks[place] = await unix_time(db) + 1_000
    with pytest.raises(FutureTime, match=kind.column):
        await kind.update_many(db, marks)
    assert await kind.all(db) == {kind.key(0): kind.kept(NOW)}


@EVERY_KIND
async def test_batches_in_any_order_do_not_deadlock(db: Database, kind: Kind) -> None:
    numbers = list(range(300))

    async def move(seed: int) -> int:
        order = numbers.copy()
        random.Random(seed).shuffle(order)  # noqa: S311 - an order, no secret
        return await kind.update_many(db, dict.fromkeys(order, NOW + seed))

    moved = await asyncio.gather(*map(move, range(10)))
    assert all(count in (0, 300) for count in moved)
    assert set((await kind.all(db)).values()) == {kind.kept(NOW + 9)}
    assert db.stats().retries == 0


@pytest.mark.parametrize("kind", KINDS[1:], ids=lambda kind: kind.name)
async def test_keys_of_one_real_are_one_key(db: Database, kind: Kind) -> None:
    marks = kind.open(db)
    spelled: list[Any] = ["0.95", Decimal("0.95"), 0.95, "0.950", 0.949999988079071]
    for place in range(len(spelled)):
        turned = spelled[place:] + spelled[:place]
        given = {key: kind.given(NOW + n + place * 10) for n, key in enumerate(turned)}
        assert len(given) == 5
        assert await marks.update_many(given) == 1
        assert await kind.all(db) == {0.95: kind.kept(NOW + 4 + place * 10)}
    for key in spelled:
        assert await kind.read(db, key) == kind.kept(NOW + 44)
    assert await marks.update_many({0.0: kind.given(NOW), "-0.0": kind.given(NOW)}) == 1


async def test_the_later_of_two_spellings_is_taken(db: Database) -> None:
    marks = CANDIDATE.open(db)
    earlier, later = "2025-10-09T12:00:00+02:00", "2025-10-09 10:00:00.000001"
    assert await marks.update_many({0.95: earlier, "0.95": later}) == 1
    assert await marks.get_last_created_at(0.95) == "2025-10-09T10:00:00.000001+00:00"
    moment = datetime(2025, 10, 10, tzinfo=UTC)
    given = {n / 8: spelling.write(moment) for n, spelling in enumerate(SPELLINGS)}
    assert await marks.update_many(given) == len(SPELLINGS)
    assert await marks.update_many(dict.fromkeys(given, moment)) == 0


@EVERY_KIND
async def test_what_is_no_key_is_refused_by_name(db: Database, kind: Kind) -> None:
    name = "condition_id" if kind is KINDS[0] else "threshold"
    wrongs = [None, "", "a\x00"] if kind is KINDS[0] else [None, "", float("nan"), True, 10**39]
    marks = kind.open(db)
    for wrong in wrongs:
        for call in (
            marks.get(wrong),
            kind.read(db, wrong),
            marks.update(wrong, kind.given(NOW)),
            marks.update_many({kind.key(1): kind.given(NOW), wrong: kind.given(NOW)}),
            marks.reset(wrong, kind.given(NOW), "a test"),
        ):
            with pytest.raises(InvalidInput, match=name):
                await call
    assert await marks.count() == 0


@pytest.mark.parametrize("wrong", [None, [], [("c", NOW)], "c", 5], ids=repr)
async def test_what_is_no_mapping_is_refused(db: Database, wrong: Any) -> None:
    with pytest.raises(InvalidInput, match="marks: expected a mapping"):
        await TRIGGER.open(db).update_many(wrong)
