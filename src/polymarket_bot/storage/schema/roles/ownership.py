"""Which relations the package has in a database, to whom they belong, and how they change hands."""

from __future__ import annotations

from typing import NamedTuple

from polymarket_bot.storage.connections.executor import Executor
from polymarket_bot.storage.errors import GrantRefused
from polymarket_bot.storage.mapping.statements import relation
from polymarket_bot.storage.schema.drift import missing_tables
from polymarket_bot.storage.schema.roles.rights import Role, Target
from polymarket_bot.storage.tables import ALL

_NAMES = [relation(table) for table in ALL]

# Sequences are those that a table's columns own, or take their defaults from.
_RELATIONS = """
WITH tables AS (SELECT name, to_regclass(name) AS oid FROM unnest($1::text[]) AS name)
SELECT tables.name AS given, CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
       c.oid, format('%I.%I', nspname, relname) AS name, n.oid AS schema,
       quote_ident(nspname) AS schema_name, rolname::text AS owner, rolsuper AS by_superuser,
       pg_has_role(relowner, 'USAGE') AS mine
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace JOIN pg_roles o ON o.oid = relowner
LEFT JOIN tables ON tables.oid = c.oid
WHERE relkind IN ('r', 'p') AND tables.oid IS NOT NULL
   OR relkind = 'S' AND (
    c.oid IN (SELECT refobjid FROM pg_depend JOIN pg_attrdef a ON a.oid = objid
              WHERE classid = 'pg_attrdef'::regclass AND refclassid = 'pg_class'::regclass
              AND adrelid IN (SELECT oid FROM tables))
    OR c.oid IN (SELECT objid FROM pg_depend
                 WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass
                 AND deptype IN ('a', 'i') AND refobjid IN (SELECT oid FROM tables)))
ORDER BY relkind = 'S', 4
"""
_BELONG = """
SELECT bool_and(rolname = 'storage_owner' AND pg_has_role(relowner, 'MEMBER'))
FROM pg_class JOIN pg_roles ON pg_roles.oid = relowner
WHERE pg_class.oid IN (SELECT to_regclass(name) FROM unnest($1::text[]) AS name)
"""
# Of all relations together that is less than deadlock_timeout, whose default is a second: where a
# writer waits for one of them and this for another that he has, it is this that gives up.
_PATIENCE = "SET LOCAL lock_timeout = '30ms'"


class Relation(NamedTuple):
    """A table of the package, or a sequence that numbers its rows.

    Attributes:
        target: the relation.
        schema: the schema that it is in.
        owner: to whom it belongs.
        by_superuser: its owner is a superuser.
        mine: the user has all rights of its owner.
    """

    target: Target
    schema: Target
    owner: str
    by_superuser: bool
    mine: bool


async def relations(db: Executor) -> list[Relation]:
    """Return all relations of the package, tables first.

    Raises:
        GrantRefused: some of the tables are not there.
    """
    rows = await db.fetch(_RELATIONS, _NAMES)
    found = {row["given"] for row in rows}
    if missing := [table.name for table in ALL if relation(table) not in found]:
        raise GrantRefused(missing_tables(missing))
    return [
        Relation(
            Target(row["kind"], row["oid"], row["name"]),
            Target("SCHEMA", row["schema"], row["schema_name"]),
            row["owner"],
            row["by_superuser"],
            row["mine"],
        )
        for row in rows
    ]


def foreign(found: list[Relation]) -> list[Relation]:
    """Return the relations that do not belong to `storage_owner` yet.

    Raises:
        GrantRefused: the user cannot give some of them away.
    """
    others = [entry for entry in found if entry.owner != Role.OWNER.group]
    if withheld := [entry for entry in others if not entry.mine]:
        owners = ", ".join(sorted({entry.owner for entry in withheld}))
        raise GrantRefused(
            f"{withheld[0].target.name} belongs to another user, as {len(withheld)} of "
            f"{len(found)} tables and sequences do: {owners}",
            remedy="connect as the owner of all, or as a superuser",
        )
    return others


async def take_over(db: Executor, found: list[Relation]) -> list[str]:
    """Make relations belong to `storage_owner`, in a transaction; return the statements.

    A sequence that a table owns goes with it.

    Raises:
        LockTimeout: somebody uses one of the tables just now.
    """
    tables = [entry.target for entry in found if entry.target.kind == "TABLE"]
    await db.execute(_PATIENCE)
    if tables:
        await db.execute(f"LOCK TABLE {', '.join(table.name for table in tables)}")
    statements = [_owned_by_role(table) for table in tables]
    for statement in statements:
        await db.execute(statement)
    for sequence in [entry.target for entry in foreign(await relations(db))]:
        statements.append(_owned_by_role(sequence))
        await db.execute(statements[-1])
    return statements


def _owned_by_role(target: Target) -> str:
    return f"ALTER {target.kind} {target.name} OWNER TO {Role.OWNER.group}"


async def act_as_owner(db: Executor) -> None:
    """Let a session act as `storage_owner` where the tables belong to it.

    What it makes then belongs to it, too, and the other roles have their rights on that.
    """
    if await db.fetchval(_BELONG, _NAMES):
        await db.execute(f"SET ROLE {Role.OWNER.group}")
