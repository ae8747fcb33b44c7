"""Indexes of earlier datasets, for later ones to be matched to without reading the earlier ones again."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from filters.signatures import hashed, marks, words
from filters.texts import DIFFERS, Part, normalised, text
from schemas.errors import InputError
from schemas.rules import Shards

INDEX = pl.Schema(
    {
        "name": pl.String(),  # "dataset:id"
        "parts": pl.List(pl.String()),  # of which parts this is the text
        "text": pl.String(),  # as `words` gives it
        "exact": pl.UInt64(),  # the hash of the text as `normalised` gives it
        "marks": pl.UInt64(),  # the hash of what `differs` finds in it
    }
)
FORM = "1"  # of the index; goes up when `words`, `normalised` or `hashed` change
ROWS = 65_536  # of an index, at a time


def write_index(
    samples: Shards,
    path: Path | str,
    *,
    name: str,
    parts: Sequence[Part] = ("prompt", "question"),
    differs: str = DIFFERS,
) -> int:
    """Write the index by which `exact` and `near` match later datasets to these samples (`against`); give its rows.

    A row is called "`name`:id". `parts` are those that can be matched, `differs` is the pattern that `near` can be
    asked with. The index holds the text as `near` compares it, and hashes: a text takes a fraction of the room that
    its 5-grams' hashes would, and keeps every verification exact. It appears whole or not at all. Raises `InputError`
    where there is no folder for it.
    """
    from pyarrow import parquet

    target = Path(path)
    if not target.parent.is_dir():
        raise InputError(f"{target}: there is no folder {target.parent} to write the index in")
    work = target.with_name(f".{target.name}.part")
    facts = {"form": FORM, "name": name, "parts": "\n".join(parts), "differs": differs}
    rows = 0
    schema = pl.DataFrame(schema=INDEX).to_arrow(compat_level=pl.CompatLevel.oldest()).schema.with_metadata(facts)
    with parquet.ParquetWriter(work, schema, compression="zstd") as writer:
        for shard in samples:
            table = _indexed(shard, name, parts, differs)
            writer.write_table(table.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(schema), ROWS)
            rows += table.height
    work.rename(target)
    return rows


def _indexed(shard: pl.DataFrame, name: str, parts: Sequence[Part], differs: str) -> pl.DataFrame:
    tables = []
    for part in parts:
        rows = shard.select(
            name=pl.format("{}:{}", pl.lit(name), pl.col("id")),
            plain=text(part),
            exact=normalised(part),
            part=pl.lit(part),
        ).filter(pl.col("exact").is_not_null())
        written, ends = words(rows["plain"])
        compared = [bytes(written[ends[row] : ends[row + 1]]).decode() for row in range(rows.height)]
        marked = marks(rows["plain"], differs) if differs else np.zeros(rows.height, np.uint64)
        tables.append(
            rows.select("name", "part").with_columns(
                text=pl.Series(compared, dtype=pl.String),
                exact=pl.Series(hashed(rows["exact"])),
                marks=pl.Series(marked),
            )
        )
    same = pl.concat(tables).group_by("name", "text", "exact", "marks", maintain_order=True).agg(parts="part")
    return same.select(*INDEX)


def indexed(paths: Iterable[str], part: Part, differs: str | None) -> Iterator[pl.DataFrame]:
    """Give the rows of the indexes that hold `part`, a block at a time; `differs` is None where it doesn't matter.

    Raises `InputError` where an index isn't there, isn't one, or was written for other parts or another `differs`.
    """
    for path in paths:
        check_index(path, part, differs)
        yield from pl.scan_parquet(path).filter(pl.col("parts").list.contains(part)).collect_batches(chunk_size=ROWS)


def check_index(path: str, part: Part, differs: str | None) -> None:
    """Raise `InputError` where an index isn't there, isn't one, or was written for other parts or another `differs`."""
    found = _facts(path)
    if part not in found["parts"].split("\n"):
        held = ", ".join(map(repr, found["parts"].split()))
        raise InputError(
            f"{path}: this index holds {held}, not {part!r}; say one of them as `part`, or write the index again: "
            f"./mill index NAME {path} --parts {part}"
        )
    if differs is not None and found["differs"] != differs:
        raise InputError(
            f"{path}: this index was written with differs = {found['differs']!r}, and the rule says {differs!r}: they "
            "have to be the same"
        )


def _facts(path: str) -> dict[str, str]:
    if not Path(path).is_file():
        raise InputError(f"{path}: no such index; `filters.index:write_index` writes one")
    try:
        facts = pl.read_parquet_metadata(path)
    except pl.exceptions.PolarsError as error:
        raise InputError(f"{path}: not an index ({error}); `filters.index:write_index` writes one") from error
    if facts.get("form") != FORM:
        raise InputError(f"{path}: an index of form {facts.get('form')}, expected {FORM}; write it again")
    return facts
