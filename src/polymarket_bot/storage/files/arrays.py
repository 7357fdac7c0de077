"""The elements of a JSON array, each as the text that stands in the file."""

from __future__ import annotations

import re
from collections.abc import Iterator

from polymarket_bot.storage.files.content import Content
from polymarket_bot.storage.files.record import Record, problem_record, text_record, too_long

# A repeated group never gives back what it took, as `(?>…)` and not as `*+`: before Python 3.11.5
# that loses matches.
_INSIDE = rb'(?>(?:[^"\\\n]++|\\.)*)'
# A string ends on its line and before what can follow one: a missing quote shows at once.
_STRING = rb'"' + _INSIDE + rb'"(?=\s*+[,:}\]])'
_WHOLE_STRING = re.compile(_STRING)
_CUT_STRING = re.compile(rb'"' + _INSIDE + rb'(?>(?:"\s*+|\\)?)\Z')
_UP_TO_BRACKET = re.compile(rb'(?>(?:[^"{}\[\]]++|' + _STRING + rb")*)")
_BETWEEN = re.compile(rb"[\s,]*+")
_BETWEEN_PAGES = re.compile(rb"[\s,\xef\xbb\xbf]*+")  # each may have its byte-order mark
_SCALAR = re.compile(rb'[^\s,"{}\[\]]++')
# A damaged object without any inside: the next one begins behind it, whatever its quotes say.
_FLAT = re.compile(rb"\{[^{}\[]*+\}\s*+(?:,\s*+(?=\{)|(?=\]))")
_CUT_FLAT = re.compile(rb"\{[^{}\[]*+(?>(?:\}\s*+(?>(?:,\s*+)?))?)\Z")
_OBJECT_LINE = re.compile(rb"\n([ \t]*+)\{")
_CUT_LINE = re.compile(rb"\n[ \t]{0,1024}+\Z")
_CLOSING = {ord("{"): ord("}"), ord("["): ord("]")}
_SPACE_BEFORE = 256


class _BrokenError(Exception):
    """The element that was begun has no end.

    Args:
        problem: why.
        end: where the scanner saw it.
        next_begins: the next element begins there.
    """

    def __init__(self, problem: str, end: int, *, next_begins: bool = False) -> None:
        super().__init__(problem)
        self.problem = problem
        self.end = end
        self.next_begins = next_begins


class _EndedError(_BrokenError):
    """The file ends within the element."""


class ArrayScanner:
    """Cuts an array into its elements without parsing them.

    A damaged element is one problem. Reading goes on with the next element if it is plain where
    that begins: behind an object without brackets inside, or at a line that begins with `{` and
    is indented no further.
    """

    def __init__(self, content: Content, max_record: int) -> None:
        self._content = content
        self._chunks = iter(content)
        self._max = max_record
        self._buffer = next(self._chunks)
        self._start = 1  # behind the opening bracket; then where the element begins
        self._line = content.line
        self._counted = 0  # up to where the line breaks are in `_line`
        self._before = 0  # bytes of the buffer's first line that are no longer there

    def records(self) -> Iterator[Record]:
        """Yield the elements, and what is none as a problem."""
        ended = False
        while opening := self._opening():
            if opening == b"]":
                self._start += 1
                if self._opening(_BETWEEN_PAGES) == b"[":  # the next page
                    self._start += 1
                    continue
                yield from self._remainder()
                return
            try:
                end = self._end(opening)
            except _BrokenError as broken:
                at_end = isinstance(broken, _EndedError)
                if not (ended and at_end):
                    yield self._problem(broken.end, broken.problem)
                ended = ended or at_end
                if broken.problem == self._content.tear:
                    return
                if not self._resume(broken):
                    yield from self._torn()
                    return
            else:
                yield text_record(self._line_here(), self._buffer[self._start : end], self._max)
                self._start = end
        if not ended:
            yield self._problem(self._start, self._content.tear or "the array is not closed")

    def _opening(self, between: re.Pattern[bytes] = _BETWEEN) -> bytes:
        """Go to the next element and return its first byte, or nothing at the file's end."""
        while True:
            self._start = _end_of(between, self._buffer, self._start)
            if self._start < len(self._buffer):
                return self._buffer[self._start : self._start + 1]
            if not self._read():
                return b""

    def _end(self, opening: bytes) -> int:
        """Return where the element ends, which must be within the limit."""
        try:
            end = self._end_of_any(opening)
        except _BrokenError as broken:
            self._check_length(broken.end)
            raise
        self._check_length(end)
        return end

    def _check_length(self, end: int) -> None:
        if end - self._start > self._max:
            raise _BrokenError(too_long(self._max), end)

    def _end_of_any(self, opening: bytes) -> int:
        if opening in b"{[":
            return self._end_of_brackets()
        if opening == b'"':
            return self._end_of_string()
        if opening == b"}":
            end = self._start + 1
            raise _BrokenError("a brace is closed that was not opened", end, next_begins=True)
        return self._end_of_scalar()

    def _end_of_brackets(self) -> int:
        closing = bytearray()
        position = self._start
        while True:
            position = _end_of(_UP_TO_BRACKET, self._buffer, position)
            if position == len(self._buffer):
                position = self._grow(position)
                continue
            byte = self._buffer[position]
            if byte == ord('"'):
                position = self._grow_string(position)
                continue
            if byte in _CLOSING:
                self._check_nesting(position, closing)
                closing.append(_CLOSING[byte])
            elif closing.pop() != byte:
                raise _BrokenError(f"{chr(byte)!r} closes what it did not open", position + 1)
            position += 1
            if not closing:
                return position

    def _check_nesting(self, position: int, closing: bytearray) -> None:
        """Refuse an object that begins directly within another: its brace was not closed."""
        if closing[-1:] != b"}" or self._buffer[position] != ord("{"):
            return
        before = self._buffer[max(self._start, position - _SPACE_BEFORE) : position].rstrip()
        if before and not before.endswith(b":"):
            raise _BrokenError("a brace is not closed", position, next_begins=len(closing) == 1)

    def _end_of_string(self) -> int:
        while not (string := _WHOLE_STRING.match(self._buffer, self._start)):
            self._grow_string(self._start)
        return string.end()

    def _end_of_scalar(self) -> int:
        while (end := _end_of(_SCALAR, self._buffer, self._start)) == len(self._buffer):
            self._grow(end)
        return end

    def _grow_string(self, position: int) -> int:
        """Read on within a string, unless it is seen to be broken."""
        if not _CUT_STRING.match(self._buffer, position):
            raise _BrokenError("a quote is missing or too many", position)
        return self._grow(position)

    def _grow(self, position: int) -> int:
        """Read on within the element, and return where `position` is now."""
        if self._is_full():
            raise _BrokenError(too_long(self._max), len(self._buffer))
        position -= self._start
        if not self._read():
            problem = self._content.tear or "the file ends within an element"
            raise _EndedError(problem, len(self._buffer))
        return position

    def _read(self) -> bool:
        """Drop what lies before the element and add a chunk; False at the file's end."""
        self._line_here()
        newline = self._buffer.rfind(b"\n", 0, self._start)
        self._before = self._start - newline - 1 + (self._before if newline < 0 else 0)
        chunk = next(self._chunks, b"")
        self._buffer = self._buffer[self._start :] + chunk
        self._start = self._counted = 0
        return bool(chunk)

    def _resume(self, broken: _BrokenError) -> bool:
        """Go to where the next element begins, behind a broken one; False if it is not plain."""
        if broken.next_begins:
            self._start = broken.end
            return True
        while _CUT_FLAT.match(self._buffer, self._start) and not self._is_full():
            if not self._read():
                break
        flat = _FLAT.match(self._buffer, self._start)
        if flat and flat.end() - self._start <= self._max:
            self._start = flat.end()
            return True
        return self._find_line(self._column())

    def _is_full(self) -> bool:
        return len(self._buffer) - self._start > self._max

    def _find_line(self, indentation: int) -> bool:
        while True:
            for line in _OBJECT_LINE.finditer(self._buffer, self._start):
                if len(line[1]) <= indentation:
                    self._start = line.end() - 1
                    return True
            cut = _CUT_LINE.search(self._buffer, max(self._start, len(self._buffer) - 2048))
            self._start = cut.start() if cut else len(self._buffer)
            if not self._read():
                return False

    def _column(self) -> int:
        newline = self._buffer.rfind(b"\n", 0, self._start)
        return self._start - newline - 1 + (self._before if newline < 0 else 0)

    def _line_here(self) -> int:
        self._line += self._buffer.count(b"\n", self._counted, self._start)
        self._counted = self._start
        return self._line

    def _problem(self, end: int, problem: str) -> Record:
        return problem_record(self._line_here(), self._buffer[self._start : end], problem)

    def _remainder(self) -> Iterator[Record]:
        """Read what follows the closing bracket: there should be nothing."""
        if self._opening():
            yield self._problem(len(self._buffer), "text after the closing bracket")
        for _ in self._chunks:
            pass
        yield from self._torn()

    def _torn(self) -> Iterator[Record]:
        """Yield the tear that the file ended with, if it did."""
        if self._content.tear is not None:
            yield Record(self._line_here(), "", self._content.tear)


def _end_of(pattern: re.Pattern[bytes], buffer: bytes, position: int) -> int:
    match = pattern.match(buffer, position)
    return match.end() if match else position
