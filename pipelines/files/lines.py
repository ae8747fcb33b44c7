"""JSON Lines: a row a line; a line that is none is told apart and costs no other."""

import itertools
from collections.abc import Iterator
from io import BytesIO

import orjson
from xxhash import xxh3_128

from pipelines.files.rows import RAW_KEPT, Bad, Batch, Located, Row, bad, parsed
from pipelines.files.streams import BreakError


def read(pieces: Iterator[bytes], limit: int, offset: int = 0) -> Iterator[Batch]:
    """Give the lines' rows in batches; a blank line is no row, a line of more than `limit` bytes is never held whole.

    `offset` is where the first piece begins. Where the stream breaks, what follows the last whole line is one bad row.
    """
    row = 0
    for start, found in _lines(pieces, limit, offset):
        batch = _alone(found, start, row) if isinstance(found, Bad) else _batch(found, start, row)
        if batch.values:
            yield batch
        row += len(batch.values)


def whole(pieces: Iterator[bytes], limit: int, offset: int = 0) -> Iterator[tuple[int, bytes | Bad]]:
    """Give each line with its newline and its offset, blank ones too; one that is too long or cut off as a bad row."""
    for start, found in _lines(pieces, limit, offset):
        if isinstance(found, Bad):
            yield start, found
            continue
        at = start
        for line in found:
            yield at, line
            at += len(line)


def _alone(told: Bad, start: int, row: int) -> Batch:
    return Batch([told], row, lambda _at: (start, told.raw), len(told.raw), broken=True)


def _lines(pieces: Iterator[bytes], limit: int, offset: int) -> Iterator[tuple[int, list[bytes] | Bad]]:
    """Give runs of lines, each with its newline, and where they begin; a line above the limit as a bad row."""
    rest: list[bytes] = []  # of a line that hasn't ended yet
    held = 0
    try:
        while (piece := next(pieces, None)) is not None:
            lines = BytesIO(piece).readlines()  # half the time of `split`
            begun = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
            if lines:
                lines[0] = b"".join((*rest, lines[0]))
                yield offset, lines
                offset += held + len(piece) - len(begun)
                rest, held = [], 0
            rest.append(begun)
            held += len(begun)
            if held > limit:
                told, length, after = _skipped(rest, pieces, limit)
                yield offset, told
                offset += length
                rest, held, pieces = [], 0, itertools.chain((after,), pieces)
    except BreakError as error:
        yield offset, bad(str(error), b"".join(rest))
        return
    if held:
        yield offset, [b"".join(rest)]


def _skipped(rest: list[bytes], pieces: Iterator[bytes], limit: int) -> tuple[Bad, int, bytes]:
    """Go to the end of a line that is too long; gives it as a bad row, its length, and what follows it."""
    digest, length, after = xxh3_128(), 0, b""
    for piece in itertools.chain(rest, pieces):
        line, newline, after = piece.partition(b"\n")
        digest.update(line)
        length += len(line) + len(newline)
        if newline:
            break
    why = f"this row has {length:,} bytes, more than max_row_mib allows ({limit:,} bytes)"
    return Bad(why, b"".join(rest)[:RAW_KEPT], digest.hexdigest()), length, after


def _batch(lines: list[bytes], start: int, row: int) -> Batch:
    """Read lines, each with its newline or none."""
    try:
        values: list[Row | Bad] = list(map(orjson.loads, lines))
    except orjson.JSONDecodeError:
        return _one_by_one(lines, start, row)
    if set(map(type, values)) <= {dict}:
        return Batch(values, row, _places(lines, start), sum(map(len, lines)), broken=False)
    return _one_by_one(lines, start, row)


def _places(lines: list[bytes], start: int) -> Located:
    """Give the function that locates lines, found out when it is first asked."""
    offsets: list[int] = []

    def locate(at: int) -> tuple[int, bytes]:
        if not offsets:
            offsets.extend(itertools.accumulate(map(len, lines), initial=start))
        return offsets[at], lines[at].rstrip(b"\r\n")

    return locate


def _one_by_one(lines: list[bytes], start: int, row: int) -> Batch:
    values: list[Row | Bad] = []
    places: list[tuple[int, bytes]] = []
    for line in lines:
        if not line.isspace():
            values.append(parsed(line.removesuffix(b"\n")))
            places.append((start, line.rstrip(b"\r\n")))
        start += len(line)
    return Batch(values, row, places.__getitem__, sum(map(len, lines)), broken=True)
