"""Parquet and Arrow: broken arrays, lost row groups, rows above the limit, dictionaries that expand."""

import io
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.files.places import Place
from pipelines.files.read import RawRow, read, rows_of
from pipelines.files.rows import Bad
from pipelines.files.streams import BombError

MIB = 1 << 20
ROWS = [{"instruction": f"q{at}", "output": f"r{at}" * 9} for at in range(3_000)]
FLIPS = """
import random, sys
from pathlib import Path
from pipelines.files.read import rows_of
from schemas.errors import InputError

file, copy, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
content = file.read_bytes()
for at in range(100):
    draw = random.Random(seed * 1000 + at)
    flipped = bytearray(content)
    for _flip in range(draw.choice([1, 1, 2, 5])):
        flipped[draw.randrange(len(content))] ^= draw.randrange(1, 256)
    copy.write_bytes(flipped)
    try:
        assert all(row.reason.isprintable() for row in rows_of(copy))
    except InputError:
        pass
"""


def packed(write: Any, rows: list[dict[str, Any]] = ROWS, per_batch: int = 1_000, **options: Any) -> bytes:
    content = io.BytesIO()
    table = pa.Table.from_pylist(rows)
    with write(content, table.schema, **options) as writer:
        for at in range(0, len(rows), per_batch):
            writer.write(table.slice(at, per_batch).combine_chunks().to_batches()[0])
    return content.getvalue()


def parquet(rows: list[dict[str, Any]], **options: Any) -> bytes:
    content = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), content, **options)
    return content.getvalue()


def rows(folder: Path, name: str, content: bytes) -> list[RawRow]:
    (folder / name).write_bytes(content)
    return list(rows_of(folder / name))


@pytest.mark.parametrize("offsets", [(0, 1, 2**31 - 1, 3), (0, 1, -5, 3), (0, 3, 1, 3)])
def test_broken_offsets_read_no_foreign_memory_and_cost_no_other_batch(
    tmp_path: Path, offsets: tuple[int, int, int, int]
) -> None:
    def batch(*ends: int) -> Any:
        texts = pa.Array.from_buffers(
            pa.string(), 3, [None, pa.array(ends, pa.int32()).buffers()[1], pa.py_buffer(b"abc")]
        )
        return pa.record_batch([texts, pa.array(["x", "y", "z"])], names=["instruction", "output"])

    for write in (pa.ipc.new_file, pa.ipc.new_stream):
        content = io.BytesIO()
        good, broken = batch(0, 1, 2, 3), batch(*offsets)
        with write(content, good.schema) as writer:
            for one in (good, broken, good):
                writer.write_batch(one)
        found = rows(tmp_path, "x.arrow", content.getvalue())
        assert [row.value and row.value["instruction"] for row in found] == ["a", "b", "c", *[None] * 3, "a", "b", "c"]
        assert [row.row for row in found] == list(range(9))
        assert all("record batch are broken" in row.reason for row in found[3:6])


@pytest.mark.parametrize("kind", ["plain.parquet", "packed.parquet", "file.arrow", "stream.arrow", "packed.arrow"])
def test_flipped_bytes_never_crash_nor_raise(tmp_path: Path, kind: str) -> None:
    some = [
        {
            "instruction": f"q{at}" * (at % 5),
            "messages": [{"role": "user", "content": f"é{at}"}] * (at % 3),
            "n": at,
            "at": datetime(2024, 1, 1 + at % 28, tzinfo=UTC),
        }
        for at in range(60)
    ]
    options = {"options": pa.ipc.IpcWriteOptions(compression="zstd" if kind == "packed.arrow" else None)}
    content = {
        "plain.parquet": lambda: parquet(some, row_group_size=20, compression="none"),
        "packed.parquet": lambda: parquet(some, row_group_size=20, compression="zstd"),
        "file.arrow": lambda: packed(pa.ipc.new_file, some, 20, **options),
        "stream.arrow": lambda: packed(pa.ipc.new_stream, some, 20, **options),
        "packed.arrow": lambda: packed(pa.ipc.new_file, some, 20, **options),
    }[kind]()
    (tmp_path / kind).write_bytes(content)
    done = subprocess.run(  # a crash ends the process
        [sys.executable, "-c", FLIPS, str(tmp_path / kind), str(tmp_path / f"flipped.{kind}"), "7"],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": "."},
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_rows_behind_a_broken_row_group_keep_their_numbers(tmp_path: Path) -> None:
    content = bytearray(parquet(ROWS, row_group_size=1_000, compression="none", use_dictionary=False))
    at = pq.ParquetFile(io.BytesIO(content)).metadata.row_group(1).column(0).data_page_offset
    content[at : at + 8] = b"\xff" * 8  # the header of the group's first page
    found = rows(tmp_path, "x.parquet", bytes(content))
    assert [row.value for row in found] == ROWS[:1000] + [None] * 1000 + ROWS[2000:]
    assert [row.row for row in found] == list(range(3000))
    assert "row group 1 can't be read" in found[1000].reason
    assert all(row.reason.isprintable() for row in found)


def test_an_arrow_file_that_is_cut_off_is_read_up_to_there(tmp_path: Path) -> None:
    content = packed(pa.ipc.new_file)
    for part, good in ((0.5, 1_000), (0.99, 2_000)):
        *kept, last = rows(tmp_path, "x.arrow", content[: int(len(content) * part)])
        assert [row.value for row in kept] == ROWS[:good]
        assert "no readable Arrow file" in last.reason
    *kept, last = rows(tmp_path, "x.arrow", content[:-100])
    assert [row.value for row in kept] == ROWS
    assert "its end is missing" in last.reason


def test_a_time_that_python_has_no_value_for_costs_no_row(tmp_path: Path) -> None:
    table = pa.table(
        {
            "instruction": ["a", "b"],
            "at": pa.array([0, 2**62], pa.timestamp("us")),
            "day": pa.array([1, 10**9], pa.int32()).view(pa.date32()),
        }
    )
    content = io.BytesIO()
    pq.write_table(table, content)
    found = rows(tmp_path, "x.parquet", content.getvalue())
    assert [row.value and row.value["instruction"] for row in found] == ["a", "b"]
    assert found[1].value == {"instruction": "b", "at": 2**62, "day": 10**9}


@pytest.mark.parametrize("name", ["x.parquet", "x.arrow", "views.arrow", "lists.arrow"])
def test_a_row_above_the_limit_is_bad_in_a_table_too(tmp_path: Path, name: str) -> None:
    few: list[dict[str, Any]] = [
        {"instruction": "a", "output": size * "x"} for size in (1, 3 * MIB, 1, MIB + 1, MIB - 1, 1)
    ]
    if name == "lists.arrow":
        few = [{"instruction": "a", "output": [{"content": row["output"]}]} for row in few]
    table = pa.Table.from_pylist(few)
    if name == "views.arrow":
        table = table.cast(pa.schema([("instruction", pa.string_view()), ("output", pa.string_view())]))
    content = io.BytesIO()
    if name == "x.parquet":
        pq.write_table(table, content)
    else:
        with pa.ipc.new_file(content, table.schema) as writer:
            writer.write_table(table)
    (tmp_path / name).write_bytes(content.getvalue())
    found = [value for batch in read(Place(name), tmp_path / name, MIB).batches for value in batch.values]
    assert [at for at, value in enumerate(found) if isinstance(value, Bad)] == [1, 3]
    assert "3,145,729 bytes, more than max_row_mib" in found[1].reason  # type: ignore[union-attr] # bad
    assert found[1].raw.startswith(b'{"instruction":"a","output":"')  # type: ignore[union-attr] # bad
    assert found[1].hash != found[3].hash  # type: ignore[union-attr] # bad
    assert [value for value in found if not isinstance(value, Bad)] == [few[0], few[2], few[4], few[5]]


@pytest.mark.parametrize("name", ["x.parquet", "x.arrow"])
def test_a_table_that_grows_beyond_measure_is_refused_before_it_has_grown(tmp_path: Path, name: str) -> None:
    text = "x" * (MIB // 2)
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 1_000, pa.int32()), [text])
    table = pa.table({"instruction": ["a"] * 1_000, "output": column})
    content = io.BytesIO()
    if name == "x.parquet":
        pq.write_table(table.cast(pa.schema([("instruction", pa.string()), ("output", pa.string())])), content)
    else:
        with pa.ipc.new_file(content, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
            writer.write_table(table)
    (tmp_path / name).write_bytes(content.getvalue())
    seen = 0
    with pytest.raises(BombError, match="decompression bomb"):  # noqa: PT012 - how much it gave before is looked at
        for batch in read(Place(name), tmp_path / name).batches:
            seen += len(batch.values)
    assert seen < 200


def test_a_long_text_that_each_row_has_makes_no_bomb_of_a_table(tmp_path: Path) -> None:
    count, system = 40_000, "You are a careful assistant. " * 80
    table = pa.table({"system": [system] * count, "instruction": [f"Add {at} and 1." for at in range(count)]})
    pq.write_table(table, tmp_path / "x.parquet", compression="zstd")
    assert (tmp_path / "x.parquet").stat().st_size * 100 < count * len(system)
    assert sum(len(batch.values) for batch in read(Place("x.parquet"), tmp_path / "x.parquet").batches) == count


def test_a_table_that_is_something_else_says_what_it_is(tmp_path: Path) -> None:
    table, stream = parquet(ROWS[:3]), packed(pa.ipc.new_file, ROWS[:3])
    for name, content, told in [
        ("x.parquet", b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS pointer"),
        ("x.arrow", b"<!DOCTYPE html><html>", "HTML page"),
        ("x.arrow", table, "Parquet file; its name must end in .parquet"),
        ("x.parquet", stream, "Arrow file; its name must end in .arrow"),
    ]:
        [row] = rows(tmp_path, name, content)
        assert told in row.reason
