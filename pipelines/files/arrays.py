"""Arrow batches to rows: a few MiB at a time by their decoded bytes, none above the limit, the others told.

What a file says of its arrays may be wrong, and following a wrong offset reads foreign memory: nothing is touched
before `fault` has found an array sound.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from xxhash import xxh3_128

from pipelines.files.rows import HELD, RAW_KEPT, Bad, Batch, Gathering, Row, as_json, bad, too_long
from pipelines.files.streams import BreakError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = npt.NDArray[np.int64]

ROWS = 1_000  # read at a time, fewer where they are long
SAID = 300  # characters of an error
MOST_LOST = 2_000_000  # rows that are told one by one; a row group has about a million at most
VIEW = 4  # 32-bit numbers of a text view, the first of them its length


def said(error: BaseException) -> str:
    """Give an error's words in one line of at most 300 characters, all of them printable."""
    words = re.sub(r"\s+", " ", str(error)).strip() or type(error).__name__
    return "".join(letter if letter.isprintable() else "?" for letter in words)[:SAID]


def broken() -> tuple[type[Exception], ...]:
    """Give what reading a broken file raises: a size or a name in it may be anything."""
    import pyarrow as pa

    return (pa.ArrowException, OSError, UnicodeDecodeError, KeyError, MemoryError, BreakError)


def fault(batch: Any) -> str | None:
    """Say what makes a batch's arrays unsound; null where all offsets and indices are within their bounds.

    Texts are looked at as bytes: one that is no UTF-8 makes a bad row, not a bad batch.
    """
    import pyarrow as pa

    try:
        for column in batch.columns:
            try:
                column.view(_bytes(column.type)).validate(full=True)
            except (pa.ArrowNotImplementedError, pa.ArrowTypeError):  # some types have no such view
                column.validate(full=True)
    except (pa.ArrowException, ValueError, TypeError) as error:
        return said(error)
    return None


def _bytes(kind: Any) -> Any:
    """Give an Arrow type with bytes in the place of texts, at any depth."""
    import pyarrow as pa

    texts = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary(), pa.string_view(): pa.binary_view()}
    if kind in texts:
        return texts[kind]
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_bytes(field.type)) for field in kind])
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_bytes(kind.value_type)))
    if pa.types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(_bytes(kind.value_type)))
    if pa.types.is_dictionary(kind):
        return pa.dictionary(kind.index_type, _bytes(kind.value_type), kind.ordered)
    return kind


def lengths(array: Any) -> "Numbers":
    """Give how many bytes each value of an array has when it is decoded, texts inside of it too.

    The buffers are read as they are: pyarrow's own functions load pandas, which takes 40 MiB.
    """
    import numpy as np
    import pyarrow as pa

    kind, types = array.type, pa.types
    found: Numbers = np.zeros(len(array), np.int64)
    if not len(array):
        pass
    elif types.is_struct(kind):
        found = sum(map(lengths, array.flatten()), found)
    elif types.is_list(kind) or types.is_large_list(kind):
        found = _between(array, np.concatenate(([0], lengths(array.values).cumsum())))
    elif types.is_map(kind):
        found = _between(array, np.concatenate(([0], (lengths(array.keys) + lengths(array.items)).cumsum())))
    elif types.is_dictionary(kind):
        each = np.concatenate((lengths(array.dictionary), [0]))  # a null may say any index
        indices = _numbers(array.indices.buffers()[1], str(kind.index_type), array.offset, len(array))
        found = each[np.clip(indices, 0, len(each) - 1)]
    elif kind in {pa.string(), pa.large_string(), pa.binary(), pa.large_binary()}:
        found = _between(array, None)
    elif types.is_string_view(kind) or types.is_binary_view(kind):
        views = _numbers(array.buffers()[1], "int32", VIEW * array.offset, VIEW * len(array))
        found = np.where(array.is_valid().to_numpy(zero_copy_only=False), views[::VIEW], found)
    else:
        found += array.nbytes // len(array)
    return found


def _numbers(buffer: Any, kind: str, start: int, count: int) -> "Numbers":
    import numpy as np

    return np.frombuffer(buffer, kind, start + count)[start:]


def _between(array: Any, ends: "Numbers | None") -> "Numbers":
    """Give what lies between an array's offsets: bytes, or values up to each of which there are `ends` bytes."""
    import numpy as np
    import pyarrow as pa

    large = array.type in {pa.large_string(), pa.large_binary()} or pa.types.is_large_list(array.type)
    found = _numbers(array.buffers()[1], "int64" if large else "int32", array.offset, len(array) + 1)
    return np.diff(found.astype(np.int64) if ends is None else ends[found])


def sizes(batch: Any) -> list[int]:
    """Give how many bytes each row of a batch has when it is decoded."""
    import numpy as np

    total: Numbers = sum(map(lengths, batch.columns), np.zeros(batch.num_rows, np.int64))
    found: list[int] = total.tolist()
    return found


def added(rows: Gathering, batch: Any, told: list[int], limit: int) -> Iterator[Batch]:
    """Add a sound batch's rows, whose sizes are `told`; one of more than `limit` bytes is a bad row."""
    for start, stop in _runs(told, min(limit, HELD)):
        part = batch.slice(start, stop - start)
        if told[start] > limit:
            values: list[Row | Bad] = [_too_long(part, told[start], limit)]
        else:
            try:
                values = part.to_pylist()
            except (ValueError, OverflowError, LookupError):
                values = [_alone(part.slice(at, 1)) for at in range(part.num_rows)]
        for value, size in zip(values, told[start:stop], strict=True):
            yield from rows.add(value, None, size=size)


def _runs(told: list[int], most: int) -> Iterator[tuple[int, int]]:
    """Part rows into runs of at most 1,000 rows and `most` bytes, or of one row."""
    start = held = 0
    for at, size in enumerate(told):
        if at > start and (held + size > most or at - start == ROWS):
            yield start, at
            start, held = at, 0
        held += size
    if told:
        yield start, len(told)


def _alone(row: Any) -> Row | Bad:
    """Read a row; times that Python has no value for are the numbers that they are stored as."""
    try:
        return row.to_pylist()[0]  # type: ignore[no-any-return] # a dict
    except UnicodeDecodeError as error:
        return _unread(row, error)
    except (ValueError, OverflowError, LookupError):
        try:
            return _as_numbers(row).to_pylist()[0]  # type: ignore[no-any-return] # a dict
        except (ValueError, OverflowError, LookupError) as error:
            return _unread(row, error)


def _unread(row: Any, error: Exception) -> Bad:
    return Bad(f"this row can't be read: {said(error)}", _head(row), _digest(row))


def _as_numbers(row: Any) -> Any:
    import pyarrow as pa

    def plain(column: Any) -> Any:
        kind = column.type
        if not pa.types.is_temporal(kind) or pa.types.is_interval(kind):
            return column
        return column.view(pa.int32() if kind.bit_width == pa.int32().bit_width else pa.int64())

    return pa.RecordBatch.from_arrays([plain(column) for column in row.columns], names=row.schema.names)


def _too_long(row: Any, size: int, limit: int) -> Bad:
    return Bad(too_long(size, limit), _head(row), _digest(row))


def _head(row: Any) -> bytes:
    """Give the beginning of a row of any length as JSON."""
    import pyarrow as pa

    def begun(column: Any) -> Any:
        value = column[0]
        if isinstance(value, (pa.StringScalar, pa.LargeStringScalar, pa.StringViewScalar)) and value.is_valid:
            return bytes(memoryview(value.as_buffer())[:RAW_KEPT]).decode("utf-8", "replace")
        return str(column.type)

    return as_json(dict(zip(row.schema.names, map(begun, row.columns), strict=True)))[:RAW_KEPT]


def _digest(row: Any) -> str:
    """Hash a row of any length as the Arrow stream that it would be, without holding that."""
    import pyarrow as pa

    sink = _Digest()
    with pa.PythonFile(sink, mode="w") as file, pa.ipc.new_stream(file, row.schema) as writer:
        writer.write_batch(row)
    return sink.digest.hexdigest()


class _Digest:
    """A file that is hashed instead of written."""

    closed = False

    def __init__(self) -> None:
        self.digest = xxh3_128()

    def write(self, content: Any) -> int:
        """Hash the next bytes."""
        self.digest.update(content)
        return len(content)

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing is open."""


def lost(rows: Gathering, count: int, reason: str) -> Iterator[Batch]:
    """Tell `count` rows of which none can be read, each as a bad row so that those behind them keep their numbers.

    Of more than two million, as a broken file may claim, there is one bad row, and the numbers go on behind them.
    """
    if count > MOST_LOST:
        yield from rows.add(bad(f"{count:,} rows from this one on: {reason}", b""), None, b"")
        yield from rows.rest()
        rows.row += count - 1
        return
    told = bad(reason, b"")
    for _row in range(count):
        yield from rows.add(told, None, b"")
