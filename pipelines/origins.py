"""Rows of source files by who wrote them, looked up in the files themselves: samples don't keep it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from pipelines.files.places import Place
from pipelines.files.read import read
from pipelines.store import MANIFEST, sha256
from schemas.errors import GristmillError


def by(out: Path, authors: tuple[str, ...]) -> pl.DataFrame:
    """Give the `place` (file and row, a line apart) of each row in which a column, at any depth, has an author's value.

    `authors` are "column=value". Raises `GristmillError` for another form, and where a file that was read is not there
    or has changed: whose rows they were can't be told.
    """
    places: list[str] = []
    wanted = {tuple(one.split("=", 1)) for one in authors}
    if any(len(one) != 2 for one in wanted):  # noqa: PLR2004 - a column and a value
        raise GristmillError("an author is named by column and value: --author user_id=1234")
    for file, known, options in _files(out) if wanted else ():
        name, _, member = file.partition("::")
        if not Path(name).is_file() or sha256(Path(name)) != known:
            raise GristmillError(
                f"{file} is not there as it was read, and samples don't keep who wrote them: put it back, or name the "
                "rows by --row or --file"
            )
        for batch in read(Place(name, member or None), Path(name), **options).batches:
            for at, row in enumerate(batch.values):
                if isinstance(row, dict) and any(_has(row, *one) for one in wanted):
                    places.append(f"{file}\n{batch.row + at}")
    return pl.DataFrame({"place": places}, schema={"place": pl.String})


def _files(out: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Give the files that were read, each once, with their hashes and how they were read."""
    seen = []
    for manifest in sorted(out.rglob(f"stages/ingest-*/{MANIFEST}")):
        for one in orjson.loads(manifest.read_bytes())["facts"]["files"]:
            told = (one["file"], one["sha256"], one.get("read", {}))
            if told not in seen:
                seen.append(told)
                yield told


def _has(value: Any, column: str, author: str) -> bool:
    if isinstance(value, dict):
        return str(value.get(column)) == author or any(_has(one, column, author) for one in value.values())
    return isinstance(value, list) and any(_has(one, column, author) for one in value)
