"""Data folders and owner processes that leave nothing behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from polymarket_bot.storage.embedded import EmbeddedPostgres
from polymarket_bot.storage.embedded.keeper.processes import wait_until
from polymarket_bot.storage.embedded.keeper.protocol import Files

from .support import LIMIT, QUICK, OwnerProcess, kill, server_pids, state

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator


def _open_folder() -> Path:
    """Make a folder that the server's user can enter, short enough for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="embedded-", dir="/tmp"))
    folder.chmod(0o755)
    return folder


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """Give a data folder yet to be made; fail if a server is left when the test is done."""
    parent = _open_folder()
    folder = parent / "data"
    try:
        yield folder
        assert wait_until(lambda: not server_pids(folder), LIMIT)
    finally:
        _remove(folder)
        shutil.rmtree(parent)


def _remove(folder: Path) -> None:
    if Files(folder).state.exists():
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
            kill(state(folder)["keeper"])
    if (folder / "pgdata").is_symlink():
        shutil.rmtree(Path(os.path.realpath(folder / "pgdata")).parent, ignore_errors=True)


@pytest.fixture(scope="session")
async def template() -> AsyncIterator[Path]:
    """Make a data folder whose cluster can be copied, which is faster than a first start."""
    parent = _open_folder()
    async with EmbeddedPostgres(parent / "data", settings=QUICK):
        pass
    yield parent / "data"
    shutil.rmtree(parent)


@pytest.fixture
def prepared(data_dir: Path, template: Path) -> None:
    """Put a cluster into the data folder."""
    data_dir.mkdir()
    source = os.path.realpath(template / "pgdata")
    subprocess.run(("cp", "-a", source, str(data_dir / "pgdata")), check=True)


@pytest.fixture
def new_owner(data_dir: Path) -> Iterator[Callable[[], OwnerProcess]]:
    """Give a function that starts owner processes of the data folder."""
    owners: list[OwnerProcess] = []

    def start() -> OwnerProcess:
        owners.append(OwnerProcess(data_dir))
        return owners[-1]

    yield start
    for owner in owners:
        owner.end()
