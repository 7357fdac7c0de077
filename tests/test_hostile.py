"""Whatever is given to a method: it is refused by name and changes nothing, or stored as given."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from polymarket_bot.storage import Table
from polymarket_bot.storage.tables import PRODUCTION
from tests.hostile import good
from tests.hostile_arena import arena
from tests.hostile_calls import REPOSITORIES, Call, calls, methods, takes_models
from tests.hostile_oracle import is_stored, stored_form
from tests.hostile_values import values
from tests.profiles import EXAMPLES, tried

pytestmark = pytest.mark.usefixtures("hostile_inputs")

EVERY_TABLE = pytest.mark.parametrize("table", PRODUCTION, ids=lambda table: table.name)
EVERY_REPOSITORY = pytest.mark.parametrize("repository", REPOSITORIES)
_LONGEST_MESSAGE = 400


def test_every_table_has_a_repository_that_is_tried() -> None:
    assert {repository.table for repository in REPOSITORIES} == set(PRODUCTION)
    assert len(REPOSITORIES) == 19


@EVERY_REPOSITORY
def test_bad_arguments_are_refused_by_name_or_stored_as_given(
    repository: type[Any], db_url: str
) -> None:
    names = [name for name in methods(repository) if not takes_models(repository, name)]
    _try_out(repository, names, db_url)


@EVERY_REPOSITORY
def test_bad_models_are_refused_by_field_or_stored_as_given(
    repository: type[Any], db_url: str
) -> None:
    names = [name for name in methods(repository) if takes_models(repository, name)]
    _try_out(repository, names, db_url)


def _try_out(repository: type[Any], names: list[str], url: str) -> None:
    with arena(url) as place:

        @EXAMPLES
        @given(calls(repository, names))
        def judge(call: Call) -> None:
            place.judge(call)
            tried()

        judge()


@EVERY_TABLE
@EXAMPLES
@given(st.data())
def test_a_model_is_built_of_what_its_columns_take_or_refused_by_field(
    table: Table[Any], data: st.DataObject
) -> None:
    names = data.draw(st.sets(st.sampled_from([*table.columns]), min_size=1, max_size=3))
    fields = good(table) | {name: data.draw(values()) for name in names}
    built: list[Any] = []
    if refusal := _refusal(lambda: built.append(table.model(**fields))):
        assert {str(error["loc"][0]) for error in refusal.errors()} <= names
        assert len(str(refusal)) <= _LONGEST_MESSAGE * len(names)
    else:
        for name, value in fields.items():
            assert _is_held(table, name, value, getattr(built[0], name))
    tried()


@EVERY_TABLE
@EXAMPLES
@given(st.data())
def test_a_refused_assignment_leaves_the_model_as_it_was(
    table: Table[Any], data: st.DataObject
) -> None:
    model = table.model(**good(table))
    name, value = data.draw(st.tuples(st.sampled_from([*table.columns]), values()))
    before = copy.deepcopy(vars(model))
    if refusal := _refusal(lambda: setattr(model, name, value)):
        assert [error["loc"] for error in refusal.errors()] == [(name,)]
        assert vars(model) == before
    else:
        assert _is_held(table, name, value, getattr(model, name))
        assert vars(model) | {name: None} == before | {name: None}
    tried()


def _refusal(change: Callable[[], object]) -> ValidationError | None:
    try:
        change()
    except ValidationError as error:
        return error
    return None


def _is_held(table: Table[Any], name: str, value: Any, held: Any) -> bool:
    """Tell whether a model that was given `value` holds it, up to what its column keeps."""
    return is_stored(table, name, value, stored_form(table, name, held))
