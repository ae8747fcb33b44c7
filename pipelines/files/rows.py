"""Raw rows as they lie in a file, many at a time; the bad ones among them with the reason."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from xxhash import xxh3_128, xxh3_128_hexdigest

HELD = 4 << 20  # bytes of rows in a batch, unless one has more
RAW_KEPT = 300  # bytes of a bad row that are stored

CONFLICT = re.compile(rb"(?:<{7}|={7}|>{7}|\|{7})(?:[ \r\n]|$)")
CONFLICTING = "this is a mark of a merge conflict: its two sides are both read"

Row = dict[str, Any]
Located = Callable[[int], tuple[int | None, bytes]]


class Bad(NamedTuple):
    """What is no row: the reason, its first bytes, and the hash of all of them (XXH3 of 128 bits, as of samples)."""

    reason: str
    raw: bytes
    hash: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows in order: a dict or a `Bad` each; the number of the first, from 0; `broken` tells whether any is bad.

    `size` is about how many bytes the rows have, so that few long ones are held at once.
    `locate` gives the offset (bytes from the start of the decompressed file, null where the format has none) and the
    raw bytes of the row at an index: only bad rows need them, so they are worked out on demand.
    """

    values: list[Row | Bad]
    row: int
    locate: Located
    size: int
    broken: bool


class Garbage:
    """What could not be read, of any length: its beginning is kept and all of it is hashed."""

    def __init__(self, reason: str, raw: bytes = b"") -> None:
        self.reason, self.raw, self.length, self.digest = reason, b"", 0, xxh3_128()
        self.add(raw)

    def add(self, raw: bytes) -> None:
        """Add the next of it."""
        self.raw += raw[: max(0, RAW_KEPT - len(self.raw))]
        self.length += len(raw)
        self.digest.update(raw)

    def told(self) -> Bad:
        """Give it as a bad row."""
        return Bad(self.reason, self.raw, self.digest.hexdigest())


def bad(reason: str, raw: bytes) -> Bad:
    """Give a bad row from all of its bytes."""
    return Bad(reason, raw[:RAW_KEPT], xxh3_128_hexdigest(raw))


def too_long(size: int, limit: int) -> str:
    """Say that a row has more bytes than it may have."""
    return f"this row has {size:,} bytes, more than max_row_mib allows ({limit:,} bytes)"


def parsed(raw: bytes, what: str = "line") -> Row | Bad:
    """Give the object that the bytes of a row hold as JSON, or why they hold none."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        why = not_utf8(raw, what) or _known(raw) or f"this {what} is no JSON: {error.msg} in column {error.pos + 1}"
        return bad(why, raw.rstrip(b"\r\n"))
    return value if isinstance(value, dict) else no_object(value, raw)


def _known(raw: bytes) -> str | None:
    """Say what a line is that is often found among JSON lines; null where it is something else."""
    if CONFLICT.match(raw):
        return CONFLICTING
    if raw.strip() in {b"{", b"[{"}:
        return "this line is no JSON: where objects go over several lines, the file's name must end in .json"
    return None


def not_utf8(raw: bytes, what: str) -> str | None:
    """Say which byte of a row is no UTF-8, and what to do; null where all are."""
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return (
            f"this {what} is no UTF-8: its byte {error.start} is {raw[error.start]:#04x}. "
            "Where all of the file has another encoding, convert it: iconv -f WINDOWS-1252 -t UTF-8"
        )
    return None


def no_object(value: object, raw: bytes) -> Bad:
    """Give the bad row that is another value than an object."""
    return bad(f"this row is {type(value).__name__} {str(value)[:40]!r} instead of an object", raw.rstrip(b"\r\n"))


class Gathering:
    """Rows that are found one by one, gathered into batches of `most`, or of 4 MiB where they are long."""

    def __init__(self, most: int = 1_000) -> None:
        self.most, self.row, self.held = most, 0, 0
        self.values: list[Row | Bad] = []
        self.places: list[tuple[int | None, bytes | None]] = []

    def add(
        self, value: Row | Bad, offset: int | None, raw: bytes | None = None, size: int | None = None
    ) -> Iterator[Batch]:
        """Add a row; gives the batch that it fills, if it does. Without `raw` a row is told as its JSON.

        `size` is about how many bytes it has, `raw`'s unless told.
        """
        self.values.append(value)
        self.places.append((offset, raw))
        self.held += len(raw or b"") if size is None else size
        if len(self.values) >= self.most or self.held >= HELD:
            yield from self.rest()

    def rest(self) -> Iterator[Batch]:
        """Give what is left as the last batch."""
        if self.values:
            broken = any(isinstance(value, Bad) for value in self.values)
            yield Batch(self.values, self.row, _told(self.values, self.places), self.held, broken)
            self.row += len(self.values)
            self.values, self.places, self.held = [], [], 0


def _told(values: list[Row | Bad], places: list[tuple[int | None, bytes | None]]) -> Located:
    def locate(at: int) -> tuple[int | None, bytes]:
        offset, raw = places[at]
        return offset, as_json(values[at]) if raw is None else raw

    return locate


def as_json(value: object) -> bytes:
    """Give a value as JSON bytes, whatever it holds."""
    try:
        return orjson.dumps(value, default=repr, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # a lone surrogate, say
        return repr(value).encode("utf-8", "backslashreplace")
