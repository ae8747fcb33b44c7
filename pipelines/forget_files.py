"""Stored tables rewritten without the rows that are forgotten; what else they hold stays as it is."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import polars as pl

from pipelines.store import MANIFEST, checksum, sync, write_bytes

IDS = ("id", "sample_id", "candidate_id", "chosen_id", "rejected_id", "a_id", "b_id", "other_id", "other")
MARK = ".forgetting"  # in a stage's folder while its files are rewritten: its manifest is not true of them


@dataclass(frozen=True)
class Gone:
    """What is forgotten: the ids of samples and candidates, and the hashes of quarantined records."""

    ids: frozenset[str]
    raw: frozenset[str]

    def stays(self, schema: pl.Schema) -> pl.Expr | None:
        """Give what a row of a table must be to stay; null where the table has no row by which it could go."""
        ids = pl.Series(sorted(self.ids), dtype=pl.String).implode()
        conditions = [~pl.col(name).is_in(ids).fill_null(value=False) for name in IDS if schema.get(name) == pl.String]
        if "parents" in schema:
            conditions.append(~pl.col("parents").list.eval(pl.element().is_in(ids)).list.any().fill_null(value=False))
        if "raw" in schema and "hash" in schema:
            conditions.append(~pl.col("hash").is_in(list(self.raw)))
        return pl.all_horizontal(conditions) if conditions else None


def rewrite(file: Path, gone: Gone, links: dict[int, Path]) -> int:
    """Rewrite a table's file without what is forgotten; gives how many rows went.

    `links` holds the files that were rewritten, by the number of the one that stood there, so that two names of one
    file become two names of the new one.
    """
    table = pl.scan_parquet(file)
    schema = table.collect_schema()
    stays = gone.stays(schema)
    if stays is None:
        return 0
    if not table.select((~stays).any() | _names_gone(schema, gone)).collect().item():
        return 0
    was, names = file.stat().st_ino, file.stat().st_nlink
    work = file.with_name(f".{file.name}.{os.getpid()}")
    if was in links:
        work.unlink(missing_ok=True)
        os.link(links[was], work)
        rows = 0
    else:
        before = pl.read_parquet(file)
        after = _unnamed(before.filter(stays), gone)
        after.write_parquet(work, compression="zstd", compression_level=1)
        sync(work)
        rows = before.height - after.height
    work.rename(file)
    sync(file.parent)
    if names > 1:
        links[was] = file
    return rows


def _names_gone(schema: pl.Schema, gone: Gone) -> pl.Expr:
    """Tell whether a row that stays names a forgotten one as its match."""
    if "match" not in schema:
        return pl.lit(value=False)
    return (pl.col("match").is_in(sorted(gone.ids)) | _column("cluster", schema).is_in(sorted(gone.ids))).any()


def _column(name: str, schema: pl.Schema) -> pl.Expr:
    return pl.col(name) if name in schema else pl.lit(None, pl.String)


def _unnamed(rows: pl.DataFrame, gone: Gone) -> pl.DataFrame:
    """Take the name of, and the text shared with, a forgotten row out of the rows that it made drop."""
    if "match" not in rows.columns:
        return rows
    named = pl.col("match").is_in(sorted(gone.ids))
    cleared = {name: pl.when(named).then(None).otherwise(pl.col(name)) for name in ("match", "span")}
    why = pl.when(named).then(pl.lit("matches a row that was forgotten")).otherwise(pl.col("why"))
    found = rows.with_columns(**{name: one for name, one in cleared.items() if name in rows.columns}, why=why)
    if "cluster" in rows.columns:
        found = found.with_columns(
            cluster=pl.when(pl.col("cluster").is_in(sorted(gone.ids))).then(None).otherwise(pl.col("cluster"))
        )
    return found


def rewrite_stage(folder: Path, gone: Gone, links: dict[int, Path]) -> int:
    """Rewrite a stage's tables and its manifest; gives how many rows went. What a kill left half done is finished."""
    if not (folder / MANIFEST).is_file():
        return 0
    mark = folder / MARK
    begun = mark.exists()
    mark.touch()
    sync(folder)
    rows = _vectors(folder, gone)
    changed = begun or rows > 0
    for file in sorted(folder.rglob("*.parquet")):
        before = file.stat().st_ino
        rows += rewrite(file, gone, links)
        changed |= file.stat().st_ino != before
    if changed:
        manifest = orjson.loads((folder / MANIFEST).read_bytes())
        manifest["files"] = {name: checksum(folder / name) for name in manifest["files"]}
        manifest["forgotten"] = manifest.get("forgotten", 0) + rows
        write_bytes(folder / MANIFEST, orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
    mark.unlink()
    return rows


def _vectors(folder: Path, gone: Gone) -> int:
    """Rewrite vectors, which meet their ids by place: both go into one file first, then each takes its own."""
    ids, vectors = folder / "ids.parquet", folder / "vectors.npy"
    if not (ids.is_file() and vectors.is_file()):
        return 0
    named, numbers = pl.read_parquet(ids), np.load(vectors)
    stays = (~named["id"].is_in(list(gone.ids))).to_numpy()
    if len(numbers) == len(stays) and stays.all():
        return 0
    if len(numbers) == len(stays):  # else a kill came between the two: the vectors are new and the ids are not
        work = vectors.with_name(f".{os.getpid()}.npy")
        np.save(work, numbers[stays])
        sync(work)
        work.rename(vectors)
    named.filter(pl.Series(stays)).write_parquet(work := ids.with_name(f".{ids.name}.{os.getpid()}"))
    sync(work)
    work.rename(ids)
    return int((~stays).sum())
