"""Files to raw rows: every good row is given, every bad one with the reason, where it lies and its hash."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from schemas.errors import InputError

BOM = b"\xef\xbb\xbf"
FORMATS = (".json", ".jsonl", ".ndjson", ".parquet")


@dataclass(frozen=True)
class RawRow:
    """A row as it lies in a file: its value, or the reason why there is none. `offset` is in bytes, `row` from 0."""

    row: int
    offset: int | None
    value: dict[str, Any] | None
    reason: str = ""
    raw: bytes = b""

    def rejected(self, reason: str) -> "RawRow":
        """Give the row as a bad one."""
        raw = self.raw or orjson.dumps(self.value, default=str)
        return RawRow(self.row, self.offset, None, reason, raw)

    @property
    def sha256(self) -> str:
        """The hash of the raw bytes."""
        return hashlib.sha256(self.raw).hexdigest()


def rows_of(file: Path) -> Iterator[RawRow]:
    """Give a file's rows in order, in the format of its name; JSON lines in a `.json` file are read as such."""
    if file.suffix == ".parquet":
        return _parquet(file)
    if file.suffix == ".json":
        return _json(file)
    if file.suffix in {".jsonl", ".ndjson"}:
        return _lines(file)
    raise InputError(f"{file}: no reader for {file.suffix or 'a file without an ending'}; known: {', '.join(FORMATS)}")


def _parquet(file: Path) -> Iterator[RawRow]:
    import polars as pl

    try:
        frame = pl.read_parquet(file)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"{file}: this is no readable Parquet file: {error}") from error
    for row, value in enumerate(frame.iter_rows(named=True)):
        yield RawRow(row, None, value)


def _json(file: Path) -> Iterator[RawRow]:
    content = file.read_bytes().removeprefix(BOM)
    try:
        values = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        yield from _not_one_document(file, content, error)
        return
    for row, value in enumerate(values if isinstance(values, list) else [values]):
        good = isinstance(value, dict)
        yield RawRow(row, None, value) if good else RawRow(row, None, None, _no_object(value), orjson.dumps(value))


def _not_one_document(file: Path, content: bytes, error: orjson.JSONDecodeError) -> Iterator[RawRow]:
    """Read a `.json` file as lines when its first line is an object of its own, else reject it whole."""
    first = content.lstrip().split(b"\n", 1)[0]
    if first.lstrip().startswith(b"{") and _parsed(first)[0] is not None:
        yield from _lines(file)
        return
    reason = f"this is no JSON: {error.msg} in line {error.lineno}, column {error.colno}"
    yield RawRow(0, len(content[: error.pos]), None, reason, content)


def _lines(file: Path) -> Iterator[RawRow]:
    offset, row = 0, 0
    with file.open("rb") as content:
        for line in content:
            text = line.removeprefix(BOM) if offset == 0 else line
            if text.strip():
                value, reason = _parsed(text)
                yield RawRow(row, offset, value, reason, text.rstrip(b"\r\n"))
                row += 1
            offset += len(line)


def _parsed(line: bytes) -> tuple[dict[str, Any] | None, str]:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return None, f"this line is no JSON: {error.msg} in column {error.colno}"
    return (value, "") if isinstance(value, dict) else (None, _no_object(value))


def _no_object(value: object) -> str:
    return f"this row is {type(value).__name__} {str(value)[:40]!r} instead of an object"
