"""JSON Lines: a row a line; a line that is none is told apart and costs no other."""

import itertools
from collections.abc import Callable, Iterator
from io import BytesIO

import orjson

from pipelines.files.rows import Bad, Batch, Garbage, Located, Row, parsed, too_long
from pipelines.files.streams import BreakError


def read(pieces: Iterator[bytes], limit: int, offset: int = 0) -> Iterator[Batch]:
    """Give the lines' rows in batches; a blank line is no row, a line of more than `limit` bytes is never held whole.

    `offset` is where the first piece begins. Where the stream breaks, what follows the last whole line is one bad row.
    """
    row = 0
    for start, found in _lines(pieces, limit, offset):
        batch = _alone(found.told(), start, row) if isinstance(found, Garbage) else _batch(found, start, row)
        if batch.values:
            yield batch
        row += len(batch.values)


def whole(
    pieces: Iterator[bytes], limit: int, offset: int, before: Callable[[bytes], bytes]
) -> Iterator[tuple[int, bytes | Garbage]]:
    """Give each line with its newline and its offset, blank ones too; one that is too long or cut off as garbage.

    That begins with what is `before` it in its row, which the line's beginning is handed to.
    """
    for start, found in _lines(pieces, limit, offset, before):
        if isinstance(found, Garbage):
            yield start, found
            continue
        at = start
        for line in found:
            yield at, line
            at += len(line)


def _alone(told: Bad, start: int, row: int) -> Batch:
    return Batch([told], row, lambda _at: (start, told.raw), len(told.raw), broken=True)


def _lines(
    pieces: Iterator[bytes], limit: int, offset: int, before: Callable[[bytes], bytes] = lambda _line: b""
) -> Iterator[tuple[int, list[bytes] | Garbage]]:
    """Give runs of lines, each with its newline, and where they begin; a line above the limit as garbage."""
    rest: list[bytes] = []  # of a line that hasn't ended yet
    held = 0
    try:
        while (piece := next(pieces, None)) is not None:
            lines = BytesIO(piece).readlines()  # half the time of `split`
            begun = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
            if lines:
                lines[0] = b"".join((*rest, lines[0]))
                end = offset + held + len(piece) - len(begun)
                if held and len(lines[0]) > limit + 1:  # with its newline
                    told, length, _after = _skipped([lines[0]], iter(()), limit, before)
                    yield offset, told
                    offset += length
                    del lines[0]
                yield offset, lines
                offset, rest, held = end, [], 0
            rest.append(begun)
            held += len(begun)
            if held > limit:
                told, length, after = _skipped(rest, pieces, limit, before)
                yield offset, told
                offset += length
                rest, held, pieces = [], 0, itertools.chain((after,), pieces)
    except BreakError as error:
        left = b"".join(rest)
        yield offset, Garbage(str(error), before(left) + left)
        return
    if held:
        yield offset, [b"".join(rest)]


def _skipped(
    rest: list[bytes], pieces: Iterator[bytes], limit: int, before: Callable[[bytes], bytes]
) -> tuple[Garbage, int, bytes]:
    """Go to the end of a line that is too long; gives it as garbage, its length, and what follows it."""
    told, length, after = Garbage("", before(rest[0])), 0, b""
    for piece in itertools.chain(rest, pieces):
        line, newline, after = piece.partition(b"\n")
        told.add(line)
        length += len(line) + len(newline)
        if newline:
            break
    told.reason = too_long(told.length, limit)
    return told, length, after


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
