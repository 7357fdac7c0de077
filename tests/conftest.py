"""A database of its own for every test, by the fixtures that users get, and folders for servers."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from polymarket_bot.storage import Database, TradeRepository, TradeWatermarkRepository
from tests.faults.record import TOLD
from tests.profiles import Session, session, told_inputs

pytest_plugins = ["polymarket_bot.storage.testing"]


def pytest_report_header() -> str:
    """Print the seed of all tests that leave something to chance."""
    return TOLD


@pytest.fixture(scope="session")
def open_parent() -> Iterator[Path]:
    """A folder that every user can enter, unlike those of pytest, removed after the run."""
    folder = Path(tempfile.mkdtemp(prefix="pmb-open-"))
    folder.chmod(0o711)  # a server started by root runs as another user
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def hostile_inputs() -> Iterator[None]:
    """Have the bad inputs told that a module's tests count."""
    with told_inputs():
        yield


@pytest.fixture
def on_database(db_url: str) -> Iterator[Session]:
    """The test's own database, for a test that is not async."""
    with session(db_url) as opened:
        yield opened


@pytest.fixture
def open_folder(open_parent: Path) -> Path:
    """A folder of this test's own that a server started by root can enter, unlike `tmp_path`."""
    folder = open_parent / uuid.uuid4().hex
    folder.mkdir(mode=0o755)
    return folder


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Send lone surrogates escaped: what cannot be encoded would end an xdist worker."""
    return _encodable((yield))


def _encodable(data: Any) -> Any:
    if isinstance(data, str):
        return data.encode(errors="backslashreplace").decode()
    if isinstance(data, dict):
        return {key: _encodable(value) for key, value in data.items()}
    return [_encodable(item) for item in data] if isinstance(data, list | tuple) else data


@pytest.fixture
def trades(db: Database) -> TradeRepository:
    """The test's trades."""
    return TradeRepository(db)


@pytest.fixture
def marks(db: Database) -> TradeWatermarkRepository:
    """How far the test's trades are processed."""
    return TradeWatermarkRepository(db)
