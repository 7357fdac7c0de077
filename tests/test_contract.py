"""The code keeps what bots were told: names, arguments, defaults, shapes, fields."""

from __future__ import annotations

import dataclasses
import inspect
import json
import types
import typing
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from pathlib import Path
from typing import Any, Self, TypeVar

import pytest
from pydantic import BaseModel, ValidationError

from polymarket_bot import storage
from polymarket_bot.storage import Database, DatabaseConfig
from tests.contract import (
    FLOATS,
    FROM_API,
    INGEST_REPORT,
    METHODS,
    NONE,
    OWNERS,
    REPOSITORIES,
    SETTINGS,
    Method,
    Owner,
)

CATALOG: dict[str, Any] = json.loads(
    (Path(__file__).parent / "fixtures" / "production_catalog.json").read_text(encoding="utf-8")
)
KINDS = {"text": str, "bigint": int, "integer": int, "boolean": bool}

every_class = pytest.mark.parametrize("owner", OWNERS, ids=lambda owner: owner.name)
every_repository = pytest.mark.parametrize("owner", REPOSITORIES, ids=lambda owner: owner.name)


def owner_of(method: Method) -> Any:
    return getattr(storage, method.owner)


def function_of(method: Method) -> Any:
    found = inspect.getattr_static(owner_of(method), method.name)
    return inspect.unwrap(getattr(found, "__func__", found))


def parameters_of(method: Method) -> list[inspect.Parameter]:
    bound = getattr(owner_of(method), method.name)
    found = list(inspect.signature(bound).parameters.values())
    return found if inspect.ismethod(bound) else found[1:]


def shape(hint: Any, model: str) -> str:
    """Spell an annotation as the contract spells it; a type variable is the model."""
    if isinstance(hint, TypeVar):
        return model if hint.__name__ == "M" else "Any"
    if hint is Self or hint is Any:
        return str(hint).removeprefix("typing.")
    if hint is type(None):
        return "None"
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(shape(argument, model) for argument in arguments)
    if origin is None or origin.__name__ == "Callable":
        return str((origin or hint).__name__)
    return f"{origin.__name__}[{', '.join(shape(argument, model) for argument in arguments)}]"


def holds(promised: object, default: object) -> bool:
    if promised is NONE:
        return default is inspect.Parameter.empty
    if promised is ...:
        return default is not inspect.Parameter.empty
    return promised == default and type(promised) is type(default)


@every_class
def test_every_name_is_public(owner: Owner) -> None:
    for name in filter(None, (owner.name, owner.model)):
        assert name in storage.__all__
        assert inspect.isclass(getattr(storage, name))


def test_the_contract_covers_the_production_tables() -> None:
    assert [owner.table for owner in REPOSITORIES] == list(CATALOG)
    assert len(CATALOG) == 19


@every_class
def test_methods_take_the_arguments_that_bots_give(owner: Owner) -> None:
    for method in owner.methods:
        hold_arguments(method)


def hold_arguments(method: Method) -> None:
    found = parameters_of(method)
    count = len(method.positional)
    for (name, default), parameter in zip(method.positional, found[:count], strict=True):
        assert name in ("_", parameter.name), method
        assert parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD or name == "_", method
        assert holds(default, parameter.default), (method, parameter)
    rest = found[count:]
    if method.variadic:
        assert rest.pop(0).kind is inspect.Parameter.VAR_POSITIONAL, method
    for parameter in rest:
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY, (method, parameter)
        assert parameter.default is not inspect.Parameter.empty, (method, parameter)
    further = {parameter.name: parameter.default for parameter in rest}
    for name, default in method.keyword_only:
        assert holds(default, further[name]), (method, name)


@every_class
def test_methods_are_awaited_where_bots_await_them(owner: Owner) -> None:
    for method in owner.methods:
        is_async = inspect.iscoroutinefunction(function_of(method))
        assert is_async is (method.mode == "async"), method


@every_class
def test_methods_return_what_bots_read(owner: Owner) -> None:
    for method in owner.methods:
        if method.mode != "with":
            assert returned_by(method, owner.model) == method.returns, method


def returned_by(method: Method, model: str) -> str:
    function = function_of(method)
    return shape(typing.get_type_hints(function)["return"], model)


def test_a_trade_is_built_from_a_payload_without_awaiting() -> None:
    hold_arguments(FROM_API)
    assert not inspect.iscoroutinefunction(function_of(FROM_API))
    assert returned_by(FROM_API, "") == FROM_API.returns


async def test_blocks_of_the_database_are_async_context_managers(db: Database) -> None:
    for method in METHODS:
        if method.mode == "with" and method.owner == "Database":
            arguments = ["a name"] if method.positional else []
            block = getattr(db, method.name)(*arguments)
            assert isinstance(block, AbstractAsyncContextManager)


@every_repository
def test_a_repository_is_made_of_the_database_alone(owner: Owner, db: Database) -> None:
    repository = getattr(storage, owner.name)(db)
    assert repository.table.name == owner.table
    assert repository.table.model is getattr(storage, owner.model)


@every_repository
def test_the_writes_of_whole_rows_are_missing_where_a_watermark_forbids_them(owner: Owner) -> None:
    repository = getattr(storage, owner.name)
    promised = {method.name for method in owner.methods}
    for name in ("create", "create_many", "upsert", "upsert_many"):
        assert hasattr(repository, name) is (name in promised)


def expected_default(text: str | None, *, required: bool) -> object:
    if text is None or text.startswith("nextval"):
        return NONE if required and text is None else None
    value = text.removesuffix("::text").strip("'")
    if text == "false":
        return False
    return value if "'" in text else Decimal(value)


@every_repository
def test_a_models_fields_are_the_columns_with_the_tables_defaults(owner: Owner) -> None:
    fields = getattr(storage, owner.model).model_fields
    columns = CATALOG[owner.table]["columns"]
    assert list(fields) == [name for name, *_ in columns]
    for name, _, required, text in columns:
        default = expected_default(text, required=required)
        field = fields[name]
        assert field.is_required() is (default is NONE), name
        if default is not NONE:
            assert field.default == default, name


def kind_of(name: str, sql: str) -> type:
    if sql == "real":
        return float if name in FLOATS else Decimal
    return KINDS[sql]


@every_repository
def test_a_models_numbers_are_decimals_but_for_scores_and_spans(owner: Owner) -> None:
    hints = typing.get_type_hints(getattr(storage, owner.model))
    for name, sql, required, text in CATALOG[owner.table]["columns"]:
        kinds = set(typing.get_args(hints[name])) or {hints[name]}
        optional = not required or (text or "").startswith("nextval")
        assert kinds == {kind_of(name, sql)} | ({type(None)} if optional else set()), name


@every_repository
async def test_a_model_with_nothing_but_what_it_needs_is_the_row_that_the_table_makes(
    owner: Owner, db: Database
) -> None:
    columns = CATALOG[owner.table]["columns"]
    given = {n: sample(n, sql) for n, sql, required, text in columns if required and text is None}
    places = ", ".join(f"${i}" for i in range(1, len(given) + 1))
    names = f"({', '.join(given)}) VALUES ({places})" if given else "DEFAULT VALUES"
    await db.execute(f"INSERT INTO {owner.table} {names}", *given.values())
    (stored,) = await getattr(storage, owner.name)(db).get_all()
    model = getattr(storage, owner.model)(**given)
    generated = {"id": 1} if "id" in type(model).model_fields else {}
    assert stored == model.model_copy(update=generated)
    assert [type(value) for value in values_of(stored)] == [
        type(value) for value in values_of(model.model_copy(update=generated))
    ]


def sample(name: str, sql: str) -> Any:
    if sql == "text":
        return "2025-10-09" if name == "date" else "2025-10-09T12:00:00.000000+00:00"
    return 0.5 if sql == "real" else 1_760_000_000 if sql == "bigint" else 7


def values_of(model: BaseModel) -> list[object]:
    return list(dict(model).values())


@every_repository
def test_models_can_be_changed(owner: Owner) -> None:
    model = getattr(storage, owner.model)
    assert not model.model_config.get("frozen")


def test_settings_have_the_names_and_defaults_that_bots_rely_on() -> None:
    config = DatabaseConfig(url="postgresql://bot@localhost/predict")
    fields = DatabaseConfig.model_fields
    for name, default in SETTINGS.items():
        assert not fields[name].is_required()
        assert default is ... or getattr(config, name) == default, name


def test_settings_are_frozen_and_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: Mapping[str, str] = {
        "DATABASE_URL": "postgresql://bot@localhost/predict",
        "DATABASE_MIN_CONNECTIONS": "3",
        "DATABASE_MAX_CONNECTIONS": "4",
        "DATABASE_COMMAND_TIMEOUT": "5.5",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    config = DatabaseConfig()
    assert (config.url, config.min_connections) == (given["DATABASE_URL"], 3)
    assert (config.max_connections, config.command_timeout) == (4, 5.5)
    with pytest.raises(ValidationError, match="frozen"):
        config.min_connections = 1  # type: ignore[misc]  # what is refused


def test_an_ingest_report_has_the_counts_that_bots_read() -> None:
    assert tuple(f.name for f in dataclasses.fields(storage.IngestReport)) == INGEST_REPORT
