"""Rows of CSV files are what their writer wrote, and a broken row costs no other."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polymarket_bot.storage.files import Record
from tests.profiles import EXAMPLES, tried
from tests.reading import HEADER, chunks, good, problems, read

pytestmark = pytest.mark.usefixtures("hostile_inputs")

NOT_CLOSED = "a quoted field is not closed"

cells = st.text(st.sampled_from('ab1 ",é'), max_size=6)
rows = st.lists(st.tuples(st.just("0xab"), cells, cells), min_size=1, max_size=8)


def csv_lines(rows: list[Any]) -> list[str]:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([HEADER, *rows])
    return text.getvalue().split("\n")[:-1]


@EXAMPLES
@given(rows, chunks)
def test_rows_are_what_the_writer_wrote(rows: list[Any], chunk: int) -> None:
    data = ("\n".join(csv_lines(rows)) + "\n").encode()
    expected = [
        Record(n, dict(zip(HEADER, row, strict=True)), None) for n, row in enumerate(rows, 2)
    ]
    assert read(data, chunk=chunk) == expected


@EXAMPLES
@given(rows, st.data(), chunks)
def test_a_spoiled_line_costs_no_other_row(
    rows: list[Any], data: st.DataObject, chunk: int
) -> None:
    lines = csv_lines(rows)
    spoiled = data.draw(st.integers(1, len(rows)))
    place = data.draw(st.integers(0, len(lines[spoiled])))
    text = data.draw(st.sampled_from(['"', ",", '",', ',"', '"x', "x"]))
    lines[spoiled] = lines[spoiled][:place] + text + lines[spoiled][place:]
    records = read("\n".join(lines).encode(), chunk=chunk)
    assert [record.line for record in records] == list(range(2, len(lines) + 1))
    for record, row in zip(records, rows, strict=True):
        if record.line != spoiled + 1:
            assert record == (record.line, dict(zip(HEADER, row, strict=True)), None)
    tried()


def test_a_quoted_field_may_span_lines() -> None:
    records = read(b'a,b,c\r\n1,"x\r\n\r\n, ""y""\r\n",2\r\n3,4,5\r\n')
    assert records == [
        Record(2, {"a": "1", "b": 'x\r\n\r\n, "y"\r\n', "c": "2"}, None),
        Record(6, {"a": "3", "b": "4", "c": "5"}, None),
    ]
    assert good(read(b'a,b,c\n"x\ny",1,2\n')) == [{"a": "x\ny", "b": "1", "c": "2"}]


def test_a_quoted_field_spans_no_more_than_twenty_lines() -> None:
    for lines, expected in [(20, []), (21, NOT_CLOSED)]:
        records = read(b'a,b,c\n1,"' + b"\n" * (lines - 1) + b'",2\n3,4,5')
        assert [problem for _, problem in problems(records)][:1] == ([expected] if expected else [])
        assert good(records)[-1] == {"a": "3", "b": "4", "c": "5"}


def test_open_quotes_do_not_swallow_the_rows_between_them() -> None:
    records = read(b'a,b,c\n1,"x,2\n3,y,4\n5,z",6\n')
    assert problems(records) == [(2, NOT_CLOSED)]
    assert good(records) == [{"a": "3", "b": "y", "c": "4"}, {"a": "5", "b": 'z"', "c": "6"}]


def test_a_row_of_another_width_is_a_problem() -> None:
    assert read(b"a,b\n1\n1,2,3\n")[:2] == [
        Record(2, "1", "1 fields where the header has 2"),
        Record(3, "1,2,3", "3 fields where the header has 2"),
    ]


def test_a_repeated_header_is_passed_over() -> None:
    assert good(read(b"a,b\n1,2\n\xef\xbb\xbfa,b\n3,4\n")) == [
        {"a": "1", "b": "2"},
        {"a": "3", "b": "4"},
    ]


def test_a_header_in_another_order_holds_for_the_rows_below_it() -> None:
    assert good(read(b'a,b,c\n1,2,3\n c,a,"b"\n4,5,6\na,b,c\n7,8,9\na,7,a\n')) == [
        {"a": "1", "b": "2", "c": "3"},
        {"c": "4", "a": "5", "b": "6"},
        {"a": "7", "b": "8", "c": "9"},
        {"a": "a", "b": "7", "c": "a"},
    ]


def test_a_header_alone_is_a_problem() -> None:
    assert read(b"a,b\r\n") == [Record(1, "a,b", "the file has a header and no rows")]


def test_a_csv_row_that_is_not_utf8_costs_only_itself() -> None:
    records = read(b'a,b\n1,"x\n2,\xff\n3,4\n')
    assert problems(records) == [(2, NOT_CLOSED), (3, "not UTF-8: byte 0xff at column 3")]
    assert good(records) == [{"a": "3", "b": "4"}]
