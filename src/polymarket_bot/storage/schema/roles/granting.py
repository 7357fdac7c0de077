"""The roles are made, and given what they need."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from polymarket_bot.storage.config import DatabaseConfig
from polymarket_bot.storage.connections.executor import Executor
from polymarket_bot.storage.errors import (
    AlreadyExists,
    Conflict,
    GrantRefused,
    LockTimeout,
    NotPermitted,
    QueryError,
)
from polymarket_bot.storage.schema.maintenance import maintenance
from polymarket_bot.storage.schema.roles.ownership import Relation, foreign, relations, take_over
from polymarket_bot.storage.schema.roles.rights import (
    Role,
    Target,
    excess,
    given,
    grants,
    held,
    phrases,
    wanted,
)
from polymarket_bot.storage.sql import quoted

# Roles are the whole server's, and no lock of one database holds up who is at them in another:
# "role already exists", "tuple concurrently updated".
_MET = ("42710", "XX000")
_PAUSE = 0.1
_OPTIONS_FROM = 160_000  # PostgreSQL 16: what a membership gives is said by the membership
_WHO_MAY = (
    "connect as a superuser, or as the owner of the database and of the tables with the right "
    "CREATEROLE, who has made the roles if they are there"
)

_USER = """
SELECT rolname::text, rolsuper, rolsuper OR rolcreaterole,
       current_setting('server_version_num')::int
FROM pg_roles WHERE rolname = current_user
"""
_DATABASE = "SELECT oid, quote_ident(datname) FROM pg_database WHERE datname = current_database()"
_GROUPS = """
SELECT rolname::text AS name,
       rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls AS powerful
FROM pg_roles WHERE rolname = ANY ($1::text[])
"""
_IS_SUPERUSER = "SELECT rolsuper FROM pg_roles WHERE rolname = $1::text"
_IS_MEMBER = """
SELECT EXISTS (SELECT FROM pg_auth_members AS known
               WHERE known.roleid = roles.oid AND known.member = logins.oid)
       AND pg_has_role(logins.oid, roles.oid, 'USAGE') AND pg_has_role(logins.oid, roles.oid, $3)
FROM pg_roles AS roles, pg_roles AS logins
WHERE roles.rolname = $1::text AND logins.rolname = $2::text
"""


@dataclass(frozen=True)
class GrantReport:
    """What was done, and what was found.

    Attributes:
        done: the statements that changed something, in order; empty where all was well.
        excess: in words, what else a writer or a reader may change: as a superuser or an owner,
            from PUBLIC, or from another role.
    """

    done: tuple[str, ...]
    excess: tuple[str, ...]


class _User(NamedTuple):
    """Who does it, and on which version of the server."""

    name: str
    superuser: bool
    makes_roles: bool
    version: int


async def grant(
    db: Executor,
    config: DatabaseConfig,
    role: Role | None = None,
    login: str | None = None,
    *,
    timeout: float = 60.0,
) -> GrantReport:
    """Make the three roles where they are missing, and give each what it needs in a database.

    All or nothing, and nothing where all is well. Tables and their sequences come to belong to
    `storage_owner`, of which those to whom they belonged become members.

    Args:
        db: the database.
        config: how to reach it.
        role: with `login`, the role that it becomes a member of.
        login: the name of a login that is there.
        timeout: how long to wait for a migration, and for a moment in which nobody uses the
            tables that have to change hands, in seconds.

    Raises:
        GrantRefused: the schema or the login is not there, or the user lacks a right.
        AlreadyHeld: another process still migrates.
        ConfigurationError: as `Database.migrate`.
    """
    deadline = time.monotonic() + timeout
    async with maintenance(db, config, timeout) as direct:
        while True:
            try:
                async with direct.transaction():
                    return await _Grant(direct).run(role, login)
            except NotPermitted as error:
                raise GrantRefused(str(error.__cause__), remedy=_WHO_MAY) from error
            except QueryError as error:
                if not _has_met_another(error):
                    raise
                if time.monotonic() >= deadline:
                    raise GrantRefused(
                        f"others are at the tables or at the roles without a pause: {error}",
                        remedy="look for old transactions in pg_stat_activity, and run it again",
                    ) from error
            await asyncio.sleep(_PAUSE)


def _has_met_another(error: QueryError) -> bool:
    return isinstance(error, AlreadyExists | Conflict | LockTimeout) or error.sqlstate in _MET


class _Grant:
    """One run, in a transaction."""

    def __init__(self, db: Executor) -> None:
        self._db = db
        self._done: list[str] = []

    async def run(self, role: Role | None, login: str | None) -> GrantReport:
        """Do all that is to be done; see `grant`."""
        found = await relations(self._db)
        others = foreign(found)
        user = _User(*await self._row(_USER))
        await self._refuse_unknown(login)
        await self._make_roles(user)
        schemas = list(dict.fromkeys(entry.schema for entry in found))
        around = [Target("DATABASE", *await self._row(_DATABASE)), *schemas]
        inside = [entry.target for entry in found]
        await self._give(around)
        await self._take_over(others, user)
        await self._give([*inside, *_later(schemas)])
        if role is not None and login is not None:
            await self._admit(role, login, user)
        holders = {limited.group: limited for limited in (Role.WRITER, Role.READER)}
        if role in (Role.WRITER, Role.READER) and login is not None:
            holders[login] = role
        said = [await self._excess(*holder, [*around, *inside]) for holder in holders.items()]
        return GrantReport(tuple(self._done), tuple(line for line in said if line))

    async def _refuse_unknown(self, login: str | None) -> None:
        if login is None:
            return
        if login in [role.group for role in Role]:
            raise GrantRefused(
                f"{login} is one of the roles itself", remedy="name a login that has none of them"
            )
        if await self._db.fetchval(_IS_SUPERUSER, login) is None:
            raise GrantRefused(
                f"there is no login {login}",
                remedy=f"make it first: CREATE ROLE {quoted(login)} LOGIN",
            )

    async def _make_roles(self, user: _User) -> None:
        groups = [role.group for role in Role]
        known = {row["name"]: row["powerful"] for row in await self._db.fetch(_GROUPS, groups)}
        if powerful := [name for name, is_powerful in known.items() if is_powerful]:
            raise GrantRefused(
                f"the role {powerful[0]} is there, and may more than such a role is to",
                remedy=f"ALTER ROLE {powerful[0]} NOSUPERUSER NOCREATEROLE NOCREATEDB "
                "NOREPLICATION NOBYPASSRLS",
            )
        missing = [name for name in groups if name not in known]
        if missing and not user.makes_roles:
            raise GrantRefused(
                f"the user {user.name} may not make roles",
                remedy="connect as a superuser, or have one do: "
                f"ALTER ROLE {quoted(user.name)} CREATEROLE",
            )
        for name in missing:
            await self._do(f"CREATE ROLE {name} NOLOGIN")

    async def _take_over(self, others: list[Relation], user: _User) -> None:
        """Let `storage_owner` have what belongs to others, and these be members of it."""
        if not others:
            return
        before = {entry.owner for entry in others if not entry.by_superuser}
        for member in sorted(before if user.superuser else before | {user.name}):
            await self._admit(Role.OWNER, member, user)
        self._done += await take_over(self._db, others)

    async def _give(self, targets: Iterable[Target]) -> None:
        """Give the rights that were not given yet; one that comes from elsewhere does, too."""
        rights = list(wanted(targets))
        known = await given(self._db, rights)
        if not (lacking := [right for right in rights if right not in known]):
            return
        for statement in grants(lacking):
            await self._db.execute(statement)
        new, effective = await given(self._db, lacking), await held(self._db, lacking)
        self._done += grants(right for right in lacking if right in new)
        if short := [right for right in lacking if right not in effective]:
            raise GrantRefused(
                f"the user cannot give this: {'; '.join(grants(short))}", remedy=_WHO_MAY
            )

    async def _admit(self, role: Role, member: str, user: _User) -> None:
        """Make somebody a member of a role, who has its rights without asking for them."""
        has_options = user.version >= _OPTIONS_FROM
        asked = (_IS_MEMBER, role.group, member, "SET" if has_options else "MEMBER")
        if await self._db.fetchval(*asked):
            return
        options = " WITH INHERIT TRUE, SET TRUE" if has_options else ""
        await self._do(f"GRANT {role.group} TO {quoted(member)}{options}")
        if not await self._db.fetchval(*asked):
            raise GrantRefused(
                f"{member} does not inherit the rights of roles that it is a member of",
                remedy=f"ALTER ROLE {quoted(member)} INHERIT",
            )

    async def _excess(self, holder: str, role: Role, targets: Iterable[Target]) -> str | None:
        """Say what a holder of a role may do beyond it."""
        if await self._db.fetchval(_IS_SUPERUSER, holder):
            return f"{holder} is a superuser, whom no role limits"
        rights = list(excess(holder, role, targets))
        effective = await held(self._db, rights, partly=True)
        if not (too_much := [right for right in rights if right in effective]):
            return None
        return (
            f"{holder} may more than a {role}: {'; '.join(phrases(too_much))}; take it from "
            f"{holder}, from PUBLIC or from a role that {holder} is a member of"
        )

    async def _do(self, statement: str) -> None:
        await self._db.execute(statement)
        self._done.append(statement)

    async def _row(self, query: str) -> tuple[Any, ...]:
        row = await self._db.fetchrow(query)
        assert row is not None  # noqa: S101 - of the user, and of the database, there is one
        return tuple(row)


def _later(schemas: Iterable[Target]) -> list[Target]:
    """Return what the owner will make in schemas."""
    return [
        Target(kind, schema.oid, schema.name)
        for kind in ("TABLES", "SEQUENCES")
        for schema in schemas
    ]
