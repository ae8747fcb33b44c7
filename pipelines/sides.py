"""One of two versions that are held against each other: its samples' places and its datasets' rows, without texts."""

import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from pipelines.finished import split_of, tables_in

Told = dict[str, Any]

STATES = pl.Schema(
    {
        "id": pl.String(),
        "state": pl.String(),  # "kept", or the rule that dropped it
        "why": pl.String(),
        "measured": pl.Float64(),
        "minimum": pl.Float64(),
        "maximum": pl.Float64(),
        "file": pl.String(),
        "row": pl.Int64(),
    }
)
ROWS = pl.Schema(
    {
        "id": pl.String(),
        "split": pl.String(),
        "sample_id": pl.String(),
        "picked": pl.String(),  # the candidates, a blank apart; null where the row tells none
        "source": pl.String(),
        "generator": pl.String(),
        "characters": pl.Int64(),  # of the reply, or of the chosen one
        "margin": pl.Float64(),
        "score": pl.Float64(),
    }
)


@dataclass(frozen=True)
class Side:
    """One of the two: a run's folder, or any folder with datasets."""

    folder: Path

    @cached_property
    def summary(self) -> Told:
        """The run's summary; empty of a dataset that is no run."""
        file = self.folder / "summary.json"
        return dict(orjson.loads(file.read_bytes())) if file.is_file() else {}

    @property
    def name(self) -> str:
        """What a person calls it."""
        return f"{self.summary['name']}/{self.summary['version']}" if self.summary else str(self.folder)

    @cached_property
    def recipe(self) -> Told:
        """The recipe's settings; empty where none is there."""
        file = self.folder / "recipe.toml"
        return tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}

    @cached_property
    def states(self) -> pl.DataFrame:
        """Where each sample ended; empty of a dataset that is no run."""
        if not self.summary:
            return pl.DataFrame(schema=STATES)
        place = [pl.col("origin").struct.field(name) for name in ("file", "row")]
        kept = pl.scan_parquet(self.folder / "kept" / "**" / "*.parquet").select("id", *place, state=pl.lit("kept"))
        fell = ["id", "why", "measured", "minimum", "maximum"]
        dropped = pl.scan_parquet(self.folder / "dropped" / "**" / "*.parquet").select(*fell, *place, state="rule")
        return pl.concat([kept, dropped], how="diagonal").collect().select(*STATES).cast(STATES)

    @cached_property
    def datasets(self) -> dict[str, list[Path]]:
        """The files of each dataset."""
        return tables_in(self.folder)

    def rows(self, name: str) -> pl.DataFrame:
        """Give what `diff` needs of a dataset's rows."""
        frames = [_rows(file, split_of(file, self.folder)) for file in self.datasets.get(name, [])]
        return pl.concat([pl.DataFrame(schema=ROWS), *frames])

    def scores(self, candidates: pl.Series) -> dict[str, float | None]:
        """Give the lowest score that a judge gave each of these candidates."""
        files = sorted((self.folder / "scores").rglob("*.parquet"))
        if not files:
            return {}
        some = pl.scan_parquet(files).filter(pl.col("candidate_id").is_in(candidates.implode()))
        return dict(some.group_by("candidate_id").agg(pl.col("score").min()).collect().iter_rows())

    def has(self, candidates: pl.Series) -> set[str]:
        """Give those of the candidates that were made."""
        files = sorted((self.folder / "candidates").rglob("*.parquet"))
        if not files:
            return set()
        some = pl.scan_parquet(files).filter(pl.col("id").is_in(candidates.implode()))
        return set(some.select("id").collect()["id"])

    def leaked(self) -> set[str]:
        """Give the candidates that were left out because they give a benchmark away."""
        files = sorted((self.folder / "leaked").rglob("*.parquet"))
        return set(pl.scan_parquet(files).select("candidate_id").collect()["candidate_id"]) if files else set()


def _rows(file: Path, split: str) -> pl.DataFrame:
    """Read what `diff` needs of a dataset's file; columns that it lacks are null."""
    table = pl.scan_parquet(file)
    schema = table.collect_schema()
    names = set(schema)
    if "id" not in names:
        return pl.DataFrame(schema=ROWS)
    picks = [name for name in ("candidate_id", "chosen_id", "rejected_id") if name in names]
    side = next((name for name in ("completion", "chosen") if name in names), None)
    said = None if side is None else pl.col(side) if schema[side] == pl.String else _content(side)
    sample = "sample_id" if "sample_id" in names else "id"
    generator = next((pl.col(name) for name in ("generator", "chosen_generator") if name in names), pl.lit(None))
    found = table.select(
        "id",
        split=pl.lit(split),
        sample_id=sample,
        picked=pl.concat_str(picks, separator=" ") if picks else pl.lit(None),
        source=pl.col("source") if "source" in names else pl.lit(None),
        generator=generator,
        characters=pl.lit(None) if said is None else said.str.len_chars(),
        margin=pl.col("margin") if "margin" in names else pl.lit(None),
        score=pl.col("score") if "score" in names else pl.lit(None),
    )
    return found.collect().cast(ROWS)


def _content(side: str) -> pl.Expr:
    return pl.col(side).list.last().struct.field("content")
