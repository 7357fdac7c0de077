"""Reading trade files: what is whole is delivered, what is damaged costs only itself."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polymarket_bot.storage.files import Record, read_records
from tests.profiles import EXAMPLES, tried
from tests.reading import HEADER, chunks, good, problems, read

pytestmark = pytest.mark.usefixtures("hostile_inputs")

TORN = "the gzip stream is torn: it ends before its end marker"
packed = partial(gzip.compress, mtime=0)


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


@pytest.mark.parametrize("pack", [bytes, packed])
def test_a_mark_that_stands_alone_in_its_piece_costs_nothing(
    pack: Callable[[bytes], bytes],
) -> None:
    mark, text = b"\xef\xbb\xbf", b'{"a":1}\n'
    assert good(read(pack(mark) + pack(text), chunk=3)) == ['{"a":1}']


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


@EXAMPLES
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


@EXAMPLES
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


@EXAMPLES
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
    tried()


@EXAMPLES
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
    tried()


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


@EXAMPLES
@given(st.lists(st.integers(0, 30), min_size=1, max_size=5), chunks)
def test_several_gzip_members_are_one_file(sizes: list[int], chunk: int) -> None:
    lines = ["{}", *trades(sum(sizes))]
    members, rest = packed(b"{}\n"), iter(lines[1:])
    for size in sizes:
        members += packed("".join(next(rest) + "\n" for _ in range(size)).encode())
    records = read(members + b"\0" * 50, chunk=chunk)
    assert [record.payload for record in records] == lines
