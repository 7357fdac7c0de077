"""However a database was made, it is the same in the end."""

from __future__ import annotations

import pytest

from polymarket_bot.storage import Database, DatabaseConfig, seed_files
from tests.schemas import dump, load

WAYS: dict[str, tuple[int, list[int | None]]] = {
    "psql, all files": (3, []),
    "psql, all files twice": (6, []),
    "psql, then recognised": (3, [None]),
    "psql to 1, then on": (1, [None]),
    "psql to 2, then on": (2, [None]),
    "migrate to 1, then on": (0, [1, None]),
    "migrate to 2, then on": (0, [2, None]),
    "one by one": (0, [1, 2, 3]),
    "down to 2 and up": (0, [None, 2, None]),
    "down to 1 and up, twice": (0, [None, 1, None, 1, None]),
    "psql, down to 1 and up": (3, [1, None]),
}


@pytest.mark.parametrize("way", WAYS)
async def test_every_way_leads_to_one_catalog(db_url: str, empty_url: str, way: str) -> None:
    files, moves = WAYS[way]
    for file in [*seed_files(), *seed_files()][:files]:
        await load(empty_url, file)
    async with Database(DatabaseConfig(url=empty_url, direct_url=empty_url)) as db:
        for to in moves:
            await db.migrate(to)
    assert await dump(empty_url) == await dump(db_url)


async def test_the_later_files_add_only_indexes_to_production(db_url: str, empty_url: str) -> None:
    await load(empty_url, seed_files()[0])
    before = (await dump(empty_url, "--schema=public")).splitlines()
    after = (await dump(db_url, "--schema=public")).splitlines()
    added = [line for line in after if line not in before]
    assert [line for line in before if line not in after] == []
    statements = [line for line in added if line and not line.startswith("--")]
    assert len(statements) == len(seed_files()[1].read_text().split("CREATE INDEX")) - 1
    assert all(line.startswith("CREATE INDEX idx_") for line in statements)
    made = [line for line in after if line not in statements and line.strip("- ")]
    assert [line for line in made if "Type: INDEX" not in line] == [
        line for line in before if line.strip("- ") and "Type: INDEX" not in line
    ]
