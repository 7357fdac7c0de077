"""The password is in no text that anybody gets to see, whatever fails."""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import subprocess
import sys
import traceback
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from pydantic import ValidationError

from polymarket_bot.storage import (
    AccessRefused,
    ConfigurationError,
    ConnectionLost,
    Database,
    DatabaseConfig,
    LockTimeout,
    PoolerUndeclared,
    PoolTimeout,
    ServerUnavailable,
    StatementTimeout,
    StorageError,
    TlsRefused,
)

from .pgbouncer import PgBouncer, pgbouncer_binary
from .processes import free_port
from .proxy import Action, Proxy
from .record import tell
from .servers import PASSWORD, Server, Template
from .support import require

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

SECRET = "Xyzzy:Plugh@Frotz/Gnusto?Rezrov#Blorb[Vezza]%41Yomin&Tinsot='\"Lleps \\{0} é"  # noqa: S105
WORDS = "Xyzzy Plugh Frotz Gnusto Rezrov Blorb Vezza Yomin Tinsot Lleps".lower().split()
QUOTED = quote(SECRET, safe="")
LIMIT = 60

# URLs that a person may write by mistake, each with a part of the password in a wrong place.
MALFORMED = [
    f"postgresql://predict:{SECRET}@127.0.0.1:1/predict",
    *(f"postgresql://predict:Xyzzy{mark}Plugh@127.0.0.1:1/predict" for mark in "@:/?#[]% &\\'\""),
    f"postgresql://predict:{QUOTED}@127.0.0.1:Xyzzy/predict",
    f"postgresql://predict:{QUOTED}@127.0.0.1:99999/predict",
    f"postgresql://predict:{QUOTED}@[::1/predict",
    "postgresql://predict:Xyzzy",
    "postgresql://predict:Xyzzy/predict",
    "postgresql://predict:Xyzzy%@127.0.0.1:1/predict",
    "postgresql://predict:Xyzzy%zz@127.0.0.1:1/predict",
    "postgresql://127.0.0.1:1/predict?user=predict&password=Xyzzy&sslmode=nonsense",
    "postgresql://127.0.0.1:1/predict?password=Xyzzy@Plugh&port=nonsense",
    "postgresql://127.0.0.1:1/predict?user=predict&password=Xyzzy&target_session_attrs=nonsense",
    f"postgresql:/predict:{QUOTED}@127.0.0.1:1/predict",
    f"mysql://predict:{QUOTED}@127.0.0.1:1/predict",
    f"predict:{QUOTED}@127.0.0.1:1/predict",
    f" postgresql://predict:{QUOTED}@127.0.0.1:1/predict",
    SECRET,
]


def no_secret(*texts: object) -> None:
    for text in texts:
        shown = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
        assert not [word for word in WORDS if word in shown.lower()], shown


def check(error: BaseException) -> None:
    """Look at all that can be shown of an error and of those that led to it."""
    no_secret(*traceback.format_exception(error))
    seen: set[BaseException] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        if (one := todo.pop()) is None or one in seen:
            continue
        seen.add(one)
        todo += (one.__cause__, one.__context__)
        no_secret(one, repr(one), one.args, getattr(one, "__notes__", ""), vars(one))
        if isinstance(one, ValidationError):
            no_secret(one.errors(), one.json(), one.title)
        if isinstance(one, StorageError):
            pickled = pickle.dumps(one)
            no_secret(pickled, repr(pickle.loads(pickled)))  # noqa: S301 - our own


@pytest.fixture(autouse=True)
def watched(
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    recwarn: pytest.WarningsRecorder,
) -> Iterator[None]:
    """Look at the end at all that was logged, printed and warned of."""
    caplog.set_level(logging.DEBUG)
    yield
    plain = logging.Formatter("%(message)s")
    for record in caplog.records:
        no_secret(plain.format(record), vars(record))
    no_secret(*capfd.readouterr(), *(warning.message for warning in recwarn))


@pytest.fixture
async def guarded(bundled: Template) -> AsyncIterator[Server]:
    """Give a server that asks for the password."""
    async with Server(bundled, rules=PASSWORD, password=SECRET) as server:
        yield server


def config_for(url: str, **changes: Any) -> DatabaseConfig:
    limits = {"connect_timeout": 0.5, "acquire_timeout": 1, "lock_timeout": 0.1}
    config = DatabaseConfig(url=url, min_connections=1, **{**limits, **changes})
    no_secret(repr(config), str(config), f"{config!r:>9}", repr(Database(config)))
    return config


async def fails(kind: type[BaseException], attempt: Callable[[], Awaitable[object]]) -> None:
    with pytest.raises(kind) as caught:
        await asyncio.wait_for(attempt(), LIMIT)
    check(caught.value)


async def opening_fails(kind: type[BaseException], config: DatabaseConfig) -> None:
    db = Database(config)
    await fails(kind, db.initialize)
    no_secret(await db.health(), await db.health_check())
    tell("refused", times=1)


async def test_no_refused_connection_shows_the_password(guarded: Server) -> None:
    good = guarded.url(password=SECRET)
    wrong = guarded.url(password=f"{SECRET} not")
    down = f"postgresql://predict:{QUOTED}@127.0.0.1:{free_port()}/predict"
    await opening_fails(AccessRefused, config_for(wrong))
    await opening_fails(AccessRefused, config_for(guarded.url(password=SECRET, user="nobody")))
    await opening_fails(AccessRefused, config_for(guarded.url(password=SECRET, database="none")))
    await opening_fails(ServerUnavailable, config_for(down))
    unknown = guarded.url(password=SECRET, host="nowhere.invalid")
    await opening_fails(ServerUnavailable, config_for(unknown))
    await opening_fails(TlsRefused, config_for(good, tls="require"))
    await opening_fails(ServerUnavailable, config_for(good, connect_timeout=0.000001))
    parts = DatabaseConfig(
        host="127.0.0.1", port=guarded.port, user="predict", password=WORDS[0].title()
    )
    no_secret(repr(parts))
    await opening_fails(AccessRefused, parts)
    async with Database(config_for(good)) as db:
        assert await db.fetchval("SELECT 1") == 1


async def test_no_lost_connection_and_no_limit_shows_the_password(guarded: Server) -> None:
    async with Proxy.in_front_of(guarded.url()) as proxy:
        url = proxy.url_through(guarded.url(password=SECRET))
        config = config_for(url, max_connections=2, command_timeout=0.5)
        async with Database(config) as db, Database(config) as other:

            async def write() -> None:
                async with db.transaction():
                    await db.execute("CREATE TABLE kept ()")

            proxy.when("^commit", Action.CUT_BEFORE)
            await fails(ConnectionLost, write)
            proxy.when("SELECT 5", Action.CUT_AFTER)
            await fails(ConnectionLost, lambda: db.execute("INSERT INTO kept SELECT 5"))
            await fails(StatementTimeout, lambda: db.fetchval("SELECT pg_sleep(60)"))
            async with db.transaction():
                await db.execute("CREATE TABLE locked ()")
                await fails(LockTimeout, lambda: other.execute("CREATE TABLE locked ()"))
                with db.detached():
                    async with db.connection():
                        await fails(PoolTimeout, lambda: db.fetchval("SELECT 1"))
            proxy.refuse()
            proxy.cut_all()
            await fails(StorageError, lambda: db.fetchval("SELECT 1"))
            await fails(ServerUnavailable, lambda: db.fetchval("SELECT 1"))
            no_secret(await db.health(), db.stats())
            proxy.accept()
            assert await db.fetchval("SELECT 1") == 1


async def test_no_failure_of_listen_and_singleton_shows_the_password(guarded: Server) -> None:
    down = f"postgresql://predict:{QUOTED}@127.0.0.1:{free_port()}/predict"
    good = guarded.url(password=SECRET)
    for direct, kind in ((None, ConfigurationError), (down, ServerUnavailable)):
        config = config_for(good, pooler="transaction", direct_url=direct)
        async with Database(config) as db:
            await fails(kind, lambda: anext(db.listen("channel")))
            await fails(kind, lambda: db.singleton("name").__aenter__())
    async with Database(config_for(good)) as db, db.singleton("name"):
        await fails(StorageError, lambda: db.singleton("name").__aenter__())


async def test_an_undeclared_pooler_does_not_show_the_password(server: Server) -> None:
    binary = require(pgbouncer_binary(), "pgbouncer")
    ignored = "statement_timeout,lock_timeout,idle_in_transaction_session_timeout"
    for settings in ({}, {"ignore_startup_parameters": ignored}):
        async with PgBouncer(binary, server, settings=settings) as pool:
            url = pool.url().replace("predict@", f"predict:{QUOTED}@")
            await opening_fails(PoolerUndeclared, config_for(url))
            async with Database(config_for(url, pooler="transaction")) as db:
                assert await db.fetchval("SELECT 1") == 1


@pytest.mark.parametrize("url", MALFORMED, ids=range(len(MALFORMED)))
async def test_no_malformed_url_shows_the_password(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: list[dict[str, Any]] = [{"url": url}, {"url": "postgresql://h", "direct_url": url}]
    for given in settings:
        try:
            config = config_for(**given)
        except ValidationError as error:
            check(error)
        else:  # the driver is the one to refuse it
            await opening_fails(StorageError, config_for(url))
            no_secret(repr(config))
    monkeypatch.setenv("DATABASE_URL", url)
    try:
        no_secret(repr(DatabaseConfig()))
    except ValidationError as error:
        check(error)


@pytest.mark.parametrize(
    "settings",
    [
        {"min_connections": 5, "max_connections": 2},
        {"pooler": "Xyzzy"},
        {"connect_timeout": SECRET},
        {"passwort": SECRET},
        {"password": 5},
        {"password": [SECRET]},
        {"port": SECRET},
        {"tls": SECRET},
        {"pooler": "transaction", "schema_name": "bots"},
        {"url": ["postgresql://", SECRET]},
        {"url": SECRET.encode()},
        {"url": None, "host": None},
    ],
    ids=list,
)
def test_no_bad_setting_shows_the_password(settings: dict[str, Any]) -> None:
    good = {"url": f"postgresql://predict:{QUOTED}@127.0.0.1/predict", "password": SECRET}
    with pytest.raises(ValidationError) as caught:
        DatabaseConfig(**{**good, **settings})
    check(caught.value)


async def command(folder: Path, *arguments: str, **environment: str) -> bytes:
    """Run a command of the package in a folder; return all that it has written."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "polymarket_bot.storage.cli", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env={**os.environ, "DATABASE_CONNECT_TIMEOUT": "0.5", "COLUMNS": "1000", **environment},
    )
    output, _ = await process.communicate()
    assert output
    return output


async def test_no_command_shows_the_password(guarded: Server, tmp_path: Path) -> None:
    trades = tmp_path / "trades.jsonl"
    trades.write_text('{"not": "a trade"}\n')
    commands = (("init",), ("status",), ("ingest", str(trades)))
    urls = [
        f"postgresql://predict:{QUOTED}@127.0.0.1:{free_port()}/predict",
        guarded.url(password=f"{SECRET} not"),
        f"postgresql://predict:{SECRET}@127.0.0.1/predict",
        "postgresql://predict:Xyzzy%zz@127.0.0.1:1/predict?sslmode=nonsense",
        guarded.url(password=SECRET),
    ]
    turn = asyncio.Semaphore(4)

    async def run(*arguments: str, **environment: str) -> None:
        async with turn:
            no_secret(await command(tmp_path, *arguments, **environment))

    async with asyncio.TaskGroup() as runs:
        for number, url in enumerate(urls):
            for place, words in enumerate(commands):
                rejects = ("--rejects", str(tmp_path / f"{number}")) if place == 2 else ()
                json = ("--json",) if (number + place) % 2 else ()
                runs.create_task(run(*words, *json, "--url", url))
                runs.create_task(run(*words, *rejects, DATABASE_URL=url))
        runs.create_task(run("demo", "--url", urls[0]))
    files = await asyncio.to_thread(lambda: [path.read_text() for path in tmp_path.iterdir()])
    no_secret(*files)
    no_secret(created := await command(tmp_path, "init", "--json", DATABASE_URL=urls[-1]))
    assert b'"tables"' in created
