"""What people said against what a rule of selection picked: pairs are flipped or taken out, replies are taken out."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from judges.agreement import majority
from pipelines.labels import read_labels
from pipelines.review.decks import first_ids
from pipelines.review.verdicts import SKIP, key_of, read_verdicts
from pipelines.select import Selection
from schemas.chats import content_id
from schemas.tables import OVERRIDDEN

JUDGE = "review:"  # before each name of the people in a row's `judge`
AUTHOR = pl.lit(JUDGE) + pl.col("people").list.join(f", {JUDGE}")
WINS, LOSES = 1.0, -1.0  # the scores of a pair that people decided, as of any comparison
OF_PAIRS = {"a": 1.0, "b": -1.0, "tie": 0.0, "both_bad": 0.0}
OUTCOMES = ("confirmed", "flipped", "removed", "sft_confirmed", "sft_removed", "split")
CHANGES = {  # what was done, and what people said
    "flipped": ("flipped", "rejected is better"),
    "removed": ("removed", "no preference"),
    "sft_removed": ("removed", "bad"),
}
OF_REPLIES = {"pass": 1.0, "fail": 0.0}


Some = tuple[Selection, pl.DataFrame, pl.DataFrame]  # what is picked of some samples, their candidates, and they


@dataclass(frozen=True)
class Vote:
    """What a person said of a reply (one id) or of a pair (two, in order)."""

    ids: tuple[str, ...]
    person: str
    verdict: str
    note: str

    @property
    def value(self) -> float:
        """The verdict as a number: 1 the first is better or the reply is good, -1 the second, 0 neither or bad."""
        return (OF_PAIRS if len(self.ids) > 1 else OF_REPLIES)[self.verdict]


@dataclass(frozen=True)
class Overruled(Selection):
    """A selection after people: what they changed (`OVERRIDDEN`), and the `outcome` of each one told of."""

    changed: pl.DataFrame
    outcomes: pl.DataFrame


class Reviewed:
    """What is picked of some samples at a time, after people; without votes as it was. May be gone through again."""

    def __init__(self, picked: Iterable[Some], votes: Sequence[Vote], rule: str) -> None:
        self.picked, self.told, self.rule = picked, settled(votes), rule
        self.outcomes: list[pl.DataFrame] = []

    def __iter__(self) -> Iterator[tuple[Overruled, pl.DataFrame, pl.DataFrame]]:
        self.outcomes = [pl.DataFrame(schema={"key": pl.String, "outcome": pl.String})]
        for one, candidates, samples in self.picked:
            after = overrule(one, candidates, self.told, self.rule)
            self.outcomes.append(after.outcomes)
            yield after, candidates, samples

    def counts(self) -> dict[str, Any]:
        """Give `counts` of all that was gone through."""
        return counts(pl.concat(self.outcomes), self.told)


def votes_in(file: Path) -> list[Vote]:
    """Read what people said: a review's file of verdicts, or a CSV file of labels (its name ends in .csv).

    Raises `InputError` where the file is none of these.
    """
    if file.suffix == ".csv":
        labels = read_labels(file)
        words = {1.0: "a", -1.0: "b", 0.0: "tie"} if len(labels.ids) > 1 else {1.0: "pass", 0.0: "fail"}
        rows = labels.rows.select(*labels.ids, "person", "verdict").iter_rows()
        return [Vote(tuple(ids), person, words[said], "") for *ids, person, said in rows if said in words]
    verdicts = read_verdicts(file)
    said = [one for deck in ("pairs", "replies") for one in verdicts.said(deck) if one["verdict"] != SKIP]
    return [Vote(tuple(one["ids"]), one["person"], str(one["verdict"]), one["note"]) for one in said]


def digest(votes: Sequence[Vote]) -> str:
    """Name votes by what they say: the same said again is the same."""
    return content_id(*sorted([*one.ids, one.person, one.verdict, one.note] for one in votes))


def overrule(picked: Selection, candidates: pl.DataFrame, told: pl.DataFrame, rule: str) -> Overruled:
    """Apply what most people said (`settled`) to the ids for SFT and the pairs; where they are split it stays.

    A pair whose rejected reply people prefer is flipped; one that they call a tie, or of which both are bad, is taken
    out; a reply for SFT that they call bad is taken out. What was said of a text holds for all candidates with it.
    """
    if told.is_empty():
        nothing = pl.DataFrame(schema={"key": pl.String, "outcome": pl.String})
        return Overruled(picked.sft, picked.pairs, pl.DataFrame(schema=OVERRIDDEN), nothing, bad=picked.bad)
    first = first_ids(candidates.lazy())
    sft, pairs = _replies(picked.sft, first, told), _pairs(picked.pairs, first, told)
    swapped = pl.col("outcome") == "flipped"
    left = pairs.filter(pl.col("outcome").ne_missing("removed")).select(
        chosen_id=pl.when(swapped).then("rejected_id").otherwise("chosen_id"),
        rejected_id=pl.when(swapped).then("chosen_id").otherwise("rejected_id"),
    )
    good = sft.filter(pl.col("outcome").ne_missing("sft_removed")).select("id")
    bad = _replies(picked.bad, first, told).filter(pl.col("outcome").ne_missing("sft_confirmed")).select("id")
    both = [pairs.rename({"chosen_id": "candidate_id"}), sft.rename({"id": "candidate_id"})]
    every = pl.concat(both, how="diagonal").drop_nulls("outcome")
    return Overruled(good, left, _changed(every, candidates, rule), every.select("key", "outcome"), bad=bad)


def counts(outcomes: pl.DataFrame, told: pl.DataFrame) -> dict[str, Any]:
    """Count what came of what people said: pairs and SFT rows by outcome, and what of it no rule had picked."""
    by = dict(outcomes["outcome"].value_counts().iter_rows())
    people = told["people"].explode(empty_as_null=False).unique().sort().to_list()
    judged = {"people": people, "judged": told.height, "not_picked": told.height - outcomes["key"].n_unique()}
    return {name: by.get(name, 0) for name in OUTCOMES} | judged


def settled(votes: Sequence[Vote]) -> pl.DataFrame:
    """Give of each thing what most people said, null where two verdicts come first together, and who said what."""
    by: dict[str, list[Vote]] = defaultdict(list)
    for vote in sorted(votes, key=lambda one: (one.ids, one.person)):
        by[key_of(list(vote.ids))].append(vote)
    rows = [
        {
            "key": key,
            "value": majority([one.value for one in said]),
            "people": [one.person for one in said],
            "votes": [one.verdict for one in said],
            "notes": [one.note for one in said],
        }
        for key, said in by.items()
    ]
    texts = pl.List(pl.String())
    schema = pl.Schema({"key": pl.String(), "value": pl.Float64(), "people": texts, "votes": texts, "notes": texts})
    return pl.DataFrame(rows, schema)


def _pairs(picked: pl.DataFrame, first: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    """Join the picked pairs with what was said of them, and tell its outcome."""
    rows = picked.select("chosen_id", "rejected_id")
    for side in ("chosen", "rejected"):
        known = first.rename({"id": f"{side}_id", "first": side})
        rows = rows.join(known, on=f"{side}_id", how="left", maintain_order="left")
    sides = pl.min_horizontal("chosen", "rejected"), pl.max_horizontal("chosen", "rejected")
    rows = rows.with_columns(key=pl.concat_str(*sides, separator="."))
    rows = rows.join(told, on="key", how="left", maintain_order="left")
    turned = pl.when(pl.col("chosen") < pl.col("rejected")).then("value").otherwise(-pl.col("value"))
    return _outcome(rows, turned.sign(), {1: "confirmed", -1: "flipped", 0: "removed"})


def _replies(picked: pl.DataFrame, first: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    rows = picked.select("id").join(first.rename({"first": "key"}), on="id", how="left", maintain_order="left")
    rows = rows.join(told, on="key", how="left", maintain_order="left")
    return _outcome(rows, pl.col("value"), {1: "sft_confirmed", 0: "sft_removed"})


def _outcome(rows: pl.DataFrame, said: pl.Expr, names: dict[int, str]) -> pl.DataFrame:
    """Name what comes of each row: `split` where people settled nothing, null where nobody spoke."""
    outcome = said.cast(pl.Int8).replace_strict(names, default="split", return_dtype=pl.String)
    return rows.with_columns(outcome=pl.when(pl.col("people").is_not_null()).then(outcome))


def _changed(rows: pl.DataFrame, candidates: pl.DataFrame, rule: str) -> pl.DataFrame:
    """Give `OVERRIDDEN`: with each row the judges' own score and names."""
    known = candidates.select("id", "sample_id", "score", "judge")
    told = rows.filter(pl.col("outcome").is_in(list(CHANGES)))
    told = told.join(known, left_on="candidate_id", right_on="id", how="left", maintain_order="left")
    other = candidates.select(rejected_id="id", rejected_score="score")
    told = told.join(other, on="rejected_id", how="left", maintain_order="left")
    gap = pl.when(pl.col("rejected_id").is_null()).then("score").otherwise(pl.col("score") - pl.col("rejected_score"))
    changes = {
        name: pl.col("outcome").replace_strict({one: two[at] for one, two in CHANGES.items()})
        for at, name in enumerate(("done", "verdict"))
    }
    return told.with_columns(score=gap, rule=pl.lit(rule), **changes).select(*OVERRIDDEN).cast(OVERRIDDEN)


def authored(rows: pl.DataFrame, changed: pl.DataFrame) -> pl.DataFrame:
    """Name the people in the rows of the pairs that they flipped, with the scores of a comparison that one side won."""
    said = changed.filter(pl.col("done") == "flipped").select(
        chosen_id="rejected_id", rejected_id="candidate_id", author=AUTHOR
    )
    told = rows.join(said, on=["chosen_id", "rejected_id"], how="left", maintain_order="left")
    values = {"chosen_score": WINS, "rejected_score": LOSES, "margin": WINS - LOSES}
    by_people = pl.col("author").is_not_null()
    return told.with_columns(
        *(pl.when(by_people).then(value).otherwise(pl.col(name)).alias(name) for name, value in values.items()),
        judge=pl.coalesce("author", "judge"),
    ).select(rows.columns)


def authored_replies(rows: pl.DataFrame, changed: pl.DataFrame) -> pl.DataFrame:
    """Name the people in the unpaired rows of the pairs that they flipped."""
    flipped = changed.filter(pl.col("done") == "flipped")
    sides = [
        flipped.select(candidate_id="rejected_id", author=AUTHOR, decided=pl.lit(WINS)),
        flipped.select(candidate_id="candidate_id", author=AUTHOR, decided=pl.lit(LOSES)),
    ]
    said = pl.concat(sides).unique("candidate_id", keep="first", maintain_order=True)
    told = rows.join(said, on="candidate_id", how="left", maintain_order="left")
    return told.with_columns(score=pl.coalesce("decided", "score"), judge=pl.coalesce("author", "judge")).select(
        rows.columns
    )
