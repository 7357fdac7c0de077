"""Times that older writers spelled otherwise, wherever the server and the client stand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from polymarket_bot.storage import (
    AlreadyExists,
    ApprovalAlertRepository,
    CandidateRepository,
    CandidateWatermarkRepository,
    Database,
    LiveOrderRepository,
    PositionRepository,
    ScoreHistoryRepository,
    TradeApprovalRepository,
)
from tests.makers import CREATED, TOKEN
from tests.places import PLACES, opened_in
from tests.questions import clock
from tests.small_rows import approval, position, store
from tests.spellings import NO_TIMES, SPELLINGS, Spelling, canonical

MOMENT = datetime(2025, 10, 9, 12, 34, 56, 123_456, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
TIMES = {spelling.name: spelling.write(MOMENT) for spelling in SPELLINGS}


@pytest.fixture(params=PLACES, ids=lambda place: place.name)
async def db(request: pytest.FixtureRequest, db_url: str) -> AsyncIterator[Database]:
    """An open `Database` in each of the places."""
    async with opened_in(request.param, db_url) as database:
        yield database


async def store_position(db: Database, token_id: str, entry_timestamp: str) -> None:
    await store(
        db,
        "positions",
        token_id=token_id,
        size=100.0,
        entry_price=0.75,
        entry_cost=75.0,
        entry_timestamp=entry_timestamp,
        created_at=entry_timestamp,
    )


async def store_approval(db: Database, token_id: str, **times: str | None) -> None:
    values: dict[str, Any] = {"approved_at": CREATED, "max_price": 0.98, "status": "pending"}
    await store(db, "trade_approvals", token_id=token_id, **values | times)


async def test_rows_in_any_spelling_are_read_as_they_are(db: Database) -> None:
    for name, text in TIMES.items():
        await store_position(db, name, text)
    for text in NO_TIMES:
        await store_position(db, f"no time {text}", text)
    rows = await PositionRepository(db).get_all()
    read = {row.token_id: (row.entry_timestamp, row.created_at) for row in rows}
    given = TIMES | {f"no time {text}": text for text in NO_TIMES}
    assert read == {name: (text, text) for name, text in given.items()}


def entered(spelling: Spelling, **changes: Any) -> Any:
    """A new model of the position that is stored in a spelling."""
    return position(spelling.name, entry_timestamp=spelling.states(MOMENT), **changes)


async def test_a_position_of_the_same_instant_is_there_already(db: Database) -> None:
    positions = PositionRepository(db)
    for spelling in SPELLINGS:
        await store_position(db, spelling.name, TIMES[spelling.name])
        with pytest.raises(AlreadyExists):
            await positions.create(entered(spelling))
    given = [entered(spelling) for spelling in SPELLINGS]
    assert await positions.create_many(given) == 0
    await store_position(db, "no time", "soon")
    later = [position(s.name, entry_timestamp=s.states(MOMENT) + MICROSECOND) for s in SPELLINGS]
    assert await positions.create_many([*given, *later]) == len(SPELLINGS)


async def test_a_position_of_the_same_instant_is_replaced(db: Database) -> None:
    positions = PositionRepository(db)
    await store_position(db, "no time", "")
    for spelling in SPELLINGS:
        await store_position(db, spelling.name, TIMES[spelling.name])
        row = await positions.upsert(entered(spelling, size="7"))
        assert (str(row.size), row.entry_timestamp) == ("7", TIMES[spelling.name])
    given = [entered(spelling, size="8") for spelling in SPELLINGS]
    assert await positions.upsert_many(given) == len(SPELLINGS)
    rows = [row for row in await positions.get_all() if not row.token_id.startswith("no time")]
    assert {row.token_id: row.entry_timestamp for row in rows} == TIMES
    assert {str(row.size) for row in rows} == {"8"}
    assert len(rows) == len(SPELLINGS)


async def test_no_update_gives_a_position_the_instant_of_another(db: Database) -> None:
    positions = PositionRepository(db)
    for spelling in SPELLINGS:
        await store_position(db, spelling.name, TIMES[spelling.name])
        other = await positions.create(
            position(spelling.name, entry_timestamp=spelling.states(MOMENT) + MICROSECOND)
        )
        moved = other.model_copy(update={"entry_timestamp": canonical(spelling.states(MOMENT))})
        for write in (positions.update, positions.upsert):
            with pytest.raises(AlreadyExists):
                await write(moved)
        with pytest.raises(AlreadyExists):
            await positions.update_many([moved])
        same = await positions.update(other.model_copy(update={"side": "SELL"}))
        assert same is not None
        assert (same.side, same.entry_timestamp) == ("SELL", other.entry_timestamp)


async def test_a_row_is_found_by_the_instant_of_a_time(db: Database) -> None:
    positions = PositionRepository(db)
    await store_position(db, "no time", "2025-02-30")
    for spelling in SPELLINGS:
        await db.execute("DELETE FROM positions WHERE token_id <> 'no time'")
        await store_position(db, spelling.name, TIMES[spelling.name])
        stated = spelling.states(MOMENT)
        for value in (stated, canonical(stated), stated.replace(tzinfo=None)):
            found = await positions.get_by_id(value, id_column="entry_timestamp")
            assert found is not None
            assert found.token_id == spelling.name
        assert not await positions.exists(stated + MICROSECOND, id_column="created_at")


async def test_an_approval_is_good_until_it_expires_in_any_spelling(db: Database) -> None:
    approvals = TradeApprovalRepository(db)
    for spelling in SPELLINGS:
        now = await clock(db)
        await store_approval(db, "over", expires_at=spelling.write(now - spelling.margin))
        await store_approval(db, "good", expires_at=spelling.write(now + spelling.margin))
        assert await approvals.get_valid("over", "0.9") is None
        assert await approvals.consume("over", "0.9") is None
        good = await approvals.get_valid("good", "0.9")
        assert good is not None, spelling.name
        assert good.expires_at == spelling.write(now + spelling.margin)
        assert await approvals.expire_old() == 1
        over = await approvals.get_by_token("over")
        assert over is not None
        assert over.status == "expired"
        assert await approvals.consume("good", "0.9") is not None, spelling.name
        await db.execute("DELETE FROM trade_approvals")


async def test_an_approval_whose_end_is_no_time_is_never_good(db: Database) -> None:
    approvals = TradeApprovalRepository(db)
    for text in NO_TIMES:
        await store_approval(db, f"no time {text}", expires_at=text)
    now = await clock(db)
    await store_approval(db, "over", expires_at=canonical(now - timedelta(hours=1)))
    await store_approval(db, "good", expires_at=canonical(now + timedelta(hours=1)))
    for text in NO_TIMES:
        assert await approvals.get_valid(f"no time {text}", "0.5") is None
        assert await approvals.consume(f"no time {text}", "0.5") is None
    await approvals.expire_old()
    over = await approvals.get_by_token("over")
    assert over is not None
    assert over.status == "expired"
    assert await approvals.get_valid("good", "0.5") is not None


async def test_the_later_approval_stands_in_any_spelling(db: Database) -> None:
    approvals = TradeApprovalRepository(db)
    for spelling in SPELLINGS:
        stated = spelling.states(MOMENT)
        await store_approval(db, TOKEN, approved_at=spelling.write(MOMENT), approved_by="stored")
        for earlier in (stated, stated - spelling.margin):
            row = await approvals.create(approval(approved_at=earlier, approved_by="given"))
            assert (row.approved_by, row.approved_at) == ("stored", spelling.write(MOMENT))
        assert await approvals.create_many([approval(approved_at=stated)]) == 0
        row = await approvals.create(approval(approved_at=stated + MICROSECOND))
        assert row.approved_at == canonical(stated + MICROSECOND)
        await db.execute("DELETE FROM trade_approvals")
    for text in NO_TIMES:
        await store_approval(db, TOKEN, approved_at=text, approved_by="stored")
        row = await approvals.create(approval(approved_by="given"))
        assert row.approved_by == "given"
        await db.execute("DELETE FROM trade_approvals")


async def test_old_alerts_are_told_by_the_instant(db: Database) -> None:
    alerts = ApprovalAlertRepository(db)
    for text in NO_TIMES:
        await store(db, "approval_alerts", token_id=f"no time {text}", alerted_at=text)
    week_ago = await clock(db) - timedelta(days=7)
    for spelling in SPELLINGS:
        old, young = week_ago - spelling.margin, week_ago + spelling.margin + spelling.kept
        for name, moment in (("old", old), ("young", young)):
            await store(
                db,
                "approval_alerts",
                token_id=f"{name} {spelling.name}",
                alerted_at=spelling.write(moment),
            )
    assert await alerts.delete_old() == len(SPELLINGS)
    left = {row.token_id for row in await alerts.get_all()}
    assert left == {f"no time {text}" for text in NO_TIMES} | {
        f"young {spelling.name}" for spelling in SPELLINGS
    }


async def test_orders_without_an_answer_are_told_by_the_instant(db: Database) -> None:
    orders = LiveOrderRepository(db)
    day_ago = await clock(db) - timedelta(days=1)
    expected = set()
    for spelling in SPELLINGS:
        old, young = day_ago - spelling.margin, day_ago + spelling.margin + spelling.kept
        for name, moment in (("old", old), ("young", young), ("no time", None)):
            await store(
                db,
                "live_orders",
                token_id=f"{name} {spelling.name}",
                candidate_id=1,
                threshold=0.95,
                status="pending",
                submitted_at="n/a" if moment is None else spelling.write(moment),
            )
        expected.add(f"old {spelling.name}")
    for older_than in (timedelta(days=1), 86_400, day_ago, canonical(day_ago), day_ago.timestamp()):
        found = await orders.get_unsubmitted(older_than)
        assert {row.token_id for row in found} == expected


async def test_the_later_candidate_watermark_stands_in_any_spelling(db: Database) -> None:
    marks = CandidateWatermarkRepository(db)
    for spelling in SPELLINGS:
        stated, text = spelling.states(MOMENT), spelling.write(MOMENT)
        await store(db, "candidate_watermarks", threshold=0.95, last_created_at=text, updated_at="")
        for earlier in (stated, canonical(stated), stated - spelling.margin):
            assert (await marks.update(0.95, earlier)).last_created_at == text
            assert await marks.update_many({0.95: earlier}) == 0
        assert await marks.get_last_created_at(0.95) == text
        assert await marks.update_many({0.95: stated + MICROSECOND}) == 1
        later = stated + 2 * MICROSECOND
        assert (await marks.update(0.95, later)).last_created_at == canonical(later)
        await marks.delete(0.95)


async def test_a_candidate_watermark_that_is_no_time_is_replaced(db: Database) -> None:
    marks = CandidateWatermarkRepository(db)
    for text in NO_TIMES:
        for threshold in (0.1, 0.2):
            await store(
                db, "candidate_watermarks", threshold=threshold, last_created_at=text, updated_at=""
            )
        assert (await marks.update(0.1, MOMENT)).last_created_at == canonical(MOMENT)
        assert await marks.update_many({0.1: MOMENT, 0.2: MOMENT}) == 1
        assert await marks.get_last_created_at(0.2) == canonical(MOMENT)
        await db.execute("DELETE FROM candidate_watermarks")


async def test_the_clocks_that_statements_write_are_utc(db: Database) -> None:
    candidates = CandidateRepository(db)
    await store(
        db,
        "polymarket_candidates",
        token_id=TOKEN,
        threshold=0.95,
        trigger_timestamp=0,
        status="pending",
        created_at="",
    )
    (row,) = await candidates.get_pending()
    before = await clock(db)
    approved = await candidates.approve(row.id or 0)
    assert approved is not None
    assert canonical(before) <= (approved.updated_at or "") <= canonical(await clock(db))


async def test_scores_in_milliseconds_are_as_old_as_they_are(db: Database) -> None:
    history = ScoreHistoryRepository(db)
    now = int((await clock(db)).timestamp())
    for days, unit in ((40, 1), (40, 1000), (20, 1), (21, 1000), (None, 1)):
        at = None if days is None else (now - days * 86_400) * unit
        await store(db, "score_history", token_id=f"{days} {unit}", score=0.5, scored_at=at)
    recent = await history.get_recent(now - 30 * 86_400)
    assert [row.token_id for row in recent] == ["20 1", "21 1000"]
    assert await history.cleanup_old(days=30) == 2
    assert [row.token_id for row in await history.get_all()] == ["20 1", "21 1000", "None 1"]


async def test_a_callers_own_connection_may_count_in_another_place(db: Database) -> None:
    async with db.connection() as connection:
        await connection.execute("SET timezone = 'Pacific/Apia'; SET datestyle = 'Postgres, DMY'")
        approvals = TradeApprovalRepository(connection)
        for spelling in SPELLINGS:
            now = await clock(db)
            await store_approval(db, "over", expires_at=spelling.write(now - spelling.margin))
            await store_approval(db, "good", expires_at=spelling.write(now + spelling.margin))
            assert await approvals.expire_old() == 1
            assert await approvals.get_valid("good", "0.9") is not None
            await db.execute("DELETE FROM trade_approvals")
