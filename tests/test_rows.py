"""Models built from rows, which are not validated again, are those that validation builds."""

from __future__ import annotations

import copy
import pickle
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError

from polymarket_bot.storage import Column, Database, Table, types
from polymarket_bot.storage.tables import PRODUCTION
from tests.every_table import WITH_EVERY_TABLE, for_each, key_of, repository
from tests.profiles import EXAMPLES, SHARED_DATABASE, Session
from tests.strategies import kinds, models, optional, row


async def read_back(db: Database, table: Table[Any], model: Any) -> Any:
    """Store a model as the only row of its table, and read it."""
    await db.execute(f"DELETE FROM {table.name}")
    held = repository(db, table)
    return await held.get_by_id(key_of(table, await held.create(model)))


@WITH_EVERY_TABLE
@SHARED_DATABASE
@given(data=st.data())
def test_a_model_from_a_row_is_in_every_way_that_which_validation_builds(
    on_database: Session, table: Table[Any], data: st.DataObject
) -> None:
    written = data.draw(models(table))
    found = on_database.run(read_back(on_database.db, table, written))
    ids = {name: getattr(found, name) for name in table.generated}
    validated = table.model.model_validate(written.model_dump() | ids)

    assert found == validated
    assert type(found) is type(validated)
    assert {name: type(value) for name, value in found} == {
        name: type(value) for name, value in validated
    }
    assert list(found.model_dump()) == list(table.columns)
    assert found.model_dump() == validated.model_dump()
    assert found.model_fields_set == validated.model_fields_set == set(table.columns)
    assert table.model.model_validate_json(found.model_dump_json()) == validated


@for_each(PRODUCTION)
async def test_a_model_from_a_row_is_copied_pickled_and_shown_like_any_other(
    db: Database, table: Table[Any]
) -> None:
    found = await read_back(db, table, row(table, 1))
    validated = table.model.model_validate(found.model_dump())
    assert repr(found) == repr(validated)
    assert str(found) == str(validated)
    assert found.model_dump_json() == validated.model_dump_json()
    assert found.model_dump(mode="json") == validated.model_dump(mode="json")
    assert found.model_dump(exclude_unset=True) == validated.model_dump(exclude_unset=True)
    assert found.model_dump(exclude_defaults=True) == validated.model_dump(exclude_defaults=True)
    for twin in (
        found.model_copy(),
        found.model_copy(deep=True),
        copy.copy(found),
        copy.deepcopy(found),
        pickle.loads(pickle.dumps(found)),  # noqa: S301 - our own bytes
    ):
        assert twin == found == validated
        assert twin.model_fields_set == validated.model_fields_set
        assert repr(twin) == repr(validated)
    assert (found.model_extra, validated.model_extra) == (None, None)


@for_each(PRODUCTION)
async def test_a_model_from_a_row_shares_nothing_with_its_copies(
    db: Database, table: Table[Any]
) -> None:
    found = await read_back(db, table, row(table, 1))
    twins = (found.model_copy(), copy.copy(found), copy.deepcopy(found))
    before = found.model_dump()
    for twin in twins:
        for name, kind in kinds(table).items():
            setattr(twin, name, kind.numbered(2))
        assert found.model_dump() == before
        assert twin != found


@for_each(PRODUCTION)
async def test_assigning_to_a_model_from_a_row_is_validated(
    db: Database, table: Table[Any]
) -> None:
    found = await read_back(db, table, row(table, 1))
    before = found.model_dump()
    for name, kind in kinds(table).items():
        for wrong in kind.wrong:
            with pytest.raises(ValidationError) as refused:
                setattr(found, name, wrong)
            assert [error["loc"] for error in refused.value.errors()] == [(name,)]
        if name not in optional(table):
            with pytest.raises(ValidationError):
                setattr(found, name, None)
    assert found.model_dump() == before
    with pytest.raises(ValidationError):
        found.no_such_column = 1

    changed = row(table, 2).model_dump() | dict.fromkeys(table.generated, 2)
    for name, value in changed.items():
        setattr(found, name, value)
    assert found.model_dump() == changed
    assert found == table.model.model_validate(changed)


@WITH_EVERY_TABLE
@EXAMPLES
@given(data=st.data())
def test_a_model_is_read_back_from_its_own_json(table: Table[Any], data: st.DataObject) -> None:
    written = data.draw(models(table))
    assert table.model.model_validate_json(written.model_dump_json()) == written
    assert table.model.model_validate(written.model_dump()) == written
    assert table.model.model_validate(written.model_dump(mode="json")) == written


@for_each(PRODUCTION)
async def test_a_model_is_described_by_its_tables_columns(db: Database, table: Table[Any]) -> None:
    catalog = await db.fetch(
        "SELECT attname, attnotnull, atthasdef FROM pg_attribute"
        " WHERE attrelid = $1::text::regclass AND attnum > 0 ORDER BY attnum",
        table.name,
    )
    names = [column["attname"] for column in catalog]
    needed = [c["attname"] for c in catalog if c["attnotnull"] and not c["atthasdef"]]
    for mode in ("validation", "serialization"):
        schema = table.model.model_json_schema(mode=mode)
        assert list(schema["properties"]) == names
        assert schema["additionalProperties"] is False
    assert table.model.model_json_schema().get("required", []) == needed
    assert optional(table) == {
        c["attname"] for c in catalog if not c["attnotnull"] or c["attname"] in table.generated
    }
    found = await read_back(db, table, row(table, 1))
    assert found.model_json_schema() == table.model.model_json_schema()


@for_each(PRODUCTION)
async def test_defaults_are_those_of_the_table(db: Database, table: Table[Any]) -> None:
    full = row(table, 1).model_dump()
    needed = {n: full[n] for n, f in table.model.model_fields.items() if f.is_required()}
    if not needed:  # every column has a default
        needed = {"token_id": "t"}
    names = ", ".join(needed)
    places = ", ".join(
        f"${number}::text::{table.columns[name].sql}" for number, name in enumerate(needed, 1)
    )
    await db.execute(
        f"INSERT INTO {table.name} ({names}) VALUES ({places})", *map(str, needed.values())
    )
    (found,) = await repository(db, table).get_all()
    ids = {name: getattr(found, name) for name in table.generated}
    assert found == table.model(**needed, **ids)


class Note(BaseModel):
    """A table of a bot's own, with what Pydantic offers besides fields."""

    model_config = ConfigDict(extra="allow")

    id: Annotated[int, Column("integer")] | None = None
    text: types.Text
    _reads: int = PrivateAttr(default=7)
    _length: int = PrivateAttr()

    def model_post_init(self, context: object, /) -> None:
        super().model_post_init(context)
        self._length = len(self.text)


NOTES = Table("notes", Note, key=("id",), generated=("id",))


async def test_a_bots_own_model_keeps_its_private_attributes_and_further_values(
    db: Database,
) -> None:
    await db.execute("CREATE TABLE notes (id serial PRIMARY KEY, text text)")
    found: Note = await repository(db, NOTES).create(Note(text="seven"))
    validated = Note(id=1, text="seven")
    assert found == validated == found.model_copy()
    assert (found._reads, found._length) == (7, 5)
    assert found.model_extra == validated.model_extra == {}
    found._reads = 8
    found.remark = "new"  # type: ignore[attr-defined]
    assert found.model_dump() == {"id": 1, "text": "seven", "remark": "new"}
    assert pickle.loads(pickle.dumps(found)) == found  # noqa: S301 - our own bytes
