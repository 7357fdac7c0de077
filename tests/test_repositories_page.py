"""`docs/repositories.md` is correct to the letter: its programs run, its tables are the code's."""

from __future__ import annotations

import ast
import inspect
import re
from types import CodeType
from typing import Any

import pytest

from polymarket_bot import storage
from polymarket_bot.storage import (
    Database,
    ExitEvent,
    LiveOrder,
    PolymarketCandidate,
    Position,
    StorageModel,
    Table,
    TradeApproval,
)
from polymarket_bot.storage.tables import PRODUCTION
from tests.contract import REPOSITORIES
from tests.makers import TOKEN
from tests.programs import page

PAGE = page("docs/repositories.md")
SECTION = re.compile(r"^(#{2,3}) (.+)\n((?:(?!#{2,3} ).*\n)*)", re.MULTILINE)
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TRANSITIONS = re.compile(r"^`(\w+)`:\n\n((?:\|.*\n)+)", re.MULTILINE)

LIVING: dict[str, Table[Any]] = {table.name: table for table in PRODUCTION if table.lifecycle}
WHEN = "2025-10-09T09:00:00Z"
ROWS: dict[str, StorageModel] = {
    "positions": Position(
        token_id=TOKEN, size=1, entry_price=1, entry_cost=1, entry_timestamp=WHEN, created_at=WHEN
    ),
    "live_orders": LiveOrder(
        candidate_id=1, token_id=TOKEN, threshold=0.95, status="x", submitted_at=WHEN
    ),
    "exit_events": ExitEvent(
        position_id=1,
        token_id=TOKEN,
        exit_type="x",
        entry_price=1,
        exit_price=1,
        size=1,
        gross_pnl=0,
        net_pnl=0,
        hours_held=1,
        created_at=WHEN,
    ),
    "trade_approvals": TradeApproval(token_id=TOKEN, approved_at=WHEN),
    "polymarket_candidates": PolymarketCandidate(
        token_id=TOKEN, threshold=0.95, trigger_timestamp=1, status="x", created_at=WHEN
    ),
}


# Each program of the page, by the heading that it stands under.
PROGRAMS = [
    pytest.param(program, id=heading.strip("`"))
    for _, heading, text in SECTION.findall(PAGE)
    for program in BLOCK.findall(text)
]


@pytest.mark.parametrize("program", PROGRAMS)
async def test_a_program_of_the_page_runs_as_it_stands(program: str, db: Database) -> None:
    code: CodeType = compile(
        program, "docs/repositories.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    )
    assert code.co_flags & inspect.CO_COROUTINE
    assert "assert " in program
    await eval(code, {"__name__": "page", "db": db})  # noqa: S307 - our own page


def test_every_repository_has_a_section_with_a_description_and_one_program() -> None:
    sections = {heading: text for _, heading, text in SECTION.findall(PAGE)}
    for owner in REPOSITORIES:
        text = sections[f"`{owner.name}`"]
        (program,) = BLOCK.findall(text)
        assert owner.name in program
        description = text.partition("```")[0].strip().splitlines()
        assert 1 <= len(description) <= 2, owner.name


def test_repositories_are_grouped_by_the_file_that_they_live_in() -> None:
    module, grouped = "", []
    for level, heading, _ in SECTION.findall(PAGE):
        if level == "###":
            grouped.append((heading.strip("`"), module))
        else:
            module = heading.rpartition(": ")[2].strip("`")
    assert sorted(grouped) == sorted(
        (owner.name, getattr(storage, owner.name).__module__.rpartition(".")[2])
        for owner in REPOSITORIES
    )


def test_what_every_repository_can_do_is_listed() -> None:
    (listed,) = (
        text for _, heading, text in SECTION.findall(PAGE) if heading.startswith("What every")
    )
    calls = set(re.findall(r"`(\w+)\(", "".join(re.findall(r"^\|[^|]+\|", listed, re.MULTILINE))))
    assert calls == {m.name for owner in REPOSITORIES for m in owner.methods if m.shared}


def transitions() -> dict[str, dict[str, list[str]]]:
    """What the page says may follow each status of each table."""
    tables: dict[str, dict[str, list[str]]] = {}
    for table, lines in TRANSITIONS.findall(PAGE):
        rows = (line.strip("|").split("|") for line in lines.splitlines()[2:])
        tables[table] = {
            status.strip(" `"): re.findall(r"`(\w+)`", followers) for status, followers in rows
        }
    return tables


def test_the_page_has_a_transition_table_for_every_lifecycle() -> None:
    assert transitions().keys() == LIVING.keys()


@pytest.mark.parametrize("table", LIVING)
def test_a_transition_table_is_that_of_the_lifecycle(table: str) -> None:
    life, said = LIVING[table].lifecycle, transitions()[table]
    assert life is not None
    assert set(life.final) | set(life.stages) <= said.keys()
    for status, followers in said.items():
        places = {stage: place for place, stage in enumerate(life.stages)}
        earlier = {stage for stage in places if places[stage] < places.get(status, 0)}
        expected = set() if status in life.final else said.keys() - earlier
        assert set(followers) == expected, status


@pytest.mark.parametrize("table", LIVING)
async def test_the_database_holds_a_row_to_its_transition_table(table: str, db: Database) -> None:
    (owner,) = (owner for owner in REPOSITORIES if owner.table == table)
    repository = getattr(storage, owner.name)(db)
    for status, followers in [*transitions()[table].items(), ("its own", None)]:
        for then in [*transitions()[table], "its own"]:
            token = f"{status} {then}"
            row = ROWS[table].model_copy(update={"token_id": token, "status": status})
            stored = await repository.create(row)
            stored.status = then
            follows = followers is None or then in followers or (followers and then == "its own")
            assert (await repository.update(stored)).status == (then if follows else status)
            kept = await repository.get_by_id(token, "token_id")
            assert kept.status == (then if follows else status), token
