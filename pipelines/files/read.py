"""Files to raw rows, in the format of the file's name and, for JSON, of what it holds."""

import codecs
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import orjson

from pipelines.files import lines
from pipelines.files.places import Place
from pipelines.files.rows import Bad, Batch, Located, Row, bad, parsed
from pipelines.files.streams import BreakError, Notes, foreign, stream
from schemas.errors import InputError

JSON = (".json", ".jsonl", ".ndjson")
TABLES = (".parquet", ".arrow", ".feather", ".ipc")
LIMIT = 64 << 20  # bytes of a row
LOOKED_AT = 10  # lines by which lines are told from a document


@dataclass(frozen=True)
class Reading:
    """A file being read: what its rows are written as, and the rows in batches."""

    format: str
    batches: Iterator[Batch]


def read(
    place: Place, file: Path, limit: int = LIMIT, *, header: bool | None = None, field: str | None = None
) -> Reading:
    """Begin to read the rows of `place`, which lies in the local `file`; `header` and `field` as in a `Source`.

    A CSV file whose first line has no comma is read by its semicolons or tabs.

    Raises `InputError` for an ending that has no reader and, while reading, for a decompression bomb.
    """
    ending = place.format
    if field is not None and ending not in JSON:
        raise InputError(f"{place}: `field` names an array of a JSON document, and a {ending} file has none")
    packed = place.compression is not None or place.member is not None
    notes = Notes()
    pieces = stream(file, place.member, place.compression, notes)
    if ending in TABLES:
        from pipelines.files import columnar

        table = columnar.parquet if ending == ".parquet" else columnar.arrow
        reading = Reading(ending[1:], table(file, pieces if packed else None, limit))
    else:
        reading = _of_text(ending, pieces, limit, header, field)
    return replace(reading, batches=_noted(reading.batches, notes)) if packed or notes.converted else reading


def _of_text(ending: str, pieces: Iterator[bytes], limit: int, header: bool | None, field: str | None) -> Reading:  # noqa: FBT001 - a source's
    """Begin to read a file of text."""
    try:
        first = next(pieces, b"")
    except BreakError as error:
        return Reading(ending[1:], _one(bad(str(error), b"")))
    what = foreign(first)
    if what:
        return Reading(ending[1:], _one(bad(what, first)))
    if ending != ".json" and b"\r" in first and b"\n" not in first:  # as old Macs end lines
        first, pieces = first.replace(b"\r", b"\n"), (piece.replace(b"\r", b"\n") for piece in pieces)
    offset = len(codecs.BOM_UTF8) if first.startswith(codecs.BOM_UTF8) else 0
    text = itertools.chain((first[offset:],), pieces)
    if ending in {".csv", ".tsv"}:
        from pipelines.files import delimited

        delimiter = "\t" if ending == ".tsv" else "," if header is False else _delimiter(first[offset:])
        return Reading(ending[1:], delimited.read(text, limit, offset, delimiter=delimiter, header=header))
    if field is not None:
        from pipelines.files import documents

        return Reading("json", documents.read(text, limit, offset, field))
    return _nested(ending, text, limit, offset, first[offset:])


def _noted(batches: Iterator[Batch], notes: Notes) -> Iterator[Batch]:
    """Tell the rows that can't be trusted as bad ones, and no offset where the text is not the file's own bytes."""
    for batch in batches:
        locate = partial(_without_offset, batch.locate) if notes.converted else batch.locate
        values = batch.values
        if notes.doubts:
            values = [_doubted(value, batch.locate, at, notes) for at, value in enumerate(values)]
        broken = batch.broken or values is not batch.values
        yield replace(batch, values=values, locate=locate, broken=broken)


def _without_offset(locate: Located, at: int) -> tuple[int | None, bytes]:
    return None, locate(at)[1]


def _doubted(value: Row | Bad, locate: Located, at: int, notes: Notes) -> Row | Bad:
    if isinstance(value, Bad):
        return value
    offset, raw = locate(at)
    for start, stop, why in notes.doubts:
        if offset is None or (start < offset + len(raw) and offset < stop) or notes.converted:
            return bad(why, raw)
    return value


def _delimiter(head: bytes) -> str:
    """Tell what stands between the fields of a CSV file from its first line."""
    line, _, _ = head.partition(b"\n")
    marks = [mark for mark in ",;\t" if mark.encode() in line]
    return marks[0] if marks else ","


def _nested(ending: str, text: Iterator[bytes], limit: int, offset: int, head: bytes) -> Reading:
    """Begin to read YAML, a JSON document or JSON lines; each one's module is loaded when a file needs it."""
    if ending in {".yaml", ".yml"}:
        from pipelines.files import yaml

        return Reading("yaml", yaml.read(text, limit, offset))
    if _is_document(head, named=ending == ".json"):
        from pipelines.files import documents

        return Reading("json", documents.read(text, limit, offset))
    return Reading("jsonl", lines.read(text, limit, offset))


def _one(what: Bad) -> Iterator[Batch]:
    yield Batch([what], 0, lambda _at: (0, what.raw), len(what.raw), broken=True)


def _is_document(head: bytes, *, named: bool) -> bool:
    """Tell a JSON document from JSON lines: of lines some among the first is an object of its own.

    A file named as lines is a document only when it begins with an array of objects.
    """
    text = head.lstrip()
    first = text.split(b"\n", LOOKED_AT)[:LOOKED_AT]
    is_lines = any(isinstance(parsed(line), dict) for line in first)
    if not text.startswith(b"["):
        return named and not is_lines
    try:
        value = orjson.loads(first[0])
    except orjson.JSONDecodeError:
        return first[0].strip() == b"[" or not is_lines
    return named or (bool(value) and all(isinstance(row, dict) for row in value))


@dataclass(frozen=True)
class RawRow:
    """A row as it lies in a file: its value, or the reason why there is none. `offset` is in bytes, `row` from 0."""

    row: int
    offset: int | None
    value: Row | None
    reason: str = ""
    raw: bytes = b""


def rows_of(file: Path) -> Iterator[RawRow]:
    """Give a file's rows one by one."""
    for batch in read(Place(str(file)), file).batches:
        for at, value in enumerate(batch.values):
            offset, raw = batch.locate(at)
            if isinstance(value, Bad):
                yield RawRow(batch.row + at, offset, None, value.reason, raw)
            else:
                yield RawRow(batch.row + at, offset, value, "", raw)
