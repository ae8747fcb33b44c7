"""The preferences of a run derived again from the tables beside them: ids from content, texts and scores by id."""

from collections.abc import Iterator
from pathlib import Path

import orjson
import polars as pl

from pipelines.generate import SOURCE
from pipelines.integrity import Finding
from pipelines.review.override import AUTHOR, JUDGE, LOSES, WINS
from pipelines.scored import table_of
from pipelines.select import hashed
from schemas.chats import content_id
from schemas.tables import COMPARISONS, SCORES

OWN = ("id", "sample_id", "chosen_id", "rejected_id", "rule")  # columns that only our preferences have together


def rederived(path: str, pairs: pl.DataFrame) -> Iterator[Finding]:
    """Hold each of our pairs to what its ids say: the candidates' texts, prompts and scores, and the ids themselves.

    Rows of other datasets have no such ids, and nothing is found of them. Without the tables `candidates` and `kept` in
    the folder, or in the one that holds it, only the pairs' own ids are derived.
    """
    ours = pairs.filter(pl.all_horizontal(pl.col(name).is_not_null() for name in OWN))
    if ours.is_empty():
        return
    yield from _finding(
        ours.filter(pl.col("id") != hashed("chosen_id", "rejected_id")), "have an id that is not theirs"
    )
    root = next((folder for folder in _folders(path) if (folder / "candidates").is_dir()), None)
    if root is None:
        return
    known = _candidates(root)
    yield from _finding(_strange(root, ours, known), "name a sample or candidate that is not there, or not its own")
    by_people = pl.col("judge").str.starts_with(JUDGE).fill_null(value=False)
    yield from _finding(_unsaid(root, ours.filter(by_people)), "name people as their judge who did not decide them so")
    for side in ("chosen", "rejected"):
        found = ours.join(known, left_on=f"{side}_id", right_on="id", how="inner", maintain_order="left")
        other = found.filter(pl.col("text") != pl.col(side))
        yield from _finding(other, f"have another text as {side} than its candidate")
        score = pl.col("score").ne_missing(pl.col(f"{side}_score")) & ~by_people
        yield from _finding(found.filter(score), f"have another score for {side} than the judges gave")
    wrong = known.filter(~pl.col("derives"))["id"].implode()
    sides = pl.col("chosen_id").is_in(wrong) | pl.col("rejected_id").is_in(wrong)
    yield from _finding(ours.filter(sides), "are of a candidate whose id does not derive from its request")


def _folders(path: str) -> Iterator[Path]:
    folder = Path(path)
    yield from (folder, *folder.absolute().parents[:2])


def _strange(root: Path, ours: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Give the pairs whose candidates are unknown or another sample's, or whose prompt is not the sample's."""
    samples = known.select("id", of="sample_id")
    found = ours
    for side in ("chosen", "rejected"):
        named = samples.select(pl.col("id").alias(f"{side}_id"), pl.col("of").alias(f"{side}_of"))
        found = found.join(named, on=f"{side}_id", how="left", maintain_order="left")
    rows = _table(root / "kept").select("id", "prompt").iter_rows()
    asked = [
        (name, orjson.dumps([[turn["role"], turn["content"]] for turn in prompt]).decode()) for name, prompt in rows
    ]
    prompts = pl.DataFrame(asked, {"sample_id": pl.String, "asked": pl.String}, orient="row")
    found = found.join(prompts, on="sample_id", how="left", maintain_order="left")
    own = [pl.col(f"{side}_of").ne_missing(pl.col("sample_id")) for side in ("chosen", "rejected")]
    return found.filter(pl.any_horizontal(*own, pl.col("asked").ne_missing(pl.col("prompt"))))


def _unsaid(root: Path, ours: pl.DataFrame) -> pl.DataFrame:
    """Give the pairs that people are said to have flipped, of which `overridden` does not say so."""
    if not (root / "overridden").is_dir():
        return ours
    said = _table(root / "overridden").filter(pl.col("done") == "flipped")
    known = said.select(chosen_id="rejected_id", rejected_id="candidate_id", judge=AUTHOR)
    known = known.with_columns(chosen_score=pl.lit(WINS), rejected_score=pl.lit(LOSES))
    return ours.join(known, on=known.columns, how="anti", maintain_order="left")


def _candidates(root: Path) -> pl.DataFrame:
    """Give the answered candidates with their scores, and whether their id derives from what they are."""
    tables = [
        _table(root / name) if (root / name).is_dir() else pl.DataFrame(schema=schema)
        for name, schema in (("scores", SCORES), ("comparisons", COMPARISONS))
    ]
    rows = table_of(_table(root / "candidates"), *tables)
    asked = pl.col("request_key").is_not_null() & (pl.col("id") == hashed("sample_id", "request_key"))
    own = pl.col("request_key").is_null() & (pl.col("model") == SOURCE) & _of_source()
    return rows.select("id", "sample_id", "text", "score", derives=asked | own)


def _of_source() -> pl.Expr:
    names = pl.struct("sample_id", "text").map_elements(
        lambda row: [content_id(row["sample_id"], SOURCE), content_id(row["sample_id"], SOURCE, row["text"])],
        return_dtype=pl.List(pl.String),
    )
    return pl.col("id").is_in(names)


def _table(folder: Path) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(file) for file in sorted(folder.rglob("*.parquet"))])


def _finding(rows: pl.DataFrame, told: str) -> Iterator[Finding]:
    if rows.height:
        yield Finding("ids", "error", f"{rows.height:,} rows {told}", rows.select("file", "row", "id").to_dicts())
