"""The fifth stage: from scores to data. A rule of selection is a function from scored candidates to ids.

It is called with the candidates of up to 5,000 samples at a time. Memory is bounded by a shard of each table; held
besides are the replies that leak a benchmark, and the ids that a rule ranks which holds prompts against each other.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.decontaminate import contaminating, without_leaks
from pipelines.generate import SOURCE
from pipelines.scored import Scored
from pipelines.sections import FilterPart, SelectPart
from pipelines.store import Stored, once, shards, write_table
from pipelines.versions import code_version, part_version
from schemas.chats import content_id
from schemas.parts import load
from schemas.tables import LEAKED, OVERRIDDEN, PREFERENCES, SAMPLES, SFT

DEFAULT = "pipelines.select:best_and_worst"
OURS = ("decontaminate", "held_out", "review.override", "scored", "steps", "training_layouts")
CODE = tuple(f"pipelines.{module}" for module in OURS)
OWN = -1  # the number of the reply that a sample came with, among the candidates


@dataclass(frozen=True)
class Selection:
    """What is picked: candidate ids (`id`) for SFT, and pairs of them (`chosen_id`, `rejected_id`).

    `bad` are ids of replies that the data itself calls bad, each the only one to its prompt; no rule need give them.
    """

    sft: pl.DataFrame
    pairs: pl.DataFrame
    bad: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema={"id": pl.String}), kw_only=True)


@dataclass(frozen=True)
class Ranked(Selection):
    """A selection in which prompts are held against each other: the `share` of all `ranked` pairs that come first.

    `ranked` has `chosen_id` and `rejected_id`, and their order by `doubt`, the greatest first, then `draw`. `pairs` are
    those that come first where there are no other prompts.
    """

    ranked: pl.DataFrame
    share: float


Pick = Callable[[pl.DataFrame], Selection]


def first_of(ranked: pl.DataFrame, share: float) -> pl.DataFrame:
    """Give the first `share` of `Ranked` pairs, rounded up to a whole number."""
    return ranked.sort(-pl.col("doubt"), "draw").head(math.ceil(share * ranked.height))


def best_and_worst(
    candidates: pl.DataFrame,
    *,
    minimum: float = 1.0,
    margin: float = 1.0,
    replies: int = 1,
    on_policy: bool = False,
) -> Selection:
    """Pick each prompt's best candidates for SFT, up to `replies` of them, and its best and worst as a pair.

    The best is the one with the highest score, then the most wins in comparisons; it needs a score of at least
    `minimum` (1: it passed, or won every comparison). The worst is the mirror image. Among equals the id decides, which
    is a hash: a draw that is the same in every run. A pair needs a difference in score of at least `margin` (above 0),
    so that ties and equal texts give none. With several `replies` a text that the model gave twice counts twice, as in
    ReST-EM (arXiv 2312.06585, section 3, whose cap is 10): the model's own distribution less what is wrong. `on_policy`
    leaves out the replies that came with the data.
    """
    needs_margin(margin)
    scored = eligible(candidates, on_policy=on_policy)
    good = best_of(scored, minimum, replies)
    best = good.unique("sample_id", keep="first", maintain_order=True)
    worst = scored.sort("sample_id", "score", "wins", "id").group_by("sample_id", maintain_order=True).first()
    pairs = best.join(worst, on="sample_id", suffix="_worst", maintain_order="left").filter(
        pl.col("score") - pl.col("score_worst") >= margin, pl.col("text") != pl.col("text_worst")
    )
    return Selection(good.select("id"), pairs.select(chosen_id="id", rejected_id="id_worst"))


def eligible(candidates: pl.DataFrame, *, on_policy: bool) -> pl.DataFrame:
    """Give the candidates with a score; `on_policy` leaves out the replies that came with the data."""
    return candidates.filter(pl.col("score").is_not_null() & ~((pl.col("model") == SOURCE) & on_policy))


def best_of(scored: pl.DataFrame, minimum: float, replies: int) -> pl.DataFrame:
    """Give each prompt's candidates from `minimum` on, up to `replies`: by score, wins, id."""
    if replies < 1:
        raise ValueError(f"replies is {replies}; a prompt gives at least one")
    ranked = scored.sort(["sample_id", "score", "wins", "id"], descending=[False, True, True, False])
    return ranked.group_by("sample_id", maintain_order=True).head(replies).filter(pl.col("score") >= minimum)


def needs_margin(margin: float) -> None:
    """Raise `ValueError` for a margin at which equal scores would be a pair."""
    if margin <= 0:
        raise ValueError(f"margin is {margin}; a pair of equal scores has no preference in it")


def select(
    store: Path,
    curated: Stored,
    generated: Stored,
    scored: Sequence[Stored],
    part: SelectPart,
    *,
    benchmarks: Sequence[Stored] = (),
    filters: Sequence[FilterPart] = (),
) -> Stored:
    """Make the datasets in all layouts; without judges `sft` holds the kept rows' own replies.

    What was picked is held against the benchmarks by those of the recipe's `filters` that are rules on contamination:
    a candidate that gives one away is in the table `leaked` and in no dataset, and its prompt is picked from again.
    What people said otherwise of, in the file `reviews`, is in the table `overridden`.
    """
    from pipelines.review.override import Reviewed, digest, votes_in

    votes = votes_in(Path(part.reviews)) if part.reviews else []
    checks = contaminating(filters) if benchmarks else {}
    question = {
        "samples": curated.key,
        "candidates": generated.key,
        "scores": [stored.key for stored in scored],
        "select": part.model_dump(exclude={"reviews"}),
        "contamination": {
            "benchmarks": [one.key for one in benchmarks],
            "rules": {name: one.model_dump() for name, (one, _rule) in checks.items()},
            "code": part_version(*(one.use.partition(":")[0] for one, _rule in checks.values())),
        },
        "code": code_version(part.use.partition(":")[0], *CODE, __name__),
        **({"reviews": digest(votes)} if part.reviews else {}),
    }

    def build(folder: Path) -> dict[str, Any]:
        from pipelines.training_layouts import Datasets

        picks = bool(scored) or part.use != DEFAULT
        own: Pick = load(part.use, part.arguments)

        def pick(table: Iterable[tuple[pl.DataFrame, pl.DataFrame]]) -> Picked:
            return Picked(table, against_all(table, own) if picks else _own_replies)

        rules = {name: rule for name, (_part, rule) in checks.items()}
        known = [shard for one in benchmarks for shard in shards(one, "samples", SAMPLES)]
        picked, leaked = without_leaks(Scored(curated, generated, scored), pick, rules, known)
        rule = part.use if picks else "the reply that came with the data"
        people, changed = Reviewed(picked, votes, rule), [pl.DataFrame(schema=OVERRIDDEN)]
        with Datasets(folder, rule=rule, held_out=part.held_out) as out:
            for one, candidates, samples in people:
                changed.append(one.changed)
                out.write(one, candidates, samples, overridden=one.changed)
        apart = {"leaked": (leaked, LEAKED), "overridden": (pl.concat(changed), OVERRIDDEN)}
        rows = {name: write_table(folder, name, table, schema) for name, (table, schema) in apart.items()}
        return rows | out.facts() | {"reviews": people.counts() if part.reviews else None}

    return once(store, "select", question, build)


@dataclass(frozen=True)
class Picked:
    """What is picked of up to 5,000 samples at a time, their candidates, and they; may be gone through again."""

    table: Iterable[tuple[pl.DataFrame, pl.DataFrame]]
    pick: Pick

    def __iter__(self) -> Iterator[tuple[Selection, pl.DataFrame, pl.DataFrame]]:
        for samples, candidates in self.table:
            yield _learnable(self.pick(candidates), candidates, samples), candidates, samples


def against_all(table: Iterable[tuple[pl.DataFrame, pl.DataFrame]], pick: Pick) -> Pick:
    """Give a rule of selection as one that takes some prompts at a time.

    Most do as they are. Of one that holds prompts against each other what it ranks is gathered first: ids alone.
    """
    ranked, share = [], 1.0
    for _samples, candidates in table:
        told = pick(candidates)
        if not isinstance(told, Ranked):
            return pick
        ranked.append(told.ranked)
        share = told.share
    if not ranked:
        return pick
    taken = first_of(pl.concat(ranked), share)

    def among_all(candidates: pl.DataFrame) -> Selection:
        own = pick(candidates)
        assert isinstance(own, Ranked)  # noqa: S101 - it was so at the first time
        pairs = own.ranked.join(taken, on=["chosen_id", "rejected_id"], how="semi", maintain_order="left")
        return Selection(own.sft, pairs.select("chosen_id", "rejected_id"))

    return among_all


def _own_replies(candidates: pl.DataFrame) -> Selection:
    own = candidates.filter((pl.col("model") == SOURCE) & (pl.col("sample") == OWN)).select("id")
    return Selection(own, pl.DataFrame(schema={"chosen_id": pl.String, "rejected_id": pl.String}))


def _learnable(picked: Selection, candidates: pl.DataFrame, samples: pl.DataFrame) -> Selection:
    """Leave out of SFT the replies that the data itself says are not to be learned, by a loss weight of 0."""
    unwanted = samples.filter(pl.col("weight") == 0).select(sample_id="id", sample=pl.lit(OWN, pl.Int64))
    not_learned = candidates.filter(pl.col("model") == SOURCE).join(unwanted, on=["sample_id", "sample"], how="semi")
    learned = picked.sft.join(not_learned, on="id", how="anti", maintain_order="left")
    return Selection(learned, picked.pairs, bad=_called_bad(candidates, samples))


def _called_bad(candidates: pl.DataFrame, samples: pl.DataFrame) -> pl.DataFrame:
    """Give the replies that the data labels bad, as KTO's does, but for those that a judge found good."""
    only, said = pl.col("replies").list.len() == 1, pl.col("replies").list.first().struct.field("score")
    of_bad = samples.filter(pl.col("reply").is_null() & only & (said == 0)).select(sample_id="id")
    own = candidates.filter((pl.col("model") == SOURCE) & (pl.col("score").fill_null(0) <= 0))
    return own.join(of_bad, on="sample_id", how="semi", maintain_order="left").select("id")


def sft_rows(picked: pl.DataFrame, candidates: pl.DataFrame, samples: pl.DataFrame, rule: str) -> pl.DataFrame:
    """Give the SFT table of the picked candidates, in the samples' order."""
    rows = picked.join(candidates, on="id", maintain_order="left")
    return (
        _in_order(samples, rows, "sample_id")
        .select(
            id=hashed("sample_id", "id"),
            prompt="prompt",
            completion=_reply("text"),
            sample_id="sample_id",
            candidate_id="id",
            score="score",
            generator="model",
            judge="judge",
            rule=pl.lit(rule),
            source="source",
            license="license",
        )
        .cast(SFT)
    )


def preference_rows(picked: pl.DataFrame, candidates: pl.DataFrame, samples: pl.DataFrame, rule: str) -> pl.DataFrame:
    """Give the preference table of the picked pairs, in the samples' order."""
    columns = ["id", "sample_id", "text", "score", "model", "judge"]
    chosen = candidates.select(pl.col(column).alias(f"chosen_{column}") for column in columns)
    rejected = candidates.select(pl.col(column).alias(f"rejected_{column}") for column in columns)
    pairs = picked.join(chosen, on="chosen_id", maintain_order="left").join(
        rejected, on="rejected_id", maintain_order="left"
    )
    wrong = pairs.filter(
        (pl.col("chosen_sample_id") != pl.col("rejected_sample_id"))
        | (pl.col("chosen_text") == pl.col("rejected_text"))
    )
    if wrong.height:
        raise ValueError(f"{rule} picked {wrong.height} pairs of equal texts or of different prompts: {wrong.row(0)}")
    return (
        _in_order(samples, pairs, "chosen_sample_id")
        .select(
            id=hashed("chosen_id", "rejected_id"),
            prompt="prompt",
            chosen=_reply("chosen_text"),
            rejected=_reply("rejected_text"),
            sample_id="chosen_sample_id",
            chosen_id="chosen_id",
            rejected_id="rejected_id",
            chosen_score="chosen_score",
            rejected_score="rejected_score",
            margin=pl.col("chosen_score") - pl.col("rejected_score"),
            chosen_generator="chosen_model",
            rejected_generator="rejected_model",
            judge="chosen_judge",
            rule=pl.lit(rule),
            source="source",
            license="license",
        )
        .cast(PREFERENCES)
    )


def _in_order(samples: pl.DataFrame, rows: pl.DataFrame, sample: str) -> pl.DataFrame:
    """Give what was picked with its prompt, in the samples' order; `sample` is the column with the sample's id."""
    prompts = samples.select(pl.col("id").alias(sample), "prompt", "source", "license")
    return prompts.join(rows, on=sample, maintain_order="left")


def _reply(column: str) -> pl.Expr:
    turn = pl.struct(role=pl.lit("assistant"), content=pl.col(column), tool_calls=pl.lit(None, pl.String))
    return pl.concat_list(turn)


def hashed(*columns: str, before: Sequence[object] = ()) -> pl.Expr:
    """Give the content id of `before` and a row's columns: what ids are made by, and draws that any run repeats."""
    return pl.struct(columns).map_elements(lambda row: content_id(*before, *row.values()), return_dtype=pl.String)
