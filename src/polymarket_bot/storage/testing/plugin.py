"""The plugin: one server for the run, one template on it, a clone for each test.

What is done on the server runs on a loop of its own, in a thread. So the server and the template
are bound to no loop of a test, and a test without a loop can have a database, too.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import pytest
import pytest_asyncio
from pydantic import ValidationError

from polymarket_bot.storage.config import DatabaseConfig, with_database
from polymarket_bot.storage.database import Database
from polymarket_bot.storage.embedded import EmbeddedPostgres
from polymarket_bot.storage.errors import EmbeddedServerError, QueryError, StorageError
from polymarket_bot.storage.testing.databases import (
    create_from,
    drop,
    make_template,
    reached,
)

_T = TypeVar("_T")
_Scope = Literal["function", "class", "module", "package", "session"]

_OWN = pytest.StashKey[Path]()
_GIVEN = "polymarket_bot_storage_folder"
_NOT_PERMITTED = "42501"  # PostgreSQL's code
_MEMORY, _ENOUGH = Path("/dev/shm"), 4 * 2**30  # noqa: S108 - in a folder of its own
_QUICK = {"fsync": "off", "max_connections": "200"}


class _Worker(Protocol):
    """An xdist worker as the controller sees it."""

    config: pytest.Config
    workerinput: dict[str, Any]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: _Worker) -> None:
    """Tell an xdist worker where the run's server is."""
    node.workerinput[_GIVEN] = str(_folder(node.config))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove what the run's server left."""
    if (folder := config.stash.get(_OWN, None)) is None:
        return
    pgdata = _data_dir(folder) / "pgdata"
    if pgdata.is_symlink():  # root's data are elsewhere where the server cannot enter the folder
        shutil.rmtree(pgdata.resolve().parent, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of the server that the tests' databases are made on.

    It is that of DATABASE_URL, whose user must be allowed to create databases, or else an
    embedded server that lives as long as the run and is shared by all xdist workers.
    """
    if given := os.environ.get("DATABASE_URL"):
        yield _done(reached(given))
        return
    server = EmbeddedPostgres(_data_dir(_folder(request.config)), settings=_QUICK)
    _done(server.start())
    yield server.url
    _done(server.stop())


@pytest.fixture(scope="session")
def _polymarket_template(server_url: str) -> str:
    """The name of the database that `db_url` is cloned from."""
    return _done(make_template(server_url))


@pytest.fixture
def db_url(server_url: str, _polymarket_template: str) -> Iterator[str]:
    """The URL of a database with all tables and no rows, for this test alone.

    For what opens a `Database` itself. Whatever is still connected is cut off afterwards.
    """
    with _database(server_url, _polymarket_template) as url:
        yield url


@pytest.fixture
def empty_url(server_url: str) -> Iterator[str]:
    """The URL of a database with nothing in it, for this test alone."""
    with _database(server_url, "template0") as url:
        yield url


@pytest.fixture
def db(request: pytest.FixtureRequest) -> Database:
    """An open `Database` on this test's own database (`db_url`), on the loop of the test.

    It has all tables and no rows, and is closed and dropped afterwards. Settings other than the
    URL are read from the environment as everywhere.
    """
    opened = request.getfixturevalue(f"_polymarket_db_{_loop_scope(request)}")
    assert isinstance(opened, Database)  # noqa: S101 - for the type checker
    return opened


def _opened_on(loop_scope: _Scope) -> object:
    """Return the fixture that opens a test's database on the loop of a scope."""

    @pytest_asyncio.fixture(loop_scope=loop_scope, name=f"_polymarket_db_{loop_scope}")
    async def opened(db_url: str) -> AsyncIterator[Database]:
        # A DATABASE_DIRECT_URL of the environment would lead to another database.
        config = DatabaseConfig(url=db_url, direct_url=db_url, min_connections=1)
        async with Database(config) as database:
            yield database

    return opened


_on_function = _opened_on("function")
_on_class = _opened_on("class")
_on_module = _opened_on("module")
_on_package = _opened_on("package")
_on_session = _opened_on("session")


def _loop_scope(request: pytest.FixtureRequest) -> str:
    """Return the scope of the loop that the test runs on, as pytest-asyncio finds it."""
    marker = request.node.get_closest_marker("asyncio")
    named = {} if marker is None else marker.kwargs
    default = request.config.getini("asyncio_default_test_loop_scope")
    return str(named.get("loop_scope") or named.get("scope") or default)


@contextmanager
def _database(server_url: str, template: str) -> Iterator[str]:
    name = f"polymarket_test_{uuid.uuid4().hex}"
    _done(create_from(server_url, name, template))
    yield with_database(server_url, name)
    _done(drop(server_url, name))


def _done(work: Coroutine[Any, Any, _T]) -> _T:
    """Do work on a loop of its own; what it cannot do fails with a message, without a traceback."""
    with ThreadPoolExecutor(1) as thread:
        try:
            return thread.submit(asyncio.run, work).result()
        except (StorageError, ValidationError) as error:
            reason = f"no PostgreSQL for the tests: {error}{_remedy(error)}"
    pytest.fail(reason, pytrace=False)


def _remedy(error: StorageError | ValidationError) -> str:
    """Return what can be done besides what the error says itself."""
    if isinstance(error, QueryError) and error.sqlstate == _NOT_PERMITTED:
        return "; give the user of DATABASE_URL the right CREATEDB"
    if isinstance(error, EmbeddedServerError) and "DATABASE_URL" not in str(error):
        return f"{', or' if error.remedy else ';'} set DATABASE_URL to a server"
    return ""


def _folder(config: pytest.Config) -> Path:
    """Return the folder of the run's server, the controller's where this is an xdist worker."""
    given: dict[str, Any] = getattr(config, "workerinput", {})
    if _GIVEN in given:
        return Path(given[_GIVEN])
    if _OWN not in config.stash:
        folder = Path(tempfile.mkdtemp(prefix="pmb-tests-", dir=_place()))
        folder.chmod(0o711)  # a server started by root runs as another user
        config.stash[_OWN] = folder
    return config.stash[_OWN]


def _place() -> Path | None:
    """Return where the run's server lives: in memory, where that suffices and TMPDIR is not set."""
    if "TMPDIR" in os.environ or not os.access(_MEMORY, os.W_OK | os.X_OK):
        return None
    return _MEMORY if shutil.disk_usage(_MEMORY).free >= _ENOUGH else None


def _data_dir(folder: Path) -> Path:
    return folder / "server"
