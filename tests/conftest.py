"""A database of its own for every test, cloned from a template on one server for the whole run.

The server is the embedded one, or that of DATABASE_URL, whose user must be allowed to create
databases. Without a server the run fails.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from polymarket_bot.storage import Database, DatabaseConfig
from polymarket_bot.storage.embedded import EmbeddedPostgres
from tests.databases import create_from, drop, make_template, with_database

_SERVER_DIR = "POLYMARKET_TEST_SERVER_DIR"


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder of the run's server, which all xdist workers share."""
    if not hasattr(config, "workerinput"):
        folder = Path(tempfile.mkdtemp(prefix="pmb-tests-"))
        folder.chmod(0o711)  # a server started by root runs as another user
        os.environ[_SERVER_DIR] = str(folder)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the folder of the run's server."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop(_SERVER_DIR), ignore_errors=True)


@pytest.fixture
def open_folder() -> Path:
    """A folder of this test's own that a server started by root can enter, unlike `tmp_path`."""
    folder = Path(os.environ[_SERVER_DIR]) / uuid.uuid4().hex
    folder.mkdir(mode=0o755)
    return folder


@pytest_asyncio.fixture(scope="session")
async def server_url() -> AsyncIterator[str]:
    """The server that the tests' databases are made on."""
    if given := os.environ.get("DATABASE_URL"):
        yield given
        return
    folder = Path(os.environ[_SERVER_DIR]) / "server"
    settings = {"fsync": "off", "max_connections": "200"}
    async with EmbeddedPostgres(folder, settings=settings) as server:
        yield server.url


@pytest_asyncio.fixture(scope="session")
async def template(server_url: str) -> str:
    """The name of a database with the whole schema, made once for all workers."""
    return await make_template(server_url)


@pytest_asyncio.fixture
async def db_url(server_url: str, template: str) -> AsyncIterator[str]:
    """A database with the schema, for this test alone."""
    name = f"polymarket_test_{uuid.uuid4().hex}"
    await create_from(server_url, name, template)
    yield with_database(server_url, name)
    await drop(server_url, name)


@pytest_asyncio.fixture
async def empty_url(server_url: str) -> AsyncIterator[str]:
    """A database with nothing in it, for this test alone."""
    name = f"polymarket_test_{uuid.uuid4().hex}"
    await create_from(server_url, name, "template0")
    yield with_database(server_url, name)
    await drop(server_url, name)


@pytest_asyncio.fixture
async def db(db_url: str) -> AsyncIterator[Database]:
    """An open `Database` on this test's own database."""
    async with Database(DatabaseConfig(url=db_url, min_connections=1)) as database:
        yield database
