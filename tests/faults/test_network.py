"""Networks that fail at random, in every way, while tasks write through them."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from polymarket_bot.storage import (
    DailyPnlRepository,
    Database,
    PositionRepository,
    TradeApprovalRepository,
)
from tests.small_rows import approval, position

from .proxy import Action, Direction, Proxy, Trigger
from .record import SEED, TOLD, Trial, count, tell
from .support import eventually, hold_to_whole
from .tokens import ALL, TABLE, Writers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .servers import Server

    Fault = Callable[[Proxy, random.Random], Awaitable[None]]

FAULTS = count("NETWORK", 21)
ROUNDS = count("ROUNDS", 30)
DAY = "2025-10-09"
CUTS = (Action.CUT_BEFORE, Action.CUT_AFTER, Action.CUT_WITHIN)


async def cut(proxy: Proxy, _: random.Random) -> None:
    proxy.cut_all()


async def half_open(proxy: Proxy, _: random.Random) -> None:
    proxy.half_open()


async def stalled(proxy: Proxy, chance: random.Random) -> None:
    """Hold all bytes of one direction or of both, for less and for longer than the limit."""
    ways = chance.choice(((Direction.TO_SERVER,), (Direction.TO_CLIENT,), tuple(Direction)))
    proxy.stall(*ways)
    await asyncio.sleep(chance.choice((0.02, 0.2, 0.7)))
    proxy.release(*ways)


async def one_byte_at_a_time(proxy: Proxy, _: random.Random) -> None:
    proxy.trickle = True
    await asyncio.sleep(0.2)
    proxy.trickle = False


async def cut_at_commit(proxy: Proxy, chance: random.Random) -> None:
    trigger = proxy.when("^commit", chance.choice(CUTS))
    await eventually(lambda: trigger.count == 1)
    await eventually(lambda: trigger.action is Action.CUT_BEFORE or trigger.answered.is_set())


async def refused(proxy: Proxy, _: random.Random) -> None:
    proxy.refuse()
    proxy.cut_all()
    await asyncio.sleep(0.1)
    proxy.accept()


async def reset(proxy: Proxy, _: random.Random) -> None:
    proxy.reset_new = True
    proxy.cut_all()
    await asyncio.sleep(0.1)
    proxy.reset_new = False


KINDS: tuple[Fault, ...] = (
    cut,
    half_open,
    stalled,
    one_byte_at_a_time,
    cut_at_commit,
    refused,
    reset,
)


@pytest.fixture
async def db(proxied: Database) -> Database:
    await proxied.execute(TABLE)
    return proxied


async def test_writers_go_on_after_every_fault_of_the_network(
    db: Database, server: Server, proxy: Proxy
) -> None:
    chance, trial = random.Random(SEED), Trial("network")  # noqa: S311 - repeatable, no secret
    config = db.config.model_copy(update={"command_timeout": 0.5, "connect_timeout": 1})
    kinds = [KINDS[number % len(KINDS)] for number in range(FAULTS)]
    chance.shuffle(kinds)
    async with Database(config) as hasty:
        writers = Writers(hasty)
        async with writers.at_work():
            for make in kinds:
                await writers.go_on()
                await asyncio.sleep(chance.uniform(0, 0.02))
                await make(proxy, chance)
                with trial.recovery():
                    await writers.go_on()
        writers.check(await server.fetchval(ALL))
        await hold_to_whole(hasty)
    trial.tell()


def some_cuts(proxy: Proxy, chance: random.Random, write: str) -> list[Trigger]:
    """Have some of the next statements cut, chosen by chance."""
    moments = ("^begin", write, "if_assigned", "^commit", "^commit")
    some = range(chance.randrange(1, 5))
    return [proxy.when(chance.choice(moments), chance.choice(CUTS)) for _ in some]


async def test_of_many_callers_on_failing_connections_one_wins(db: Database, proxy: Proxy) -> None:
    chance, made = random.Random(SEED), 0  # noqa: S311 - repeatable, no secret
    positions, approvals = PositionRepository(db), TradeApprovalRepository(db)
    for number in range(ROUNDS):
        name = str(number)
        id_ = (await positions.create(position(name))).id or 0
        await approvals.create(approval(name))
        cuts = some_cuts(proxy, chance, r"^\s*update")
        closed = asyncio.gather(*(positions.close(id_, "0.8", str(n)) for n in range(8)))
        consumed = asyncio.gather(*(approvals.consume(name, "0.9") for _ in range(8)))
        closers, consumers = await closed, await consumed
        made += sum(cut.count for cut in cuts)
        proxy.clear()
        told = f"{TOLD}, round {number}"
        assert [row for row in closers if row] == [await positions.get_by_id(id_)], told
        assert [row for row in consumers if row] == [await approvals.get_by_token(name)], told
    await hold_to_whole(db)
    tell("network", times=made)


async def test_bookers_on_failing_connections_lose_and_repeat_nothing(
    db: Database, proxy: Proxy
) -> None:
    chance, made = random.Random(SEED), 0  # noqa: S311 - repeatable, no secret
    pnl = DailyPnlRepository(db)
    for number in range(1, ROUNDS + 1):
        cuts = some_cuts(proxy, chance, r"^\s*insert")
        await asyncio.gather(*(pnl.add(DAY, realized="0.25", trades=1) for _ in range(8)))
        made += sum(cut.count for cut in cuts)
        proxy.clear()
        row = await pnl.get_or_create(DAY)
        assert row.num_trades == 8 * number, TOLD
        assert row.realized_pnl == 2 * number, TOLD
    await hold_to_whole(db)
    tell("network", times=made)
