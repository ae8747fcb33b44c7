"""CSV and TSV: a row a record, whose quoted fields may hold line breaks; the columns are the header's or numbers.

All fields are text. A record with more or fewer fields than the header, with bad quotes or bytes that are no UTF-8 is a
bad row of its own; an unclosed quote costs its own line only, the lines behind it are read again.
"""

import csv
import re
from collections import deque
from collections.abc import Iterator
from itertools import chain

from pipelines.files.lines import whole
from pipelines.files.rows import CONFLICT, CONFLICTING, Bad, Batch, Garbage, Gathering, bad, not_utf8, too_long

CLOSING = re.compile(rb'(?<!")"(?:"")*+(?!")')  # an odd number of quotes: where they begin within a field it ends
UNKNOWN = 30  # fields that a record may have when no other was read
LETTERS = {"A", "B", "C", "D"}
CHOICES = 6  # fields of a multiple-choice record without a header: question, four choices, letter


class _Lines:
    """The file's lines as csv wants them, with what the current record has taken."""

    def __init__(self, pieces: Iterator[bytes], offset: int, limit: int) -> None:
        self.source = whole(pieces, limit, offset, lambda _line: self.raw)
        self.again: deque[tuple[int, bytes | Garbage]] = deque()
        self.taken: list[tuple[int, bytes]] = []
        self.length, self.limit = 0, limit
        self.quoted = self.closing = self.looked = 0  # lines with quotes, and with one that ends a field, of so many
        self.width = 0  # fields that a record has
        self.bad: Bad | None = None  # a line that can't be read
        self.start = offset

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """Give the next line, its bytes that are no UTF-8 as surrogates."""
        if self.length > self.limit:
            raise csv.Error("a quote is not closed, or the record has more bytes than max_row_mib allows")
        at, line = self.again.popleft() if self.again else next(self.source)
        self.start = self.taken[0][0] if self.taken else at
        if isinstance(line, Garbage):
            self.bad = line.told()
            raise csv.Error(line.reason)
        self.taken.append((at, line))
        self.length += len(line)
        if len(self.taken) > 1 and b'"' in line:
            self.quoted += 1
            if self.quoted > (self.width or UNKNOWN) < self._closing():
                raise csv.Error("a quote is not closed")
        return line.decode("utf-8", "surrogateescape")

    def _closing(self) -> int:
        """Count the lines behind the record's first in which a quoted field ends: each adds a field or is its last."""
        self.closing += sum(CLOSING.search(line) is not None for _at, line in self.taken[max(1, self.looked) :])
        self.looked = len(self.taken)
        return self.closing

    def begin(self) -> None:
        """Begin a record."""
        self.taken, self.length, self.bad = [], 0, None
        self.quoted = self.closing = self.looked = 0

    def back(self) -> None:
        """Keep the record's first line alone; the others are read again."""
        self.again.extendleft(reversed(self.taken[1:]))
        self.taken = self.taken[:1]

    @property
    def raw(self) -> bytes:
        """The record's bytes so far."""
        return b"".join(line for _at, line in self.taken)


def read(
    pieces: Iterator[bytes], limit: int, offset: int = 0, *, delimiter: str = ",", header: bool | None = None
) -> Iterator[Batch]:
    """Give the records' rows in batches; `header` is recognised when null: multiple-choice records have none."""
    csv.field_size_limit(limit)
    lines, rows = _Lines(pieces, offset, limit), Gathering()
    records = _records(lines, delimiter)
    first = next(records, None)
    if first is None:
        return
    has_header = not _is_choices(first[1]) if header is None else header
    columns = first[1] if has_header else [str(at) for at in range(len(first[1]))]
    if isinstance(columns, Bad) or len(set(columns)) < len(columns):
        why = columns.reason if isinstance(columns, Bad) else f"two columns have one name: {', '.join(columns)}"
        columns, has_header = [], True
        yield from rows.add(bad(f"the header can't be read: {why}", first[2]), first[0], first[2])
    for start, fields, raw in records if has_header else chain([first], records):
        value = fields if isinstance(fields, Bad) else _row(columns, fields, raw)
        yield from rows.add(value, start, raw)
    yield from rows.rest()


def _records(lines: _Lines, delimiter: str) -> Iterator[tuple[int, list[str] | Bad, bytes]]:
    """Give each record that isn't blank: its offset, its fields or what is wrong with it, and its bytes."""
    while True:
        lines.begin()
        fields: list[str] = []
        fault = None
        try:
            fields = next(csv.reader(lines, delimiter=delimiter, strict=True))
        except StopIteration:
            return
        except csv.Error as error:
            fault = f"this record can't be read: {error}"
        if lines.bad:
            yield lines.start, lines.bad, lines.bad.raw
            continue
        if lines.width and fields and len(fields) != lines.width:
            fault = f"this record has {len(fields)} fields instead of {lines.width}"
        if fault and len(lines.taken) > 1:
            lines.back()  # a quote that isn't closed has swallowed the lines behind it
        raw = lines.raw.rstrip(b"\r\n")
        fault = _told(fault, raw, lines.limit)
        if raw or fault:
            lines.width = lines.width or len(fields)
            yield lines.start, bad(fault, raw) if fault else fields, raw


def _told(fault: str | None, raw: bytes, limit: int) -> str | None:
    """Say what is wrong with a record, if anything is."""
    if len(raw) > limit:
        return too_long(len(raw), limit)
    if fault:
        return CONFLICTING if CONFLICT.match(raw) else fault
    return not_utf8(raw, "record") or ("this record holds a NUL" if b"\0" in raw else None)


def _row(columns: list[str], fields: list[str], raw: bytes) -> dict[str, str] | Bad:
    if not columns:
        return bad("the header of this file can't be read, so nothing says what the fields are", raw)
    return dict(zip(columns, fields, strict=True))


def _is_choices(fields: list[str] | Bad) -> bool:
    return not isinstance(fields, Bad) and len(fields) == CHOICES and fields[-1] in LETTERS
