"""Elements of JSON arrays are delivered as they stand, and a broken one costs no other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polymarket_bot.storage.files import Record
from tests.profiles import EXAMPLES, tried
from tests.reading import chunks, good, problems, read

pytestmark = pytest.mark.usefixtures("hostile_inputs")

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=12,
)


@EXAMPLES
@given(st.lists(json_values), st.sampled_from([None, 0, 2]), st.booleans(), chunks)
def test_elements_are_those_of_the_array(
    elements: list[Any], indent: int | None, ascii_only: bool, chunk: int
) -> None:
    data = json.dumps(elements, indent=indent, ensure_ascii=ascii_only).encode()
    records = read(data, chunk=chunk)
    assert problems(records) == []
    assert [json.loads(payload) for payload in good(records)] == elements


def test_an_element_keeps_its_own_spelling() -> None:
    assert read(b'[\n  {"a" : 1.50,\n   "b":"\\u00e9"}\n  , null ]') == [
        Record(2, '{"a" : 1.50,\n   "b":"\\u00e9"}', None),
        Record(4, "null", None),
    ]


def test_a_bad_but_balanced_element_is_left_to_the_consumer() -> None:
    assert good(read(b'[{"a": nope}, {"b": 1,}, :]')) == ['{"a": nope}', '{"b": 1,}', ":"]


@EXAMPLES
@given(st.integers(1, 6), st.sampled_from([None, 2]), st.data(), chunks)
def test_a_spoiled_element_costs_no_other(
    number: int, indent: int | None, data: st.DataObject, chunk: int
) -> None:
    elements = [json.dumps({"n": n, "title": f"x {n}"}, indent=indent) for n in range(number)]
    spoiled = data.draw(st.integers(0, number - 1))
    text = elements[spoiled]
    place = data.draw(st.sampled_from([n for n, char in enumerate(text) if char in '"}']))
    whole = elements.copy()
    whole[spoiled] = text[:place] + text[place + 1 :]
    records = read(f"[{', '.join(whole)}]".encode(), chunk=chunk)
    del elements[spoiled]
    assert good(records) == elements
    assert len(problems(records)) == 1
    tried()


@pytest.mark.parametrize(
    "broken", ['{"a": [1, 2}', '{"a": "x', '{"a": {"b": 1}', "}", '{"a": "[x}', '["x', '{"a": ["x}']
)
def test_reading_goes_on_at_the_next_line_that_begins_an_object(broken: str) -> None:
    records = read(f'[{{"n": 1}},\n{broken},\n  {{"n": 2}},\n{{"n": 3}}]'.encode())
    assert good(records)[0] == '{"n": 1}'
    assert good(records)[-1] == '{"n": 3}'
    assert problems(records)[0][0] == 2


def test_a_brace_too_many_costs_no_element() -> None:
    records = read(b'[{"n":1}},{"n":2}]')
    assert good(records) == ['{"n":1}', '{"n":2}']
    assert problems(records) == [(1, "a brace is closed that was not opened")]


def test_no_object_within_a_broken_element_passes_for_an_element() -> None:
    elements = [{"n": n, "orders": [{"n": 10 + n}, {"n": 20 + n}]} for n in range(3)]
    text = json.dumps(elements, indent=2).replace('"orders"', 'orders"', 1)
    records = read(text.encode())
    assert [json.loads(payload) for payload in good(records)] == elements[1:]
    assert problems(records) == [(2, "a quote is missing or too many")]


@EXAMPLES
@given(st.integers(60, 300), chunks)
def test_an_element_too_long_is_one_problem(length: int, chunk: int) -> None:
    data = b'[{"n":1},\n{"n":["%s"]},\n{"n":3}]' % (b"x" * length)
    records = read(data, chunk=chunk, max_record=50)
    assert good(records) == ['{"n":1}', '{"n":3}']
    assert problems(records) == [(2, "longer than 50 bytes")]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'[{"n":1},\n', (2, "the array is not closed")),
        (b'[{"n":1},\n{"n":', (2, "the file ends within an element")),
        (b'[{"n":1},\n{"n":"x', (2, "the file ends within an element")),
        (b'[{"n":1}]\n{"n":2}', (2, "text after the closing bracket")),
        (b'[{"n":1},\n{"n":"\xff"}]', (2, "not UTF-8: byte 0xff at column 7")),
    ],
)
def test_a_damaged_end_is_one_problem(data: bytes, expected: tuple[int, str]) -> None:
    records = read(data)
    assert good(records) == ['{"n":1}']
    assert problems(records) == [expected]


@EXAMPLES
@given(st.lists(json_values, min_size=1, max_size=4), st.booleans(), st.data(), chunks)
def test_damage_is_the_same_for_any_chunk_size(
    elements: list[Any], in_array: bool, data: st.DataObject, chunk: int
) -> None:
    text = bytearray(json.dumps([elements, {}], indent=1).encode()[not in_array :])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(text)))
        text[place : place + data.draw(st.integers(0, 3))] = data.draw(
            st.sampled_from([b"", b'"', b"{", b"}", b"[", b"]", b",", b"\\", b"\n", b"\xff"])
        )
    whole, pieces = read(bytes(text)), read(bytes(text), chunk=chunk)
    assert good(pieces) == good(whole)
    assert problems(pieces) == problems(whole)
    tried()


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 100])
def test_pages_may_each_have_a_byte_order_mark(chunk: int) -> None:
    mark = b"\xef\xbb\xbf"
    data = mark + b"[1, 2]\n" + mark + b"[3]" + mark + b"[4]\n"
    assert read(data, chunk=chunk) == [
        Record(1, "1", None),
        Record(1, "2", None),
        Record(2, "3", None),
        Record(2, "4", None),
    ]
