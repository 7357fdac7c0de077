"""The proxy itself, tried with the bare driver."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest

from .proxy import Action, Direction, Proxy, Stage
from .support import LOST, connected, eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .servers import Server
    from .support import Client

INSERT = "INSERT INTO entries VALUES ($1)"
COUNT = "SELECT count(*) FROM entries"


@pytest.fixture
async def table(server: Server) -> None:
    await server.fetchval("CREATE TABLE entries (number int)")


@pytest.fixture
async def client(proxy: Proxy, server: Server, table: None) -> AsyncIterator[Client]:  # noqa: ARG001
    async with connected(proxy.url_through(server.url())) as connection:
        yield connection


async def insert_in_transaction(client: Client) -> None:
    async with client.transaction():
        await client.execute(INSERT, 1)


async def no_client_is_left(server: Server) -> None:
    query = "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'client backend'"
    await eventually(lambda: server.fetchval(query))


@pytest.mark.parametrize(
    ("action", "stored", "bytes_of_reply"),
    [(Action.CUT_BEFORE, 0, 0), (Action.CUT_AFTER, 1, 0), (Action.CUT_WITHIN, 1, 9)],
)
async def test_a_cut_at_commit_leaves_what_the_server_has_got_of_it(
    proxy: Proxy, server: Server, client: Client, action: Action, stored: int, bytes_of_reply: int
) -> None:
    trigger = proxy.when("^commit", action)
    await client.execute("BEGIN")
    await client.execute(INSERT, 1)
    before = proxy.figures.bytes_to_client
    with pytest.raises(LOST):
        await client.execute("COMMIT")
    assert proxy.figures.bytes_to_client - before == bytes_of_reply
    await no_client_is_left(server)
    assert await server.fetchval(COUNT) == stored
    assert trigger.count == 1
    assert trigger.answered.is_set() == (stored == 1)


@pytest.mark.parametrize(("action", "stored"), [(Action.CUT_BEFORE, 1), (Action.CUT_AFTER, 2)])
async def test_a_prepared_statement_is_known_by_the_sql_of_its_parse(
    proxy: Proxy, server: Server, client: Client, action: Action, stored: int
) -> None:
    prepared = await client.prepare(INSERT)
    await prepared.fetch(1)
    proxy.when("insert into ENTRIES", action)
    assert await client.fetchval("SELECT 5") == 5
    with pytest.raises(LOST):
        await prepared.fetch(2)
    await no_client_is_left(server)
    assert await server.fetchval(COUNT) == stored


@pytest.mark.parametrize("action", [Action.CUT_BEFORE, Action.CUT_AFTER, Action.CUT_WITHIN])
async def test_a_cut_at_the_parse_comes_before_anything_is_executed(
    proxy: Proxy, server: Server, client: Client, action: Action
) -> None:
    trigger = proxy.when("insert", action, stage=Stage.PARSE)
    with pytest.raises(LOST):
        await client.execute(INSERT, 1)
    await no_client_is_left(server)
    assert await server.fetchval(COUNT) == 0
    assert trigger.answered.is_set() == action.awaits_reply


async def test_a_request_is_held_until_it_is_released(
    proxy: Proxy, server: Server, client: Client
) -> None:
    trigger = proxy.when("^commit", Action.HOLD)
    insert = asyncio.create_task(insert_in_transaction(client))
    await trigger.requested.wait()
    assert await server.fetchval(COUNT) == 0
    assert not insert.done()
    trigger.release()
    await insert
    assert await server.fetchval(COUNT) == 1


async def test_a_reply_is_held_until_it_is_released(
    proxy: Proxy, server: Server, client: Client
) -> None:
    trigger = proxy.when("^commit", Action.HOLD_REPLY)
    insert = asyncio.create_task(insert_in_transaction(client))
    await trigger.answered.wait()
    assert await server.fetchval(COUNT) == 1
    assert not insert.done()
    trigger.release()
    await insert
    await insert_in_transaction(client)
    assert trigger.count == 1


async def test_a_trigger_for_always_takes_every_request(
    proxy: Proxy, server: Server, client: Client
) -> None:
    trigger = proxy.when("insert", Action.CUT_AFTER, times=None)
    with pytest.raises(LOST):
        await client.execute(INSERT, 1)
    async with connected(proxy.url_through(server.url())) as other:
        with pytest.raises(LOST):
            await other.execute(INSERT, 2)
    proxy.clear()
    async with connected(proxy.url_through(server.url())) as other:
        await other.execute(INSERT, 3)
    assert trigger.count == 2
    assert await server.fetchval(COUNT) == 3


async def test_a_cut_after_copy_waits_for_the_end_of_the_data(
    proxy: Proxy, server: Server, client: Client
) -> None:
    proxy.when("^copy", Action.CUT_AFTER)
    with pytest.raises(LOST):
        await client.copy_records_to_table("entries", records=[(n,) for n in range(5000)])
    await no_client_is_left(server)
    assert await server.fetchval(COUNT) == 5000


async def test_all_connections_are_cut_at_once(proxy: Proxy, server: Server) -> None:
    url = proxy.url_through(server.url())
    async with connected(url) as one, connected(url) as other:
        sleeping = asyncio.create_task(one.fetchval("SELECT pg_sleep(600)"))
        query = "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        await eventually(lambda: server.fetchval(query))
        proxy.cut_all()
        with pytest.raises(LOST):
            await sleeping
        with pytest.raises(LOST):
            await other.fetchval("SELECT 1")
    await eventually(lambda: proxy.open_connections == 0)
    assert proxy.figures.connections == 2


async def test_no_connection_is_to_be_had_while_it_refuses(proxy: Proxy, server: Server) -> None:
    url = proxy.url_through(server.url())
    async with connected(url) as client:
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await asyncpg.connect(url)
        proxy.accept()
        proxy.reset_new = True
        with pytest.raises(LOST):
            await asyncpg.connect(url)
        proxy.reset_new = False
        assert await client.fetchval("SELECT 1") == 1
    async with connected(url) as client:
        assert await client.fetchval("SELECT 1") == 1


@pytest.mark.parametrize("directions", [(), (Direction.TO_SERVER,), (Direction.TO_CLIENT,)])
async def test_stalled_bytes_are_held_and_released(
    proxy: Proxy, server: Server, client: Client, directions: tuple[Direction, ...]
) -> None:
    proxy.stall(*directions)
    insert = asyncio.create_task(client.execute("INSERT INTO entries VALUES (1)"))
    first = directions[0] if directions else Direction.TO_SERVER
    await eventually(lambda: proxy.held(first) > 0)
    assert await server.fetchval(COUNT) == (first is Direction.TO_CLIENT)
    assert not insert.done()
    proxy.release(*directions)
    assert await insert == "INSERT 0 1"


async def test_one_byte_at_a_time_gives_the_same_results(proxy: Proxy, server: Server) -> None:
    proxy.trickle = True
    async with connected(proxy.url_through(server.url())) as client:
        rows = await client.fetch("SELECT n, repeat('x', 50) FROM generate_series(1, $1) n", 20)
        assert [tuple(row) for row in rows] == [(n, "x" * 50) for n in range(1, 21)]


async def test_a_half_open_client_gets_neither_an_answer_nor_an_end(
    proxy: Proxy, server: Server, client: Client
) -> None:
    await client.execute("BEGIN")
    await client.execute(INSERT, 1)
    proxy.half_open()
    await no_client_is_left(server)
    commit = asyncio.create_task(client.execute("COMMIT"))
    async with connected(proxy.url_through(server.url())) as other:
        assert await other.fetchval(COUNT) == 0
    assert not commit.done()
    assert not client.is_closed()
    proxy.cut_all()
    with pytest.raises(LOST):
        await commit


async def test_a_cancel_request_goes_through_and_is_counted(proxy: Proxy, client: Client) -> None:
    with pytest.raises(TimeoutError):
        await client.execute("SELECT pg_sleep(600)", timeout=0.1)
    assert await client.fetchval("SELECT 1") == 1
    assert proxy.figures.cancel_requests == 1
    assert proxy.figures.bytes_to_server > 0
    assert proxy.figures.bytes_to_client > 0


async def test_an_error_of_the_server_goes_through_as_it_is(client: Client) -> None:
    with pytest.raises(asyncpg.UndefinedTableError):
        await client.execute("SELECT * FROM nowhere")
    assert await client.fetchval("SELECT 1") == 1


async def test_a_trigger_works_in_front_of_a_unix_socket(server: Server) -> None:
    async with Proxy.in_front_of(server.socket_url()) as proxy:
        trigger = proxy.when("select 7", Action.CUT_WITHIN)
        async with connected(proxy.url_through(server.socket_url())) as client:
            with pytest.raises(LOST):
                await client.fetchval("SELECT 7")
        assert trigger.answered.is_set()


async def test_a_dead_server_ends_the_clients_connection(
    proxy: Proxy, server: Server, client: Client
) -> None:
    await server.kill()
    with pytest.raises(LOST):
        await client.fetchval("SELECT 1")
    with pytest.raises(LOST):
        await asyncpg.connect(proxy.url_through(server.url()))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("postgresql://u:p%40s@db:1/d?a=%20", "postgresql://u:p%40s@127.0.0.1:{}/d?a=%20"),
        ("postgresql://u@/d?host=/run/x&port=5432&b=c", "postgresql://u@127.0.0.1:{}/d?b=c"),
        ("postgresql://one:1,two:2/d", "postgresql://127.0.0.1:{}/d"),
    ],
)
async def test_a_url_through_the_proxy_keeps_all_but_the_place(given: str, expected: str) -> None:
    async with Proxy(("127.0.0.1", 1)) as proxy:
        assert proxy.url_through(given) == expected.format(proxy.port)
