"""`polymarket-storage grant`: what it makes, what it says, and what it refuses."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from polymarket_bot.storage import Database, DatabaseConfig, GrantRefused, TradeRepository
from polymarket_bot.storage.schema.roles import Role, grant
from tests.commands import run
from tests.makers import trade
from tests.small_rows import score

from .logins import PRODUCTION, SECRET, Place, make_production, production
from .servers import Server, Template
from .support import connected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from polymarket_bot.storage.schema.roles import GrantReport

EVERYTHING = """
SELECT (SELECT array_agg(rolname::text ORDER BY 1) FROM pg_roles WHERE rolname LIKE 'storage%'),
       (SELECT array_agg((relname, relowner, relacl)::text ORDER BY 1) FROM pg_class),
       (SELECT array_agg((nspname, nspacl)::text ORDER BY 1) FROM pg_namespace),
       (SELECT array_agg((datname, datacl)::text ORDER BY 1) FROM pg_database),
       (SELECT array_agg((defaclrole, defaclnamespace, defaclacl)::text ORDER BY 1)
        FROM pg_default_acl),
       (SELECT array_agg((roleid, member)::text ORDER BY 1) FROM pg_auth_members)
"""


@pytest.fixture
async def fresh(any_version: Template) -> AsyncIterator[Server]:
    """A server of the test's own, where none of the roles is."""
    async with Server(any_version) as running:
        await make_production(running)
        yield running


@pytest.fixture
async def ungranted(fresh: Server) -> AsyncIterator[Place]:
    async with production(fresh) as made:
        yield made


async def everything(place: Place) -> list[object]:
    """What roles, owners, rights and memberships there are."""
    async with connected(place.server.socket_url(database=place.database)) as connection:
        row = await connection.fetchrow(EVERYTHING)
    assert row is not None
    return list(row)


async def refused(place: Place, message: str, by: str = PRODUCTION) -> None:
    """Expect a refusal with its remedy that changes nothing."""
    before = await everything(place)
    with pytest.raises(GrantRefused, match=message) as caught:
        await place.grant(by=by)
    assert "; " in str(caught.value)
    assert SECRET not in str(caught.value)
    assert await everything(place) == before


async def test_it_says_what_it_does_once_and_then_does_nothing(
    ungranted: Place, tmp_path: Path
) -> None:
    login = await ungranted.login("bot")
    url = ungranted.url(PRODUCTION)
    first = await run("grant", "--json", "--url", url, cwd=tmp_path)
    assert first.status == 0, first.err
    done = "\n".join(first.json["done"])
    for role in Role:
        assert f"CREATE ROLE storage_{role} NOLOGIN" in done
    assert re.search("GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE .* TO storage_writer", done)
    assert re.search("GRANT SELECT ON TABLE .* TO storage_reader", done)
    before = await everything(ungranted)
    again = await run("grant", cwd=tmp_path, DATABASE_URL=url)
    assert (again.status, again.out, again.err) == (
        0,
        "nothing to do: each has what it needs\n",
        "",
    )
    assert await everything(ungranted) == before
    member = await run("grant", "writer", login, "--url", url, cwd=tmp_path)
    assert member.out.startswith(f'GRANT storage_writer TO "{login}"')
    again = await run("grant", "writer", login, "--json", "--url", url, cwd=tmp_path)
    assert again.json == {"done": [], "excess": []}


async def test_what_it_cannot_do_ends_with_1_and_the_remedy(
    ungranted: Place, tmp_path: Path
) -> None:
    for arguments, message in (
        (("writer",), "grant writer LOGIN"),
        (
            ("writer", "nobody"),
            'there is no login nobody; make it first: CREATE ROLE "nobody" LOGIN',
        ),
        (("writer", "storage_reader"), "storage_reader is one of the roles itself; "),
    ):
        outcome = await run("grant", *arguments, "--url", ungranted.url(PRODUCTION), cwd=tmp_path)
        assert (outcome.status, message in outcome.err) == (1, True), outcome.err
        assert SECRET not in outcome.err
    groups = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'storage%'"
    assert await ungranted.server.fetchval(groups) == 0


async def test_it_works_on_the_embedded_server(open_folder: Path) -> None:
    early = await run("grant", cwd=open_folder)
    assert (early.status, "polymarket-storage migrate" in early.err) == (1, True), early.err
    assert (await run("init", cwd=open_folder)).status == 0
    assert (await run("grant", cwd=open_folder)).status == 0
    assert (await run("grant", cwd=open_folder)).out.startswith("nothing to do")
    assert (await run("migrate", "--to", "2", cwd=open_folder)).status == 0
    assert (await run("init", cwd=open_folder)).status == 0


async def test_many_at_once_in_one_database_all_succeed(ungranted: Place) -> None:
    reports = await asyncio.gather(*(ungranted.grant() for _ in range(5)))
    assert sum(bool(report.done) for report in reports) == 1


async def test_many_at_once_in_several_databases_of_a_server_all_succeed(fresh: Server) -> None:
    async with AsyncExitStack() as stack:
        places = [await stack.enter_async_context(production(fresh)) for _ in range(4)]
        login = await places[0].login("bot")

        async def work(place: Place) -> GrantReport:
            return await place.grant(Role.WRITER, login)

        await asyncio.gather(*map(work, places))
        for place in places:
            assert await place.grant(Role.WRITER, login) == await place.grant()
            async with place.open(login) as db:
                await TradeRepository(db).create(trade())


async def test_a_missing_schema_is_told(ungranted: Place) -> None:
    await ungranted.superuser("DROP TABLE ops.leases, ops.late_trades")
    await refused(ungranted, r"table late_trades, leases; .*polymarket-storage migrate")


async def test_who_may_make_no_roles_is_told_so(ungranted: Place) -> None:
    await ungranted.superuser(f"ALTER ROLE {PRODUCTION} NOCREATEROLE")
    await refused(ungranted, f'may not make roles; .*ALTER ROLE "{PRODUCTION}" CREATEROLE')


async def test_who_does_not_own_the_tables_is_told_who_does(ungranted: Place) -> None:
    stranger = await ungranted.login("stranger", "CREATEROLE")
    await ungranted.superuser(f"GRANT USAGE ON SCHEMA ops TO {stranger}")
    await refused(ungranted, f"belongs to another user.*: {PRODUCTION}; connect as", by=stranger)


async def test_who_may_not_share_the_database_is_told_what_is_lacking(ungranted: Place) -> None:
    await ungranted.superuser(f"ALTER DATABASE {ungranted.database} OWNER TO predict")
    await refused(ungranted, "cannot give this: GRANT .* ON .* TO storage_owner; connect as")


async def test_a_role_that_is_there_and_may_more_is_refused(ungranted: Place) -> None:
    await ungranted.superuser("CREATE ROLE storage_writer CREATEDB")
    await refused(ungranted, "storage_writer is there, .*; ALTER ROLE storage_writer NOSUPERUSER")


async def test_a_login_that_inherits_nothing_gets_its_rights_or_is_refused(
    ungranted: Place,
) -> None:
    login = await ungranted.login("bot", "NOINHERIT")
    version = int(await ungranted.server.fetchval("SHOW server_version_num"))
    if version < 160_000:  # a role inherits everything or nothing
        with pytest.raises(GrantRefused, match=f'; ALTER ROLE "{login}" INHERIT'):
            await ungranted.grant(Role.WRITER, login)
        await ungranted.superuser(f"ALTER ROLE {login} INHERIT")
    await ungranted.grant(Role.WRITER, login)
    async with ungranted.open(login) as db:
        await TradeRepository(db).create(trade())


async def test_tables_in_use_are_waited_for_and_then_nothing_is_done(ungranted: Place) -> None:
    before = await everything(ungranted)
    async with ungranted.open(PRODUCTION) as bot, ungranted.open(PRODUCTION) as db:
        async with bot.transaction():
            await TradeRepository(bot).create(trade())
            with pytest.raises(GrantRefused, match=r"without a pause: .*; look for"):
                await grant(db, db.config, timeout=0.5)
            assert await everything(ungranted) == before
            waiting = asyncio.create_task(ungranted.grant())
            async with ungranted.open(PRODUCTION) as other:  # nobody queues behind it for long
                for number in range(20):
                    await TradeRepository(other).create(trade(f"other {number}"))
            assert not waiting.done()
        assert (await waiting).done


async def test_who_may_more_than_the_role_is_told(ungranted: Place) -> None:
    await ungranted.grant()
    await ungranted.superuser("GRANT CREATE ON SCHEMA public TO PUBLIC")
    report = await ungranted.grant()
    assert report.done == ()
    assert [line.split(";")[0] for line in report.excess] == [
        "storage_writer may more than a writer: CREATE ON SCHEMA public",
        "storage_reader may more than a reader: CREATE ON SCHEMA public",
    ]
    await ungranted.superuser("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    assert (await ungranted.grant()).excess == ()
    (line,) = (await ungranted.grant(Role.READER, PRODUCTION)).excess
    assert "INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON TABLE" in line
    await ungranted.superuser("GRANT UPDATE (status) ON polymarket_candidates TO PUBLIC")
    (line,) = (await ungranted.grant()).excess
    assert line.startswith("storage_reader may more than a reader: UPDATE ON TABLE ")
    assert "polymarket_candidates" in line
    await ungranted.superuser("CREATE ROLE chief SUPERUSER")
    report = await ungranted.grant(Role.READER, "chief")
    assert "chief is a superuser, whom no role limits" in report.excess


async def test_a_superuser_grants_for_tables_of_its_own_and_in_another_schema(
    fresh: Server,
) -> None:
    async with production(fresh) as place:
        url = fresh.url(database=place.database)
        config = DatabaseConfig(url=url, schema_name="My Bots", min_connections=1)
        async with Database(config) as db:
            await db.execute("DROP SCHEMA ops CASCADE")
            await db.migrate()
            await grant(db, config)
            login = await place.login("bot")
            await grant(db, config, Role.WRITER, login)
        async with Database(config.model_copy(update={"url": place.url(login)})) as bot:
            await TradeRepository(bot).create(trade())
            assert await bot.fetchval("SELECT count(*) FROM polymarket_trades") == 1


async def test_numbers_of_a_sequence_that_no_column_owns_are_given_all_the_same(
    ungranted: Place,
) -> None:
    await ungranted.superuser("ALTER SEQUENCE score_history_id_seq OWNED BY NONE")
    async with ungranted.open(PRODUCTION) as db:
        await grant(db, db.config)
    async with ungranted.open(await ungranted.member(Role.WRITER)) as db:
        numbered = "INSERT INTO score_history (token_id) VALUES ($1) RETURNING id"
        assert await db.fetchval(numbered, score().token_id) == 1
    owner = (
        "SELECT rolname FROM pg_roles JOIN pg_class ON pg_roles.oid = relowner WHERE relname = $1"
    )
    async with ungranted.open(PRODUCTION) as db:
        assert await db.fetchval(owner, "score_history_id_seq") == "storage_owner"


async def test_a_name_of_any_kind_is_a_login(ungranted: Place) -> None:
    name = 'O\'Neil "the bot"; --'
    quoted = name.replace('"', '""')
    await ungranted.superuser(f'CREATE ROLE "{quoted}" LOGIN')
    assert len((await ungranted.grant(Role.READER, name)).done) > 1
    assert (await ungranted.grant(Role.READER, name)).done == ()
