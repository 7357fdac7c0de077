"""`Table`: a model bound to its table and keys. What the base knows of a table stands here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Annotated, Any, Generic, TypeVar

import asyncpg
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from polymarket_bot.storage.clock import is_canonical
from polymarket_bot.storage.errors import InvalidInput
from polymarket_bot.storage.mapping.lifecycle import Lifecycle
from polymarket_bot.storage.mapping.row_types import Getter, Row, RowTypes, getter
from polymarket_bot.storage.types import Column, as_real, column_in

M = TypeVar("M", bound=BaseModel)

_set = object.__setattr__


@dataclass(frozen=True, eq=False)
class Table(Generic[M]):
    """A model bound to its table.

    Args:
        name: the table's name; looked up through `search_path` unless `schema` is given.
        model: its Pydantic model; every field carries a `Column` (see `types`).
        key: the columns of the primary key, in the order of the key.
        unique: the further unique constraints, each the tuple of its columns.
        generated: columns that the database fills in (SERIAL): an insert does not give them,
            whatever the model holds.
        schema: the PostgreSQL schema, for tables outside `search_path`.
        lifecycle: what a row's status allows.
        newest: a column with a time as text: an upsert replaces a row only by one that is
            later in it, and then whatever its status.

    Raises:
        TypeError: a field without a `Column`, a REAL without `from_text`, a name that is no field.
    """

    name: str
    model: type[M]
    key: tuple[str, ...]
    unique: tuple[tuple[str, ...], ...] = ()
    generated: tuple[str, ...] = ()
    schema: str | None = None
    lifecycle: Lifecycle | None = None
    newest: str | None = None

    def __post_init__(self) -> None:
        for name, column in self.columns.items():
            if column.sql == "real" and column.from_text is None:
                raise TypeError(
                    f"{self.model.__name__}.{name} is REAL and needs a from_text: use Price, Size "
                    "or Real of polymarket_bot.storage.types"
                )
        for name in self._named():
            if name not in self.columns:
                raise TypeError(f"{self.model.__name__} has no field {name!r}")

    def _named(self) -> Iterator[str]:
        yield from (*self.key, *chain.from_iterable(self.unique), *self.generated)
        if self.newest is not None:
            yield self.newest
        if self.lifecycle is not None:
            yield from (self.lifecycle.column, *self.lifecycle.grows)

    @cached_property
    def columns(self) -> Mapping[str, Column]:
        """The columns by name, in the table's order."""
        return {name: _column(self.model, name) for name in self.model.model_fields}

    @cached_property
    def written(self) -> tuple[str, ...]:
        """The columns that an insert gives."""
        return tuple(name for name in self.columns if name not in self.generated)

    @cached_property
    def identity(self) -> tuple[str, ...]:
        """The columns by which an insert knows a row that is there; none where ids are new."""
        if not set(self.key) & set(self.generated):
            return self.key
        return self.unique[0] if self.unique else ()

    @cached_property
    def moments(self) -> tuple[str, ...]:
        """The written columns that hold Unix seconds, which may not lie in the future."""
        return tuple(name for name in self.written if self.columns[name].unix_seconds)

    @cached_property
    def _in_columns(self) -> Getter:
        return getter(*self.columns)

    @cached_property
    def _times(self) -> tuple[tuple[str, int], ...]:
        return tuple(
            (name, place)
            for place, (name, column) in enumerate(self.columns.items())
            if column.time
        )

    @cached_property
    def _types(self) -> RowTypes:
        return RowTypes(self.columns, self._adapters)

    @cached_property
    def _written_of(self) -> Getter:
        return getter(*(n for n, name in enumerate(self.columns) if name in self.written))

    @cached_property
    def _converters(self) -> tuple[tuple[str, Any], ...]:
        return tuple((n, c.from_text) for n, c in self.columns.items() if c.from_text)

    @cached_property
    def _takes_extra(self) -> bool:
        return self.model.model_config.get("extra") == "allow"

    @cached_property
    def _has_post_init(self) -> bool:
        """The model is a bot's own with private attributes, or with a `model_post_init`."""
        return bool(self.model.__pydantic_post_init__)

    def from_record(self, record: asyncpg.Record) -> M:
        """Build the model of one row that was selected with `statements.select_list`.

        The row was validated on its way in, so it is not validated again; what older writers
        stored can be read, too. The result is in every way the model that validation builds.
        """
        values = dict(record.items())
        for name, from_text in self._converters:
            if (text := values[name]) is not None:
                values[name] = from_text(text)
        model = self.model.__new__(self.model)
        _set(model, "__dict__", values)
        _set(model, "__pydantic_fields_set__", set(values))
        _set(model, "__pydantic_extra__", {} if self._takes_extra else None)
        _set(model, "__pydantic_private__", None)
        if self._has_post_init:
            model.model_post_init(None)
        return model

    def build(self, **values: object) -> M:
        """Build a validated model.

        Raises:
            InvalidInput: a value is refused; names the field.
        """
        try:
            return self.model(**values)
        except ValidationError as error:
            raise InvalidInput.of(error) from error

    @cached_property
    def _adapters(self) -> Mapping[str, TypeAdapter[Any]]:
        return {
            name: TypeAdapter(_annotation(field)) for name, field in self.model.model_fields.items()
        }

    def check(
        self, column: str, value: object, *, optional: bool = False, name: str | None = None
    ) -> Any:  # noqa: ANN401 - a column's value
        """Return `value` as the column's type, by the rules of the model's field.

        Args:
            column: the column.
            value: the value; None only with `optional`, even where the column takes NULL.
            optional: let None through.
            name: what an error calls the value, where that is not the column's name.

        Raises:
            InvalidInput: it is refused; names the column.
        """
        if value is None:
            if optional:
                return None
            raise InvalidInput(
                name or column, value, f"expected a {self.columns[column].sql} value"
            )
        return self._validated(column, value, name or column)

    def _validated(self, column: str, value: object, name: str) -> Any:  # noqa: ANN401 - a column's value
        try:
            return self._adapters[column].validate_python(value)
        except ValidationError as error:
            raise InvalidInput.of(error, name) from error

    def sortable(self, column: str, value: Any) -> Any:  # noqa: ANN401 - a column's value
        """Return a key's value as it is told from others: a REAL as the number that is kept.

        Raises:
            InvalidInput: it is none that a REAL can hold.
        """
        if self.columns[column].sql != "real":
            return value
        try:
            return as_real(value)
        except (OverflowError, ValueError):
            return as_real(self.check(column, value))

    def each(self, models: Iterable[M]) -> Iterator[M]:
        """Iterate over models.

        Raises:
            InvalidInput: `models` cannot be iterated over.
        """
        try:
            return iter(models)
        except TypeError as error:
            expected = f"expected an iterable of {self.model.__name__}"
            raise InvalidInput(self.name, models, expected) from error

    def blame(self, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
        """Find, in rows that the server refused, a value that its column does not take.

        Raises:
            InvalidInput: there is one; names the column.
        """
        for row in rows:
            for name, value in zip(columns, row, strict=True):
                self._validated(name, value, name)

    def values_of(self, model: M) -> Row:
        """Return the values that an insert gives, in the order of `written`.

        A time as text that an older writer spelled otherwise becomes canonical. The model is not
        validated again, but a value of another type than validation leaves is.

        Raises:
            InvalidInput: `model` is not of this table, or has been given a value that its column
                does not take.
        """
        values = self.all_values_of(model)
        return self._written_of(values) if self.generated else values

    def numbered_values_of(self, model: M) -> Row:
        """Return the values of all columns, in their order, as `values_of` does.

        Raises:
            InvalidInput: as `values_of`; or the model has no key yet.
        """
        values = self.all_values_of(model)
        for name, value in zip(self.columns, values, strict=True):
            if value is None and name in self.key:
                raise InvalidInput(name, None, f"expected the {name} of a stored row")
        return values

    def is_numbered(self, model: M) -> bool:
        """Tell whether `model` has an id that the database gave.

        Raises:
            InvalidInput: `model` is not of this table.
        """
        self._refuse_other(model)
        return any(vars(model).get(name) is not None for name in self.key if name in self.generated)

    def all_values_of(self, model: M) -> Row:
        """Return the values of all columns, in their order, as they are stored.

        Raises:
            InvalidInput: as `values_of`.
        """
        self._refuse_other(model)
        try:
            values = self._in_columns(model.__dict__)
        except KeyError as error:  # by `model_construct`
            expected = f"expected a {self.model.__name__} with all of its fields"
            raise InvalidInput(str(error.args[0]), None, expected) from error
        if wrong := self._types.wrong(values):
            values = self._checked(values, wrong)
        for name, place in self._times:
            if values[place] is not None and not is_canonical(values[place]):
                values = self._checked(values, [(place, name)])
        return values

    def _checked(self, values: Row, places: Iterable[tuple[int, str]]) -> Row:
        checked = list(values)
        for place, name in places:
            checked[place] = self.check(name, values[place])
        return tuple(checked)

    def _refuse_other(self, model: object) -> None:
        if not isinstance(model, self.model):
            raise InvalidInput(self.name, model, f"expected a {self.model.__name__}")


def _annotation(field: FieldInfo) -> Any:  # noqa: ANN401 - a type is a value here
    return Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation


def _column(model: type[BaseModel], name: str) -> Column:
    field = model.model_fields[name]
    found = column_in([*field.metadata, field.annotation])
    if found is None:
        raise TypeError(f"{model.__name__}.{name} has no Column in its annotation")
    return found
