"""The store: a stage's output appears whole or not at all, in a folder named by everything that made it.

A folder holds Parquet shards and `manifest.json`, written last, with a checksum of each file. The same question finds
its answer there; a changed one has another name.
"""

import gc
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import orjson
import polars as pl
from xxhash import xxh3_128

from pipelines.in_use import making
from schemas.chats import content_id
from schemas.errors import StoreError
from schemas.tables import check

Compression = Literal["zstd", "uncompressed"]
MANIFEST = "manifest.json"
XXH3 = "xxh3_128:"


class Shard(NamedTuple):
    """When a shard is full: at so many rows or, where rows are long, at so many bytes in memory."""

    rows: int = 50_000
    bytes: int = 64 << 20


SHARD = Shard()


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

    Of several processes that ask at once one builds, and the others wait for it.

    An output whose facts count `failed` requests is built again: what did not fail is in the ledger. The name of its
    folder tells what it holds too, so that the one built again is another to later stages.
    """
    stored = stored_as(store, stage, question)
    if stored is not None:
        return stored
    with making(store, named(stage, question)):
        return stored_as(store, stage, question) or _built(store, stage, question, build)


def _built(store: Path, stage: str, question: Mapping[str, Any], build: Callable[[Path], Mapping[str, Any]]) -> Stored:
    folder = _folder(store, stage, question)
    work = store / f".{folder.name}.{os.getpid()}"
    for left in store.glob(f".{folder.name}.*"):
        shutil.rmtree(left)
    work.mkdir()
    _loaded()
    start = time.perf_counter()
    facts = build(work)
    manifest = {
        "stage": stage,
        "question": question,
        "facts": facts,
        "seconds": round(time.perf_counter() - start, 3),
        "files": {name: checksum(work / name) for name in _files(work)},
    }
    write_bytes(work / MANIFEST, orjson.dumps(manifest, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY))
    for left in (folder, *store.glob(f"{folder.name}-*")):
        shutil.rmtree(left, ignore_errors=True)  # what broke, or had failed requests
    if facts.get("failed"):
        folder = folder.with_name(f"{folder.name}-{content_id(manifest['files'])}")
    work.rename(folder)
    sync(store)
    return opened(folder, reused=False)


@cache
def _loaded() -> None:
    """Have the garbage collector pass over what this process has loaded, now and at its end: modules stay.

    Done once, so that at most the garbage of that moment is never collected.
    """
    gc.freeze()


def stored_as(store: Path, stage: str, question: Mapping[str, Any]) -> Stored | None:
    """Give the stored answer to `question`; null where there is none, or one that counts `failed` requests."""
    folder = _folder(store, stage, question)
    if not (folder / MANIFEST).is_file():
        return None
    stored = opened(folder, reused=True)
    return None if stored.facts.get("failed") else stored


def unfinished(store: Path, stage: str, question: Mapping[str, Any]) -> Path:
    """Give the folder in which a build keeps what it goes on from when it was killed; who made it removes it."""
    folder = store / ".unfinished" / _folder(store, stage, question).name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _folder(store: Path, stage: str, question: Mapping[str, Any]) -> Path:
    return store / named(stage, question)


def named(stage: str, question: Mapping[str, Any]) -> str:
    """Give the name of the folder that a stage's answer to a question lies in."""
    return f"{stage}-{content_id(stage, question)}"


def opened(folder: Path, *, reused: bool) -> Stored:
    """Give what a finished stage's folder holds; raises `StoreError` where it is gone or its manifest can't be read."""
    if not folder.is_dir():
        raise StoreError(
            f"the run's stages were removed ({folder} is not there): `./mill run RECIPE` makes them again; "
            "what a model was asked, the ledger answers"
        )
    try:
        manifest = orjson.loads((folder / MANIFEST).read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise StoreError(f"{folder}: its manifest can't be read ({error}); remove the folder and run again") from error
    return Stored(folder, manifest["facts"], reused, manifest["seconds"])


class Writer:
    """Writes a table as Parquet shards, frame by frame; `rows` counts them. Used as a context; holds one shard.

    A shard has 50,000 rows or, where rows are long, at least 64 MiB, unless `shard` says less: what is held is memory
    that the system has to clear first. To compress (zstd, level 1) takes longer than to write;
    `compression="uncompressed"` is for what is read once and soon. Row groups have `group` rows, or are the shards;
    small ones are quicker to write where columns are few and texts long, else slower.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        schema: pl.Schema,
        *,
        compression: Compression = "zstd",
        group: int | None = None,
        shard: Shard | None = None,
    ) -> None:
        self.folder, self.name, self.schema = folder / name, name, schema
        self.compression, self.group = compression, group
        self.full = shard or SHARD
        self.rows = self.shards = 0
        self.waiting: list[pl.DataFrame] = []

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True)
        return self

    def write(self, frame: pl.DataFrame) -> None:
        """Add rows; a shard is written as soon as it is full. Raises `StoreError` for a frame of another schema."""
        self.rows += check(frame, self.schema, self.name).height
        self.waiting.append(frame)
        while sum(one.height for one in self.waiting) >= self.full.rows:
            whole = pl.concat(self.waiting)
            self._shard(whole.head(self.full.rows))
            self.waiting = [whole.slice(self.full.rows)]
        if sum(one.estimated_size() for one in self.waiting) >= self.full.bytes:
            self._shard(pl.concat(self.waiting))
            self.waiting = []

    def __exit__(self, failure: type[BaseException] | None, *_rest: object) -> None:
        if failure is None:
            left = pl.concat([pl.DataFrame(schema=self.schema), *self.waiting])
            if left.height or not self.shards:
                self._shard(left)
            sync(self.folder)

    def _shard(self, frame: pl.DataFrame) -> None:
        file = self.folder / f"{self.shards:05}.parquet"
        level = 1 if self.compression == "zstd" else None
        frame.write_parquet(file, compression=self.compression, compression_level=level, row_group_size=self.group)
        sync(file)
        self.shards += 1


def write_table(folder: Path, name: str, frame: pl.DataFrame, schema: pl.Schema) -> int:
    """Write `frame` as the table `name`: Parquet shards, at least one. Gives the rows written."""
    with Writer(folder, name, schema) as table:
        table.write(frame)
    return table.rows


@dataclass(frozen=True)
class shards:  # noqa: N801 - called like a function; a class, so that it can be gone through again
    """Give a stored table a shard at a time, as often as wanted; of all columns, or of those named alone.

    Raises `StoreError` for a shard that isn't what the manifest says.
    """

    stored: Stored
    name: str
    schema: pl.Schema
    columns: tuple[str, ...] = ()

    @property
    def hashes(self) -> dict[str, str]:
        """The shards' names in order, with their SHA-256."""
        known = orjson.loads((self.stored.folder / MANIFEST).read_bytes())["files"]
        return {file: known[file] for file in sorted(known) if file.startswith(f"{self.name}/")}

    def __iter__(self) -> Iterator[pl.DataFrame]:
        for shard, known in self.hashes.items():
            file = self.stored.folder / shard
            if (checksum if known.startswith(XXH3) else sha256)(file) != known:  # older stores have SHA-256
                raise StoreError(f"{file} has changed since it was written; remove its stage and run again")
            wanted = self.columns or tuple(self.schema)
            frame = pl.read_parquet(file, columns=list(self.columns) or None)
            yield check(frame, pl.Schema({name: self.schema[name] for name in wanted}), self.name)


def read_table(stored: Stored, name: str, schema: pl.Schema) -> pl.DataFrame:
    """Read the table `name` whole; raises `StoreError` where it is missing, or a shard isn't what its manifest says."""
    found = shards(stored, name, schema)
    if not found.hashes:
        raise StoreError(f"{stored.folder} has no table {name}; remove it and run again")
    return pl.concat(found)


def sha256(file: Path) -> str:
    """Give the SHA-256 of a file, in hexadecimal digits."""
    with file.open("rb", buffering=0) as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def checksum(file: Path) -> str:
    """Give what tells that a file of the store has changed: 128 bits of XXH3, ten times as quick as SHA-256."""
    with file.open("rb", buffering=0) as content:
        return XXH3 + hashlib.file_digest(content, xxh3_128).hexdigest()


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
