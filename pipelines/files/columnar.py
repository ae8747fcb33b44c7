"""Parquet and Arrow: rows a batch at a time; what is there before and behind a break is read."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from pipelines.files.arrays import ROWS, added, broken, fault, lengths, lost, said, sizes
from pipelines.files.rows import HELD, Batch, Gathering, bad
from pipelines.files.streams import BreakError, bound, foreign

SPOOLED = 64 << 20  # bytes of a decompressed file that are held in memory; more lie in a temporary file
MAGIC = {"Parquet": b"PAR1", "Arrow": b"ARROW1"}
BEHIND = 8  # bytes of an Arrow file's magic, behind which it is a stream
FEW = 16  # rows of 4 MiB: these are long, and so is what their dictionaries hold, which isn't read only to be measured
EXPANDED = 96 << 20  # bytes to which dictionaries may expand at a time
REPEATED = 2_500  # bytes that a byte of a table may become: a long text that each row has is stored once
BUFFER = 1 << 16  # bytes of a row group's columns that are read to see their dictionaries


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


class _Table:
    """A file of batches being read: its rows so far, their limit, and what it may decode to."""

    def __init__(self, content: BinaryIO, name: str, limit: int) -> None:
        self.rows, self.content, self.name, self.limit = Gathering(), content, name, limit
        self.packed, self.plain = content.seek(0, 2), 0
        content.seek(0)

    def add(self, batch: Any) -> Iterator[Batch]:
        """Add a batch's rows, or as many bad ones where its arrays are unsound; raises `BombError`."""
        if not batch.num_rows:
            return
        why = fault(batch)
        if why:
            yield from lost(self.rows, batch.num_rows, f"the arrays of this row's record batch are broken: {why}")
            return
        told = sizes(batch)
        self.plain += sum(told)
        bound(self.name, self.packed, self.plain, REPEATED)
        yield from added(self.rows, batch, told, self.limit)


def parquet(file: Path, pieces: Iterator[bytes] | None, limit: int) -> Iterator[Batch]:
    """Give the rows; each row of a broken row group is a bad one, and so is a file whose footer can't be read.

    A row of more than `limit` bytes is a bad one; raises `BombError` for a file that grows beyond measure.
    """
    return _told(file, pieces, limit, "Parquet", _groups)


def arrow(file: Path, pieces: Iterator[bytes] | None, limit: int) -> Iterator[Batch]:
    """Give the rows of an Arrow IPC file (Feather too) or stream; one that is cut off is read up to there.

    Each row of a record batch with broken arrays is a bad one, and so is one of more than `limit` bytes; a batch that
    isn't there is one bad row. Raises `BombError` for a file that grows beyond measure.
    """
    return _told(file, pieces, limit, "Arrow", _record_batches)


def _told(
    file: Path,
    pieces: Iterator[bytes] | None,
    limit: int,
    kind: str,
    read: Callable[[_Table], Iterator[Batch]],
) -> Iterator[Batch]:
    """Give what is read of a file, and what ends it before its time as a bad row."""
    rows = Gathering()
    try:
        with opened(file, pieces) as content:
            table = _Table(content, str(file), limit)
            rows = table.rows
            head = content.read(64)
            content.seek(0)
            what = None if head.startswith(MAGIC[kind]) else foreign(head)
            yield from rows.add(bad(what, head), None, b"") if what else read(table)
    except broken() as error:
        yield from rows.add(bad(f"this is no readable {kind} file: {said(error)}", b""), None, b"")
    yield from rows.rest()


def _groups(table: _Table) -> Iterator[Batch]:
    """Give the rows of a Parquet file's row groups; those of one that breaks are lost from there on."""
    import pyarrow.parquet

    file = pyarrow.parquet.ParquetFile(table.content, arrow_extensions_enabled=False)
    for group in range(file.num_row_groups):
        told = file.metadata.row_group(group)
        done = 0
        try:
            for batch in file.iter_batches(_at_once(table, file, group), row_groups=[group], use_threads=False):
                yield from table.add(batch)
                done += batch.num_rows
        except broken() as error:
            why = f"row group {group} can't be read from this row on: {said(error)}"
            yield from lost(table.rows, told.num_rows - done, why)


def _at_once(table: _Table, file: Any, group: int) -> int:
    """Give how many rows of a row group to decode at once: 4 MiB of them, 96 MiB where all are the longest of it."""
    told = file.metadata.row_group(group)
    few = max(1, min(ROWS, HELD * told.num_rows // max(1, told.total_byte_size)))
    if few * told.total_byte_size <= EXPANDED:  # whatever of it is the longest
        return int(few)
    longest = told.total_byte_size if few <= FEW else _longest(table, file, group)
    return max(1, min(int(few), EXPANDED // max(1, longest)))


def _longest(table: _Table, file: Any, group: int) -> int:
    """Give how many bytes a row may take from the dictionaries of a row group's columns.

    What the footer tells of a column is not asked: where that is broken pyarrow ends the process.
    """
    import pyarrow.parquet

    columns = [file.schema.column(at) for at in range(len(file.schema))]
    named = [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]
    if not named:
        return 0
    options = {"metadata": file.metadata, "read_dictionary": named, "arrow_extensions_enabled": False}
    looked_into = pyarrow.parquet.ParquetFile(table.content, buffer_size=BUFFER, **options)
    first = next(looked_into.iter_batches(1, row_groups=[group], columns=named), None)
    return sum(map(_in_dictionary, first.columns)) if first else 0


def _in_dictionary(array: Any) -> int:
    """Give how many bytes the longest value of an array's dictionaries has."""
    import pyarrow as pa

    if pa.types.is_dictionary(array.type):
        return int(lengths(array.dictionary).max(initial=0))
    if pa.types.is_struct(array.type):
        return sum(map(_in_dictionary, array.flatten()))
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        return _in_dictionary(array.values)
    return 0


def _record_batches(table: _Table) -> Iterator[Batch]:
    """Give the rows of an Arrow file's record batches, each for itself; of a stream, up to where it breaks."""
    import pyarrow as pa

    whole = table.content.read(len(MAGIC["Arrow"])) == MAGIC["Arrow"]
    table.content.seek(0)
    if whole:
        try:
            file = pa.ipc.open_file(table.content)
        except broken():  # its end is missing
            table.content.seek(BEHIND)
        else:
            yield from _each(table, file)
            return
    for batch in pa.ipc.open_stream(table.content):
        yield from table.add(batch)
    if whole:
        raise BreakError("it is cut off here: its end is missing")


def _each(table: _Table, file: Any) -> Iterator[Batch]:
    for at in range(file.num_record_batches):
        try:
            batch = file.get_batch(at)
        except broken() as error:
            yield from lost(table.rows, 1, f"record batch {at} can't be read, however many rows it has: {said(error)}")
        else:
            yield from table.add(batch)
