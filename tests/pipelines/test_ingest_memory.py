"""Memory: few long rows are held at once, and no bad ones while the first good row is looked for."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import polars as pl
import pytest

ROWS = 80
LONG = 2_000_000  # characters of a row
MOST = 350  # MiB; a Python with polars and all parts of ingest has 60, and the rows are 160
SCRIPT = (
    "import re, sys; from pathlib import Path; "
    "from pipelines.ingest import ingest; from pipelines.sources import Source; "
    "facts = ingest(Path(sys.argv[2]), [Source(path=sys.argv[1])]).facts; "
    "peak = re.search(r'VmHWM:\\s+(\\d+) kB', Path('/proc/self/status').read_text())[1]; "
    "print(facts['samples'], facts['rows'], int(peak) // 1024)"
)


def rows() -> Iterator[dict[str, str]]:
    return ({"instruction": f"Say {at}.", "output": f"{at:09} " * (LONG // 10)} for at in range(ROWS))


def jsonl(file: Path) -> None:
    with file.open("wb") as out:
        out.writelines(orjson.dumps(row) + b"\n" for row in rows())


def turns(file: Path) -> None:
    with file.open("wb") as out:
        for row in rows():
            said = [{"role": "user", "content": row["instruction"]}, {"role": "assistant", "content": row["output"]}]
            out.write(orjson.dumps({"messages": said}) + b"\n")


def document(file: Path) -> None:
    file.write_bytes(b"[" + b",".join(map(orjson.dumps, rows())) + b"]")


def table(file: Path) -> None:
    with file.open("w") as out:
        out.write("instruction,output\n")
        out.writelines(f"{row['instruction']},{row['output']}\n" for row in rows())


def parquet(file: Path) -> None:
    pl.DataFrame(rows()).write_parquet(file, row_group_size=20, compression="snappy")  # zstd would make a bomb of it


def bad_first(file: Path) -> None:
    with file.open("wb") as out:
        for _row in range(ROWS * LONG // 1000):
            out.write(b'{"instruction": ' + b"x" * 984 + b"\n")
        out.write(b'{"instruction": "a", "output": "b"}\n')


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("long.jsonl", jsonl),
        ("turns.jsonl", turns),
        ("long.json", document),
        ("long.csv", table),
        ("long.parquet", parquet),
        ("bad.jsonl", bad_first),
    ],
)
def test_what_is_held_does_not_grow_with_the_length_of_rows(
    tmp_path: Path, name: str, write: Callable[[Path], None]
) -> None:
    write(tmp_path / name)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / name), str(tmp_path / "store")],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": "."},
    )
    samples, read, peak = map(int, done.stdout.split())
    bad = ROWS * LONG // 1000
    assert (samples, read) == ((1, bad + 1) if write is bad_first else (ROWS, ROWS))
    assert peak < MOST
