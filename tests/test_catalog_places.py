"""The catalog is looked up where the tables are, whoever looks, a bot's own tables too."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from polymarket_bot.storage import Column, Database, DatabaseConfig, StorageModel, Table
from polymarket_bot.storage.tables import PRODUCTION as TABLES
from polymarket_bot.storage.types import Boolean, Identifier, Integer, Text
from tests.test_catalog import PRODUCTION, the_one


async def test_tables_are_looked_up_in_the_configured_schema(db_url: str, db: Database) -> None:
    await db.execute('CREATE SCHEMA "Bot\'s own"')
    async with Database(DatabaseConfig(url=db_url, schema_name="Bot's own")) as other:
        assert {entry.name for entry in (await other.check_schema()).missing} >= set(PRODUCTION)
        await other.migrate()
        assert list(await other.check_schema()) == []
        await other.execute("CREATE TABLE notes (id int); ALTER TABLE positions DROP COLUMN side")
        found = [entry.name for entry in await other.check_schema()]
        assert sorted(found) == ["notes", "positions.side"]
    assert list(await db.check_schema()) == []


async def test_a_role_without_any_right_on_the_tables_may_look(db: Database) -> None:
    await db.execute("DROP INDEX idx_positions_token")
    async with db.transaction(readonly=True):
        await db.execute("SET LOCAL ROLE pg_signal_backend")
        assert (await the_one(db)).name == "idx_positions_token on positions (token_id)"


class Note(StorageModel):
    """A row of a bot's own table."""

    id: Integer | None = None
    token_id: Identifier
    text: Text | None = "it's"
    loud: Boolean = False
    size: Annotated[Decimal, Column("numeric")] = Decimal("1.5")


NOTE = Table("notes", Note, key=("id",), generated=("id",), unique=(("token_id",),), schema="mine")


async def test_a_bots_own_table_is_held_against_its_model(db: Database) -> None:
    assert [entry.name for entry in (await db.check_schema([NOTE])).missing] == ["mine.notes"]
    await db.execute(
        "CREATE SCHEMA mine; CREATE TABLE mine.notes (id int PRIMARY KEY GENERATED ALWAYS AS"
        " IDENTITY, token_id text NOT NULL UNIQUE, text text DEFAULT 'it''s',"
        " loud boolean NOT NULL DEFAULT false, size numeric(10, 2) NOT NULL DEFAULT 1.5)"
    )
    assert [entry for entry in await db.check_schema([NOTE]) if not entry.harmless] == []
    assert list(await db.check_schema((*TABLES, NOTE))) == []
    await db.execute("ALTER TABLE mine.notes ALTER COLUMN size DROP NOT NULL")
    (told,) = await db.check_schema((*TABLES, NOTE))
    assert told.name == "mine.notes.size"
