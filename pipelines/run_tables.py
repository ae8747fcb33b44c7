"""The tables of a finished run, as its summary and its report read them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import polars as pl

from pipelines.curate import values_by_shard
from pipelines.figures import pairs_of
from pipelines.steps import in_step
from pipelines.store import Stored, shards
from schemas.rules import Shards
from schemas.tables import (
    CANDIDATES,
    COMPARISONS,
    DROPPED,
    LEAKED,
    PREFERENCES,
    QUARANTINED,
    SAMPLES,
    SCORES,
    SFT,
    plain_schema,
)

ABOUT = ("source", "license", "id", "origin")


@dataclass(frozen=True)
class Tables:
    """A run's tables as its report reads them, each a shard at a time and more than once."""

    samples: Shards
    quarantined: Shards
    kept: Shards
    dropped: Shards
    sft: Shards
    preferences: Shards
    pairs: pl.DataFrame  # `figures.pairs_of` the preferences
    values: dict[str, pl.DataFrame]  # by rule: `value`, of the rules that have bounds
    compared: Iterable[tuple[pl.DataFrame, pl.DataFrame]]  # comparisons, with the verifiers' scores of the same samples
    rows: dict[str, pl.LazyFrame]  # tables of which single rows are looked up, by name
    measured: dict[str, pl.LazyFrame] = field(default_factory=dict)  # by rule: `VALUES`
    matches: dict[str, pl.LazyFrame] = field(default_factory=dict)  # by rule: `MATCHES`, of the rules on matches


@dataclass(frozen=True)
class Compared:
    """A run's comparisons, of up to 5,000 samples at a time, with what the verifiers gave; as often as wanted."""

    curated: Stored
    scored: Sequence[Stored]

    def __iter__(self) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
        """Give comparisons and scores; nothing where no judge compares."""
        judges = [one for one in self.scored if one.facts["comparisons"]]
        verifiers = [one for one in self.scored if not one.facts["judgments"]]
        said = [shards(one, "comparisons", COMPARISONS) for one in judges]
        said += [shards(one, "scores", SCORES) for one in verifiers]
        for _some, *told in in_step(shards(self.curated, "kept", SAMPLES, ("id",)), *said) if judges else ():
            scores = pl.concat([pl.DataFrame(schema=SCORES), *told[len(judges) :]])
            yield pl.concat(told[: len(judges)]), scores


def tables_of(made: dict[str, Stored]) -> Tables:
    """Give the tables of a finished run; a number a sample and rule is held, and some 20 bytes a pair."""
    curated, ingested, selected = made["curate"], made["ingest"], made["select"]
    kinds = {rule["rule"]: rule["kind"] for rule in curated.facts["rules"]}
    bounded = {name for name, kind in kinds.items() if kind != "match"}
    looked_up = {name: _looked_up(curated, name, kind) for name, kind in kinds.items()}
    scored = [stored for name, stored in made.items() if name.startswith("score ")]
    came = made.get("grow") or made.get("edit") or ingested
    values = {name: found for name, found in values_by_shard(curated).items() if name in bounded}
    preferences = _plain_shards(selected, "preferences", PREFERENCES)
    return Tables(
        samples=shards(came, "samples", SAMPLES),
        quarantined=shards(ingested, "quarantined", QUARANTINED),
        kept=shards(curated, "kept", SAMPLES, ABOUT),
        dropped=shards(curated, "dropped", DROPPED),
        sft=_plain_shards(selected, "sft", SFT, ABOUT[:3]),
        preferences=preferences,
        pairs=pairs_of(preferences),
        values={name: pl.concat(shard.select("value") for shard in found) for name, found in values.items()},
        compared=Compared(curated, scored),
        rows={
            "samples": _lazy([came], "samples", SAMPLES),
            "kept": _lazy([curated], "kept", SAMPLES),
            "dropped": _lazy([curated], "dropped", DROPPED),
            "candidates": _lazy([made["generate"]], "candidates", CANDIDATES),
            "scores": _lazy(scored, "scores", SCORES),
            "leaked": _lazy([selected], "leaked", LEAKED),
            "sft": _lazy([selected], "sft", SFT),
        },
        measured={name: looked_up[name] for name in bounded},
        matches={name: one for name, one in looked_up.items() if name not in bounded},
    )


def _lazy(made: Sequence[Stored], name: str, schema: pl.Schema) -> pl.LazyFrame:
    """Give a table of stages to look rows up in; nothing of it is held."""
    files = [file for stored in made for file in sorted((stored.folder / name).rglob("*.parquet"))]
    return pl.scan_parquet(files) if files else pl.LazyFrame(schema=schema)


def _looked_up(curated: Stored, rule: str, kind: str) -> pl.LazyFrame:
    if kind == "pick":
        return pl.scan_parquet(curated.folder / "orders" / "*.parquet").filter(pl.col("rule") == rule)
    return pl.scan_parquet(curated.folder.parent / curated.facts["measured"][rule] / "values" / "*.parquet")


def _plain_shards(stored: Stored, name: str, schema: pl.Schema, columns: tuple[str, ...] = ()) -> Shards:
    """Give a dataset whichever way its chats are laid out."""
    first = pl.read_parquet_schema(next(iter(sorted((stored.folder / name).rglob("*.parquet")))))
    return shards(stored, name, schema if first == schema else plain_schema(schema), columns)
