"""Reading trade files: what is whole is delivered, what is damaged costs only itself."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tracemalloc
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polymarket_bot.storage.files import Record, read_records
from polymarket_bot.storage.files.reader import records_of

TORN = "the gzip stream is torn: it ends before its end marker"
NOT_CLOSED = "a quoted field is not closed"
packed = partial(gzip.compress, mtime=0)
unhurried = settings(deadline=None)
HEADER = ["conditionId", "side", "title"]

chunks = st.integers(1, 40)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=12,
)
cells = st.text(st.sampled_from('ab1 ",é'), max_size=6)
rows = st.lists(st.tuples(st.just("0xab"), cells, cells), min_size=1, max_size=8)


def read(data: bytes, **options: Any) -> list[Record]:
    return list(records_of(io.BytesIO(data), **options))


def good(records: list[Record]) -> list[Any]:
    return [record.payload for record in records if record.problem is None]


def problems(records: list[Record]) -> list[tuple[int, str]]:
    return [(record.line, record.problem) for record in records if record.problem is not None]


def csv_lines(rows: list[Any]) -> list[str]:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([HEADER, *rows])
    return text.getvalue().split("\n")[:-1]


def trades(number: int) -> list[str]:
    return [json.dumps({"n": n, "title": f"é {n}"}, ensure_ascii=False) for n in range(number)]


# --- kinds ---------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [bytes, packed])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"a": 1}\n\n{"b":2}\n', [(1, '{"a": 1}'), (3, '{"b":2}')]),
        (b'\n[{"a": 1},\n {"b":2}]\n', [(2, '{"a": 1}'), (3, '{"b":2}')]),
        (b"a,b\n1,x\n\n2,y", [(2, {"a": "1", "b": "x"}), (4, {"a": "2", "b": "y"})]),
    ],
)
def test_the_content_tells_the_kind(
    tmp_path: Path,
    pack: Callable[[bytes], bytes],
    mark: bytes,
    ending: bytes,
    text: bytes,
    expected: list[tuple[int, Any]],
) -> None:
    path = tmp_path / "trades.txt"
    path.write_bytes(pack(mark + text.replace(b"\n", ending)))
    assert list(read_records(path)) == [Record(line, payload, None) for line, payload in expected]


def test_text_of_no_kind_is_handed_on_line_by_line() -> None:
    assert good(read(b"0xab,BUY,0.5\n\nnonsense\r\n")) == ["0xab,BUY,0.5", "nonsense"]
    assert good(read(b"price,price\n1,2\n")) == ["price,price", "1,2"]
    assert good(read(b"Error, try later\n")) == ["Error, try later"]


@pytest.mark.parametrize("data", [b"", b" \n\r\n\t", b"\xef\xbb\xbf", packed(b"")])
def test_an_empty_file_is_a_problem(data: bytes) -> None:
    assert read(data) == [Record(1, "", "the file is empty")]


def test_an_empty_array_has_no_records() -> None:
    assert read(b"[ ]\n") == []


def test_what_cannot_be_opened_raises_the_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        next(read_records(tmp_path / "none"))
    with pytest.raises(IsADirectoryError):
        next(read_records(tmp_path))


def test_arrays_one_after_another_are_pages_of_one_feed() -> None:
    records = read(b'[{"a": 1},\n{"a": 2}]\n[{"a": 3}]\n\n[]\n[{"a": 4}]\n')
    assert good(records) == ['{"a": 1}', '{"a": 2}', '{"a": 3}', '{"a": 4}']
    assert [record.line for record in records] == [1, 2, 3, 6]
    assert problems(records) == []


# --- lines ---------------------------------------------------------------------------------


@unhurried
@given(st.lists(st.text(st.sampled_from('{}" é\u2028\x85\x0b\u20acx'), max_size=9)), chunks)
def test_lines_are_the_same_for_any_chunk_size(lines: list[str], chunk: int) -> None:
    lines = ["{}", *lines]
    expected = [(n, line) for n, line in enumerate(lines, 1) if line.strip(" \v")]
    records = read("\n".join(lines).encode(), chunk=chunk)
    assert [(record.line, record.payload) for record in records] == expected
    assert problems(records) == []


def test_a_line_that_is_not_utf8_costs_only_itself() -> None:
    records = read(b'{"a":1}\n{"b":"\xff"}\n{"c":3}\n')
    assert good(records) == ['{"a":1}', '{"c":3}']
    assert records[1] == Record(2, b'{"b":"\xff"}', "not UTF-8: byte 0xff at column 7")


@unhurried
@given(st.integers(51, 400), chunks)
def test_a_line_too_long_is_one_problem(length: int, chunk: int) -> None:
    data = b'{"a":1}\n{%s}\n{"c":3}\n{%s' % (b"x" * length, b"y" * length)
    records = read(data, chunk=chunk, max_record=50)
    assert good(records) == ['{"a":1}', '{"c":3}']
    assert problems(records) == [(2, "longer than 50 bytes"), (4, "longer than 50 bytes")]


@pytest.mark.parametrize("opening", ["{", "[{", "a,b\n1,", '[{"a":"', "[ "])
def test_a_gigantic_line_is_not_held_in_memory(tmp_path: Path, opening: str) -> None:
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(opening.encode())
        for _ in range(50):
            file.write(b"x" * 1_000_000)
    records, peak = peak_of(path)
    assert [bool(record.problem) for record in records] == [True] * len(records)
    assert sum(len(record.payload) for record in records) < 20_000
    assert peak < 8_000_000


@pytest.mark.parametrize("kind", ["jsonl", "array", "csv"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, kind: str) -> None:
    first, between, last = {
        "jsonl": ("", "\n", ""),
        "array": ("[", ",", "]"),
        "csv": ("", "\n", ""),
    }[kind]
    line = "0xab,BUY," + "t" * 700 if kind == "csv" else json.dumps({"title": "t" * 700})
    path = tmp_path / "large.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write((first + (",".join(HEADER) + "\n" if kind == "csv" else "") + line).encode())
        for _ in range(70):
            file.write((between + line).encode() * 1000)
        file.write(last.encode())
    tracemalloc.start()
    try:
        number = sum(1 for record in read_records(path) if record.problem is None)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert number == 70_001
    assert peak < 3_000_000


def peak_of(path: Path) -> tuple[list[Record], int]:
    tracemalloc.start()
    try:
        return list(read_records(path)), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# --- gzip ----------------------------------------------------------------------------------


def decompressible(data: bytes) -> bytes:
    return zlib.decompressobj(wbits=31).decompress(data)


@unhurried
@given(st.integers(1, 400), st.data(), chunks)
def test_a_cut_gzip_file_delivers_the_lines_before_the_cut(
    number: int, data: st.DataObject, chunk: int
) -> None:
    whole = packed(("\n".join(trades(number)) + "\n").encode())
    cut = whole[: data.draw(st.integers(2, len(whole) - 1))]
    *complete, partial = decompressible(cut).split(b"\n")
    records = read(cut, chunk=chunk)
    assert good(records) == [line.decode() for line in complete]
    assert problems(records) == [(len(complete) + 1, TORN)]
    assert records[-1].payload in (partial, partial.decode(errors="replace"))


@unhurried
@given(st.integers(1, 200), st.data(), chunks)
def test_a_cut_gzip_array_delivers_the_elements_before_the_cut(
    number: int, data: st.DataObject, chunk: int
) -> None:
    elements = trades(number)
    whole = packed(f"[{','.join(elements)}]".encode())
    cut = whole[: data.draw(st.integers(2, len(whole) - 1))]
    records = read(cut, chunk=chunk)
    assert good(records) == elements[: decompressible(cut).count(b"}")]
    assert [problem for _, problem in problems(records)] == [TORN]


def test_a_wrong_checksum_costs_no_line() -> None:
    whole = bytearray(packed("\n".join([*trades(5000), ""]).encode()))
    whole[-8] ^= 1
    records = read(bytes(whole))
    assert good(records) == trades(5000)
    [(line, problem)] = problems(records)
    assert line == 5001
    assert records[-1].payload == ""
    assert problem.startswith("the gzip stream is corrupt")


def test_a_bad_block_costs_only_what_comes_after_it() -> None:
    lines = trades(20_000)
    packer = zlib.compressobj(wbits=31)
    start = packer.compress("\n".join(lines).encode()) + packer.flush(zlib.Z_FULL_FLUSH)
    records = read(start + b"\xff" * 100)
    assert good(records) == lines[:-1]
    assert len(problems(records)) == 1
    assert records[-1].payload == lines[-1]


@pytest.mark.parametrize("ending", ["", "\n"])
def test_what_follows_a_gzip_stream_is_one_problem(ending: str) -> None:
    whole = packed(("\n".join(trades(3)) + ending).encode())
    records = read(whole + b"garbage")
    assert good(records) == trades(3)
    assert [problem for _, problem in problems(records)] == [
        "the gzip stream is followed by something else"
    ]


@unhurried
@given(st.lists(st.integers(0, 30), min_size=1, max_size=5), chunks)
def test_several_gzip_members_are_one_file(sizes: list[int], chunk: int) -> None:
    lines = ["{}", *trades(sum(sizes))]
    members, rest = packed(b"{}\n"), iter(lines[1:])
    for size in sizes:
        members += packed("".join(next(rest) + "\n" for _ in range(size)).encode())
    records = read(members + b"\0" * 50, chunk=chunk)
    assert [record.payload for record in records] == lines


# --- CSV -----------------------------------------------------------------------------------


@unhurried
@given(rows, chunks)
def test_rows_are_what_the_writer_wrote(rows: list[Any], chunk: int) -> None:
    data = ("\n".join(csv_lines(rows)) + "\n").encode()
    expected = [
        Record(n, dict(zip(HEADER, row, strict=True)), None) for n, row in enumerate(rows, 2)
    ]
    assert read(data, chunk=chunk) == expected


@unhurried
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


def test_a_header_alone_is_a_problem() -> None:
    assert read(b"a,b\r\n") == [Record(1, "a,b", "the file has a header and no rows")]


def test_a_csv_row_that_is_not_utf8_costs_only_itself() -> None:
    records = read(b'a,b\n1,"x\n2,\xff\n3,4\n')
    assert problems(records) == [(2, NOT_CLOSED), (3, "not UTF-8: byte 0xff at column 3")]
    assert good(records) == [{"a": "3", "b": "4"}]


# --- arrays --------------------------------------------------------------------------------


@unhurried
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


@unhurried
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


@unhurried
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


@unhurried
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
