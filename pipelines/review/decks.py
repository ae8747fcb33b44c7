"""What a run has to be read: pairs, replies and dropped samples, as tables of ids and figures without any text."""

from pathlib import Path

import orjson
import polars as pl

from pipelines.labels import in_order

DECK = {  # columns of a deck beside its ids
    "key": pl.String(),
    "sample_id": pl.String(),
    "source": pl.String(),
    "rule": pl.String(),  # that picked the pair or the reply, or dropped the sample; null where none did
    "score": pl.Float64(),  # of a pair its margin, of a dropped sample what the rule measured
    "apart": pl.Float64(),  # how far its judges are apart: 0.5 a side against a tie, 1 the farthest; null of one
    "far": pl.Float64(),  # the judge's score from the one that its card trusts; null without a card
}
OF_PAIRS = {"a_id": pl.String(), "b_id": pl.String(), "sample_id": pl.String()}
IDS = {"pairs": ("a_id", "b_id"), "replies": ("candidate_id",), "dropped": ("sample_id",)}


def deck(folder: Path, name: str) -> pl.DataFrame:
    """Give one of the decks of a finished run's folder: `IDS` and `DECK`, a row a thing to read."""
    rows = {"pairs": _pairs, "replies": _replies, "dropped": _dropped}[name](folder)
    key = pl.concat_str(*IDS[name], separator=".")
    rows = rows.with_columns(key=key).sort("key").unique("key", keep="first", maintain_order=True)
    return rows.select(*dict.fromkeys([*IDS[name], *DECK])).cast(dict(DECK.items()))


def has_rows(folder: Path, name: str) -> bool:
    """Tell whether a deck may have anything to read, by the rows that its tables count."""
    tables = {"pairs": ("preferences", "comparisons"), "replies": ("scores", "sft"), "dropped": ("dropped",)}[name]
    found = [table(folder, one) for one in tables]
    return any(one is not None and one.select(pl.len()).collect().item() for one in found)


def table(folder: Path, name: str) -> pl.LazyFrame | None:
    """Give a table of a run's folder, whatever folders its shards are in; null where there is none."""
    files = sorted((folder / name).rglob("*.parquet"))
    return pl.scan_parquet(files) if files else None


def _sources(folder: Path) -> pl.DataFrame:
    kept = table(folder, "kept")
    assert kept is not None  # noqa: S101 - every finished run has it
    return kept.select(sample_id="id", source="source").collect().unique("sample_id")


def first_ids(candidates: pl.LazyFrame) -> pl.DataFrame:
    """Give for each answered candidate (`id`) the first of its sample with its text (`first`): judges are asked it."""
    rows = candidates.filter(pl.col("status") == "answered").select("id", "sample_id", text=pl.col("text").hash())
    ids = rows.collect(engine="streaming")  # holds the texts of a few shards, and not all
    return ids.select("id", first=pl.col("id").first().over("sample_id", "text"))


def under_first(pairs: pl.DataFrame, first: pl.DataFrame, side: str) -> pl.DataFrame:
    """Put pairs under the first ids of their texts, in order, the column `side` turned with them."""
    for column in ("a_id", "b_id"):
        known = first.rename({"id": column, "first": f"first_{column}"})
        pairs = pairs.join(known, on=column, how="left", maintain_order="left")
        pairs = pairs.with_columns(pl.coalesce(f"first_{column}", column).alias(column)).drop(f"first_{column}")
    return in_order(pairs, ["a_id", "b_id"], side)


def _pairs(folder: Path) -> pl.DataFrame:
    """Give the pairs that were picked and those that judges compared."""
    ids = ["a_id", "b_id"]
    candidates = table(folder, "candidates")
    assert candidates is not None  # noqa: S101 - every finished run has it
    first = first_ids(candidates)
    chosen, said = _picked(folder, first), _compared(folder, first)
    every = pl.concat([one.select(*ids, "sample_id") for one in (chosen, said)]).unique(ids, maintain_order=True)
    every = every.filter(pl.col("a_id") != pl.col("b_id"))
    voices = [chosen.select(*ids, said="side"), said.select(*ids, "said"), _members(folder, first)]
    apart = _apart([*voices, _scored_sides(folder, every)], said.filter("wavers"))
    for more in (chosen.select(*ids, "rule", "score"), apart, _far(folder, said, ids)):
        one = more.unique(ids, keep="first", maintain_order=True)
        every = every.join(one, on=ids, how="left", maintain_order="left")
    return every.join(_sources(folder), on="sample_id", how="left", maintain_order="left")


def _picked(folder: Path, first: pl.DataFrame) -> pl.DataFrame:
    schema = pl.Schema({**OF_PAIRS, "rule": pl.String(), "score": pl.Float64(), "side": pl.Float64()})
    if (rows := table(folder, "preferences")) is None:
        return pl.DataFrame(schema=schema)
    told = rows.select("sample_id", "rule", score="margin", a_id="chosen_id", b_id="rejected_id", side=pl.lit(1.0))
    return under_first(told.collect(), first, "side").select(*schema)


def _compared(folder: Path, first: pl.DataFrame) -> pl.DataFrame:
    schema = pl.Schema({**OF_PAIRS, "judge": pl.String(), "said": pl.Float64(), "wavers": pl.Boolean()})
    if (rows := table(folder, "comparisons")) is None:
        return pl.DataFrame(schema=schema)
    one_place = (pl.col("a_first") == pl.col("b_first")) & pl.col("a_first").is_not_null() & (pl.col("score") == 0)
    told = rows.select("sample_id", "a_id", "b_id", "judge", said="score", wavers=one_place)
    return under_first(told.collect(), first, "said").select(*schema)


def _members(folder: Path, first: pl.DataFrame) -> pl.DataFrame:
    """Give what the members of juries said of pairs."""
    if (rows := table(folder, "judgments")) is None:
        return pl.DataFrame(schema={"a_id": pl.String, "b_id": pl.String, "said": pl.Float64})
    told = rows.filter(pl.col("other_id").is_not_null()).select(a_id="candidate_id", b_id="other_id", said="score")
    return under_first(told.collect(), first, "said").select("a_id", "b_id", "said")


def _scored_sides(folder: Path, pairs: pl.DataFrame) -> pl.DataFrame:
    """Give the sides that judges of replies take by their scores; equal scores take none."""
    known = _scores(folder)
    both = pairs.join(known, left_on="a_id", right_on="candidate_id")
    both = both.join(known, left_on=["b_id", "judge"], right_on=["candidate_id", "judge"], suffix="_b")
    return both.select("a_id", "b_id", said=(pl.col("said") - pl.col("said_b")).sign()).filter(pl.col("said") != 0)


def _apart(voices: list[pl.DataFrame], wavering: pl.DataFrame) -> pl.DataFrame:
    """Give how far apart all that speak of a pair are: half the range of their sides; who names a place says a tie."""
    ids, side = ["a_id", "b_id"], pl.col("said").sign()
    told = pl.concat(voices).drop_nulls("said").group_by(ids).agg(voices=pl.len(), apart=(side.max() - side.min()) / 2)
    told = told.join(wavering.select(*ids, wavers=pl.lit(0.5)).unique(ids), on=ids, how="left")
    several = pl.when(pl.col("voices") > 1).then("apart")
    return told.select(*ids, apart=pl.max_horizontal(several, "wavers"))


def _scores(folder: Path) -> pl.DataFrame:
    if (rows := table(folder, "scores")) is None:
        return pl.DataFrame(schema={"candidate_id": pl.String, "judge": pl.String, "said": pl.Float64})
    return rows.select("candidate_id", "judge", said="score").collect().drop_nulls("said")


def _replies(folder: Path) -> pl.DataFrame:
    """Give the different texts that a judge scored or that were picked for SFT, each under its first candidate's id."""
    candidates = table(folder, "candidates")
    assert candidates is not None  # noqa: S101 - every finished run has it
    every = first_ids(candidates).join(candidates.select("id", "sample_id").collect(), on="id")
    said = _scores(folder)
    picked = pl.DataFrame(schema={"id": pl.String, "rule": pl.String})
    if (sft := table(folder, "sft")) is not None:
        picked = sft.select(id="candidate_id", rule="rule").collect()
    scored = said.group_by(id="candidate_id").agg(
        score=pl.col("said").min(), apart=pl.when(pl.len() > 1).then(pl.col("said").max() - pl.col("said").min())
    )
    scored = scored.with_columns(apart=pl.col("apart") / pl.max_horizontal(pl.col("apart").max(), pl.lit(1.0)))
    found = every.join(picked, on="id", how="left").join(scored, on="id", how="left")
    found = found.filter(pl.col("score").is_not_null() | pl.col("rule").is_not_null())
    told = found.group_by(candidate_id="first", sample_id="sample_id").agg(
        pl.col("rule").drop_nulls().min(), pl.col("score").min(), pl.col("apart").max()
    )
    told = told.join(_far(folder, said, ["candidate_id"]), on="candidate_id", how="left")
    return told.join(_sources(folder), on="sample_id", how="left")


def _dropped(folder: Path) -> pl.DataFrame:
    rows = table(folder, "dropped")
    assert rows is not None  # noqa: S101 - every finished run has it
    nothing = pl.lit(None, pl.Float64)
    told = rows.select(sample_id="id", source="source", rule="rule", score="measured", apart=nothing, far=nothing)
    return told.collect()


def _far(folder: Path, said: pl.DataFrame, ids: list[str]) -> pl.DataFrame:
    """Give how far each thing's score is from the one from which on its judge is trusted, by the run's cards."""
    kind = "pairs" if len(ids) > 1 else "replies"
    cards = [orjson.loads(file.read_bytes()) for file in sorted((folder / "cards").glob("*.json"))]
    trusted = {
        card["judge"]: card["trusted"]["score"]
        for card in cards
        if card.get("kind") == kind and card["trusted"]["score"] is not None
    }
    least = pl.DataFrame(
        {"judge": list(trusted), "least": list(trusted.values())}, {"judge": pl.String, "least": pl.Float64}
    )
    size = pl.col("said").abs() if kind == "pairs" else pl.col("said")
    known = said.drop_nulls("said").join(least, on="judge")
    return known.group_by(ids).agg(far=(size - pl.col("least")).abs().min())
