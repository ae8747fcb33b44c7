"""Parquet and Arrow: rows a batch at a time; what is there before a break is read."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from pipelines.files.rows import HELD, Bad, Batch, Gathering, Row, as_json, bad
from pipelines.files.streams import BreakError

ROWS = 1_000  # read at a time, fewer where they are long
SPOOLED = 64 << 20  # bytes of a decompressed file that are held in memory; more lie in a temporary file


@contextmanager
def opened(file: Path, pieces: Iterator[bytes] | None) -> Iterator[BinaryIO]:
    """Give a file that can be read at any place: the file itself, or a temporary one of its decompressed pieces."""
    if pieces is None:
        with file.open("rb") as content:
            yield content
        return
    with tempfile.SpooledTemporaryFile(SPOOLED) as content:
        for piece in pieces:
            content.write(piece)
        content.seek(0)
        yield content  # type: ignore[misc] # a spooled file is a file


def parquet(file: Path, pieces: Iterator[bytes] | None) -> Iterator[Batch]:
    """Give the rows; a row group that is broken is one bad row, and so is a file whose footer can't be read."""
    import pyarrow as pa
    import pyarrow.parquet

    rows = Gathering()
    try:
        with opened(file, pieces) as content:
            table = pyarrow.parquet.ParquetFile(content, arrow_extensions_enabled=False)
            for group in range(table.num_row_groups):
                done = 0
                try:
                    told = table.metadata.row_group(group)
                    for batch in table.iter_batches(_at_once(told.num_rows, told.total_byte_size), row_groups=[group]):
                        yield from _rows(rows, batch)
                        done += batch.num_rows
                except (pa.ArrowException, OSError) as error:
                    left = table.metadata.row_group(group).num_rows - done
                    yield from rows.add(bad(f"{left} rows of row group {group} can't be read: {error}", b""), None, b"")
    except (pa.ArrowException, OSError, BreakError) as error:
        yield from _broken(rows, f"this is no readable Parquet file: {error}")
    yield from rows.rest()


def arrow(file: Path, pieces: Iterator[bytes] | None) -> Iterator[Batch]:
    """Give the rows of an Arrow IPC file (Feather too) or stream; what is broken and behind it is one bad row."""
    import pyarrow as pa

    rows = Gathering()
    try:
        with opened(file, pieces) as content:
            whole = content.read(6) == b"ARROW1"
            content.seek(0)
            for batch in _ipc_file(pa, content) if whole else pa.ipc.open_stream(content):
                yield from _rows(rows, batch)
    except (pa.ArrowException, OSError, BreakError) as error:
        yield from _broken(rows, f"this is no readable Arrow file: {error}")
    yield from rows.rest()


def _ipc_file(pa: Any, content: BinaryIO) -> Iterator[Any]:
    table = pa.ipc.open_file(content)
    for at in range(table.num_record_batches):
        yield table.get_batch(at)


def _broken(rows: Gathering, reason: str) -> Iterator[Batch]:
    yield from rows.add(bad(reason, b""), None, b"")


def _rows(rows: Gathering, batch: Any) -> Iterator[Batch]:
    """Add an Arrow batch's rows one by one; a row that holds what is no UTF-8 is a bad one."""
    step = _at_once(batch.num_rows, batch.nbytes)
    for start in range(0, batch.num_rows, step):
        part = batch.slice(start, step)
        try:
            values = part.to_pylist()
        except (UnicodeDecodeError, ValueError):
            values = [_alone(part.slice(at, 1)) for at in range(part.num_rows)]
        for value in values:
            yield from rows.add(value, None, size=batch.nbytes // batch.num_rows)


def _at_once(rows: int, size: int) -> int:
    """Give how many of so many rows of so many bytes in all to hold at once."""
    return max(1, min(ROWS, HELD * rows // max(1, size)))


def _alone(row: Any) -> Row | Bad:
    try:
        return row.to_pylist()[0]  # type: ignore[no-any-return] # a dict
    except (UnicodeDecodeError, ValueError) as error:
        return bad(f"this row can't be read: {error}", as_json(str(row)))
