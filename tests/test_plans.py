"""Every hot query runs on its index, among millions of rows, and neither sorts nor scans more."""

from __future__ import annotations

from collections.abc import AsyncIterator

from polymarket_bot.storage.connections.blocks import Connection
from tests.hot_queries import GROUPS, Case
from tests.plans import (
    Planner,
    faults,
    production_sized,
    rolled_back,
)


async def tried(case: Case, planner: Planner) -> AsyncIterator[str]:
    """Ask, and yield what is wrong with the plans and the answer."""
    if not await case.asked:
        yield f"{case.name}: found nothing"
    if case.indexes and not any(node.index for plan in planner.plans for node in plan):
        yield f"{case.name}: reads no index"
    for plan in planner.plans:
        if wrong := "; ".join(dict.fromkeys(faults(plan, case.indexes, case.more))):
            yield "\n".join([f"{case.name}: {wrong}", *map(str, plan)])


async def all_tried(connection: Connection, mode: str) -> AsyncIterator[str]:
    """Ask all, with plans that know the arguments or with such as know none."""
    await connection.execute(f"SET plan_cache_mode = {mode}")
    planner = Planner(connection)
    for group in GROUPS:
        for case in group(planner):
            planner.plans.clear()
            async with rolled_back(connection):
                async for fault in tried(case, planner):
                    yield f"{mode}, {group.__name__}, {fault}"


async def test_every_hot_query_runs_on_its_index(db_url: str) -> None:
    async with production_sized(db_url) as connection:
        for mode in ("force_custom_plan", "force_generic_plan"):
            wrong = [fault async for fault in all_tried(connection, mode)]
            assert not wrong, "\n\n".join(wrong)
        async with rolled_back(connection):  # what this test is for is seen
            await connection.execute("DROP INDEX idx_candidates_status_created")
            wrong = [fault async for fault in all_tried(connection, "auto")]
        told = {fault.split(":")[0].split(", ")[-1] for fault in wrong}
        assert told == {"get_pending", "get_by_status"}, "\n\n".join(wrong)
