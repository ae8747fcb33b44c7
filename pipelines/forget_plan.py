"""What forgetting would remove: looked up in the stored tables, and written down without any text."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from generators.ledger import Ledger, open_ledger
from pipelines import forgotten, origins, requests_of
from pipelines.finished import tables_in
from pipelines.forget_files import Gone
from pipelines.opened import place_of
from pipelines.store import MANIFEST
from schemas.errors import GristmillError

AT_ONCE = 10_000  # samples whose hashes are taken together
TABLES = "**/*.parquet"

Told = dict[str, Any]


@dataclass(frozen=True)
class Selection:
    """What is to be forgotten: rows of any of these sources, files, ids and authors (`column=value`)."""

    sources: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()

    def words(self) -> str:
        """Say what it selects, without an author's name."""
        told = [*(f"source {one}" for one in self.sources), *(f"file {one}" for one in self.files)]
        told += [f"row {one}" for one in self.rows]
        return ", ".join([*told, *(f"an author by {one.partition('=')[0]}" for one in self.authors)])


def stages_in(out: Path) -> Iterator[Path]:
    """Give every finished stage's folder under `out`."""
    for folder in sorted(out.rglob("stages")):
        yield from sorted(one.parent for one in folder.glob(f"*/{MANIFEST}"))


def runs_in(out: Path) -> Iterator[Path]:
    """Give every finished run's folder under `out`."""
    yield from sorted(one.parent for one in out.rglob("summary.json") if not one.parent.is_symlink())


def plan(out: Path, selection: Selection) -> Told:
    """Give what forgetting would remove: ids, hashes, ledger keys, and what each dataset would lose. Nothing changes.

    Raises `GristmillError` where nothing is selected, or nothing is found.
    """
    if not selection.words():
        raise GristmillError("forget what? Give --source, --file, --row or --author COLUMN=VALUE")
    known = forgotten.load(out)
    rows = _rows(out, selection, known)
    raw = _records(out, selection)
    if not rows and not raw:
        raise GristmillError(f"nothing in {out} came from {selection.words()}")
    held, holding = _held(out, replace(known, rows=frozenset(rows)))
    ids = _descendants(out, held)
    candidates, keys = _candidates(out, ids)
    gone = Gone(frozenset(ids | candidates), frozenset(raw))
    runs = list(_runs(out, gone))
    return {
        "what": selection.words(),
        "salt": known.salt,
        "samples": len(ids),
        "records": len(raw),
        "ids": sorted(gone.ids),
        "raw": sorted(raw),
        "rows": [list(one) for one in sorted(rows, key=str)],
        "holding": sorted(holding | _recorded_in(out, raw)),
        "touched": [one["run"] for one in runs],
        "datasets": [one for one in runs if one["lost"]],
        "models": _models(out, {one["recipe"] for one in runs}),
        "keys": dict(_keys(out, ids, candidates, keys)),
    }


def _keys(out: Path, ids: set[str], candidates: set[str], own: set[str]) -> Iterator[tuple[str, list[str]]]:
    for place, ledger in _ledgers(out):
        yield place, sorted(requests_of.keys(ledger, out, ids, candidates, own))
        ledger.close()


def _read(out: Path, table: str) -> Iterator[tuple[Path, Path]]:
    """Give the files of what was read from sources and benchmarks, each with its stage."""
    for stage in stages_in(out):
        if stage.name.startswith(("ingest-", "benchmark-")):
            yield from ((stage, file) for file in sorted((stage / table).glob("*.parquet")))


def _rows(out: Path, selection: Selection, known: forgotten.Forgotten) -> set[tuple[str, str | None]]:
    """Find what is selected: the hash of what each sample says, with the source that it goes from, or null for all."""
    authored = origins.by(out, selection.authors)
    found: set[tuple[str, str | None]] = set()
    for _stage, file in _read(out, "samples"):
        rows = pl.scan_parquet(file).filter(_selected(selection, authored)).collect()
        anywhere = rows.select(every=_anywhere(selection, authored))["every"] if rows.height else ()
        told = zip(known.keys(rows), rows["source"], anywhere, strict=True)
        found.update((key, None if every else source) for key, source, every in told)
    return found


def _held(out: Path, wanted: forgotten.Forgotten) -> tuple[set[str], set[str]]:
    """Give the ids of all samples that say what is to be forgotten, and the stages that hold one."""
    ids: set[str] = set()
    stages: set[str] = set()
    for stage, file in _read(out, "samples"):
        for part in pl.read_parquet(file).iter_slices(AT_ONCE) if wanted.rows else ():
            own = part.filter(wanted.holds(part))["id"].to_list()
            ids.update(own)
            stages.update([stage.name] if own else [])
    return ids, stages


def _selected(selection: Selection, authored: pl.DataFrame) -> pl.Expr:
    file = pl.col("origin").struct.field("file")
    of_file = [(file == one) | file.str.ends_with(f"/{one}") for one in selection.files]
    return pl.any_horizontal(pl.col("source").is_in(list(selection.sources)), *of_file, _anywhere(selection, authored))


def _anywhere(selection: Selection, authored: pl.DataFrame) -> pl.Expr:
    """Select what is forgotten in every source: rows that were named, and an author's."""
    named = [pl.col("id").str.starts_with(one) for one in selection.rows]
    place = pl.concat_str(pl.col("origin").struct.field("file"), pl.col("origin").struct.field("row"), separator="\n")
    return pl.any_horizontal(pl.lit(value=False), *named, place.is_in(authored["place"].implode()))


def _records(out: Path, selection: Selection) -> set[str]:
    """Find the quarantined records of the sources and files."""
    found: set[str] = set()
    of_file = [(pl.col("file") == one) | pl.col("file").str.ends_with(f"/{one}") for one in selection.files]
    meant = pl.any_horizontal(pl.col("source").is_in(list(selection.sources)), *of_file)
    for stage in stages_in(out):
        for file in sorted((stage / "quarantined").glob("*.parquet")):
            rows = pl.scan_parquet(file).filter(meant)
            if "hash" in rows.collect_schema():
                found.update(rows.select("hash").collect()["hash"])
            elif not rows.head(1).collect().is_empty():
                raise GristmillError(
                    f"{stage} was written by an earlier version, which told quarantined rows by another hash: run its "
                    "recipe again, remove this folder, and forget again"
                )
    return found


def _descendants(out: Path, ids: set[str]) -> set[str]:
    """Give the samples with those that were grown from them, and from those."""
    tables = [file for stage in stages_in(out) for file in sorted((stage / "lineage").glob("*.parquet"))]
    whole = set(ids)
    for _generation in range(len(tables) and 1_000):
        of_gone = pl.col("parents").list.eval(pl.element().is_in(list(whole))).list.any()
        more = {row for file in tables for row in pl.scan_parquet(file).filter(of_gone).select("id").collect()["id"]}
        if more <= whole:
            break
        whole |= more
    return whole


def _candidates(out: Path, ids: set[str]) -> tuple[set[str], set[str]]:
    """Give the candidates of samples, and the requests that no other sample's candidate came from."""
    found: set[str] = set()
    keys: set[str] = set()
    others: set[str] = set()
    of_gone = pl.col("sample_id").is_in(list(ids))
    for stage in stages_in(out):
        for file in sorted((stage / "candidates").glob("*.parquet")):
            rows = pl.scan_parquet(file).select("id", "request_key", gone=of_gone).collect()
            own = rows.filter("gone")
            found.update(own["id"])
            keys.update(own["request_key"].drop_nulls())
            others.update(rows.filter(~pl.col("gone"))["request_key"].drop_nulls())
    return found, keys - others


def _recorded_in(out: Path, raw: set[str]) -> set[str]:
    """Give the stages that hold one of the quarantined records."""
    meant = pl.col("hash").is_in(list(raw))
    files = [(stage, pl.scan_parquet(file)) for stage, file in _read(out, "quarantined")] if raw else []
    told = [(stage, rows) for stage, rows in files if "hash" in rows.collect_schema()]  # not those of earlier versions
    return {stage.name for stage, rows in told if rows.select(meant.any()).collect().item()}


def _runs(out: Path, gone: Gone) -> Iterator[Told]:
    """Tell of each run that holds some of it which rows of its datasets go, and where it was published."""
    for folder in runs_in(out):
        lost = {file: count for file in run_tables(folder) if (count := _lost(file, gone))}
        if not lost:
            continue
        record = folder / "published.json"
        published = orjson.loads(record.read_bytes()) if record.is_file() else []
        datasets = {
            name: rows
            for name, files in tables_in(folder).items()
            if (rows := sum(lost.get(file, 0) for file in files))
        }
        yield {
            "run": str(folder.relative_to(out)),
            "recipe": folder.relative_to(out).parts[0],
            "lost": datasets,
            "published": [f"{one['to']} {one['version']}" for one in published],
        }


def _lost(file: Path, gone: Gone) -> int:
    table = pl.scan_parquet(file)
    stays = gone.stays(table.collect_schema())
    return 0 if stays is None else int(table.select((~stays).sum()).collect().item())


def _models(out: Path, recipes: set[str]) -> list[str]:
    """Name the models that these recipes trained: what they have learned stays in them."""
    trained = (stage.relative_to(out) for stage in stages_in(out) if stage.name.startswith("train-"))
    return [str(stage) for stage in trained if stage.parts[0] in recipes]


def _ledgers(out: Path) -> Iterator[tuple[str, Ledger]]:
    """Open the ledgers that the runs use."""
    places = {str(place_of(out))}
    for folder in runs_in(out):
        recipe = tomllib.loads((folder / "recipe.toml").read_text(encoding="utf-8"))
        places.add(str(place_of(out, recipe.get("ledger"))))
    for place in sorted(places):
        if "://" in place or Path(place).is_file():
            yield place, open_ledger(place)


def run_tables(folder: Path) -> list[Path]:
    """Give the tables of a finished run's folder."""
    return sorted(file for file in folder.glob(TABLES) if "checkpoint" not in file.relative_to(folder).parts[0])
