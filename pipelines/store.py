"""The store: a stage's output appears whole or not at all, in a folder named by everything that made it.

A folder holds Parquet shards and `manifest.json`, written last, with the SHA-256 of each file. The same question finds
its answer there; a changed one has another name.
"""

import hashlib
import importlib.util
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from schemas.chats import content_id
from schemas.errors import StoreError
from schemas.tables import check

ROWS_PER_SHARD = 100_000
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Stored:
    """A stage's output: its folder, the facts that its manifest tells, and whether it was there before this run."""

    folder: Path
    facts: Mapping[str, Any]
    reused: bool
    seconds: float  # wall time of the run that made it

    @property
    def key(self) -> str:
        """The folder's name, by which later stages name this output."""
        return self.folder.name


def once(store: Path, stage: str, question: Mapping[str, Any], build: Callable[[Path], Mapping[str, Any]]) -> Stored:
    """Give the stored answer to `question`, or let `build` fill a folder and store it with the facts it returns.

    An output whose facts count `failed` requests is built again: what did not fail is in the ledger.
    """
    folder = store / f"{stage}-{content_id(stage, question)}"
    if (folder / MANIFEST).is_file():
        stored = opened(folder, reused=True)
        if not stored.facts.get("failed"):
            return stored
        shutil.rmtree(folder)
    store.mkdir(parents=True, exist_ok=True)
    work = store / f".{folder.name}.{os.getpid()}"
    for left in store.glob(f".{folder.name}.*"):
        shutil.rmtree(left)
    work.mkdir()
    start = time.perf_counter()
    facts = build(work)
    manifest = {
        "stage": stage,
        "question": question,
        "facts": facts,
        "seconds": round(time.perf_counter() - start, 3),
        "files": {name: sha256(work / name) for name in _files(work)},
    }
    write_bytes(work / MANIFEST, orjson.dumps(manifest, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY))
    work.rename(folder)
    sync(store)
    return opened(folder, reused=False)


def opened(folder: Path, *, reused: bool) -> Stored:
    """Give what a finished stage's folder holds; raises `StoreError` when its manifest can't be read."""
    try:
        manifest = orjson.loads((folder / MANIFEST).read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise StoreError(f"{folder}: its manifest can't be read ({error}); remove the folder and run again") from error
    return Stored(folder, manifest["facts"], reused, manifest["seconds"])


def write_table(folder: Path, name: str, frame: pl.DataFrame, schema: pl.Schema) -> int:
    """Write `frame` as the table `name`: Parquet shards of 100,000 rows, at least one. Gives the rows written."""
    check(frame, schema, name)
    (folder / name).mkdir(parents=True)
    for shard, start in enumerate(range(0, max(frame.height, 1), ROWS_PER_SHARD)):
        file = folder / name / f"{shard:05}.parquet"
        frame.slice(start, ROWS_PER_SHARD).write_parquet(file, compression="zstd")
        sync(file)
    sync(folder / name)
    return frame.height


def read_table(stored: Stored, name: str, schema: pl.Schema) -> pl.DataFrame:
    """Read the table `name` whole; raises `StoreError` for a shard that isn't what the manifest says."""
    known = orjson.loads((stored.folder / MANIFEST).read_bytes())["files"]
    shards = sorted(file for file in known if file.startswith(f"{name}/"))
    for shard in shards:
        if sha256(stored.folder / shard) != known[shard]:
            raise StoreError(
                f"{stored.folder / shard} has changed since it was written; remove its stage and run again"
            )
    frame = pl.concat([pl.read_parquet(stored.folder / shard) for shard in shards])
    return check(frame, schema, name)


def code_version(*modules: str) -> str:
    """Name the source text of modules, which need not be imported: an edit of any gives another name."""
    specs = [importlib.util.find_spec(module) for module in modules]
    return content_id(*(sha256(Path(spec.origin)) for spec in specs if spec and spec.origin))


def sha256(file: Path) -> str:
    """Give the SHA-256 of a file, in hexadecimal digits."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def write_bytes(file: Path, content: bytes) -> None:
    """Write a file whole or not at all: under another name, synchronised, renamed."""
    work = file.with_name(f".{file.name}.{os.getpid()}")
    work.write_bytes(content)
    sync(work)
    work.rename(file)
    sync(file.parent)


def sync(path: Path) -> None:
    """Have the system write a file or folder to the disk before going on."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _files(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
