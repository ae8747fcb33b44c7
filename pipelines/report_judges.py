"""The report's section on judges: verdicts, agreement, biases, and where they contradict the verifiers."""

from typing import Any

import polars as pl

from pipelines import charts, page, trust
from pipelines.closing import number, of, percent, share
from pipelines.page import Block, Cell, code, examples, note, table
from pipelines.run_tables import Tables
from pipelines.scored import verified

READ = 20  # comparisons to read

Summary = dict[str, Any]


def judges(judges: Summary, tables: Tables) -> list[Block]:
    """Tell of each judge its verdicts, agreement and biases, and show where it contradicts the verifiers."""
    verifiers = [_verifier(name, told) for name, told in judges.items() if told["kind"] == "verifier"]
    others = {name: told for name, told in judges.items() if told["kind"] == "pairwise judge"}
    raters = {name: told for name, told in judges.items() if told["kind"] == "reply judge"}
    blocks: list[Block] = [] if judges else [note("no_judges")]
    if verifiers:
        blocks.append(
            table(["Verifier", "Candidates", "With a verdict", "Pass", "Without a verdict"], verifiers, "123")
        )
    if raters:
        columns = ["Judge of replies", "Candidates", "Without a score", "Mean", "Told apart", "Agreement", "Pairs"]
        blocks.append(table(columns, [_rater(*judge) for judge in raters.items()], "13456"))
    if others:
        columns = [
            "Pairwise judge",
            "Pairs",
            "Ties",
            "Without a verdict",
            "First place named",
            "Agreement",
            "Checkable pairs",
        ]
        blocks += [note("pairwise"), table(columns, [_pairwise(*judge) for judge in others.items()], "12456")]
        agreed = ((name, told["agreement"], told["interval"]) for name, told in others.items())
        blocks += charts.whiskers("agreement (dashed: chance)", agreed, 0.5)
    juries = [(name, told) for name, told in judges.items() if "members" in told]
    if juries:
        blocks.append(table(["Jury", "Members", "Unanimous", "Members agree"], [_jury(*jury) for jury in juries], "12"))
    return blocks + _length(judges) + trust.people(judges) + trust.gamed(judges) + _contradicted(judges, tables)


def _length(judges: Summary) -> list[Block]:
    """Tell how often each judge that prefers one of two replies prefers the longer."""
    rows = [
        [code(name), share(told["longer"], told["longer_interval"]), number(told["longer_of"])]
        for name, told in judges.items()
        if told.get("longer") is not None
    ]
    columns = ["Judge", "The longer is preferred", "Pairs of different lengths"]
    return [note("length_bias"), table(columns, rows, "12")] if rows else []


def _contradicted(judges: Summary, tables: Tables) -> list[Block]:
    """Show comparisons in which a judge prefers what the verifiers fail to what they pass."""
    found: list[pl.DataFrame] = []
    for comparisons, checked in tables.compared:
        own = _wrong(comparisons.filter(pl.col("judge").is_in(list(judges))), checked)
        found = [pl.concat([*found, own]).sort("a_id", "b_id", "judge").head(READ)]
    if not found:
        return []
    some = found[0]
    ids = pl.concat([some["a_id"], some["b_id"]]).implode()
    texts = dict(tables.rows["candidates"].filter(pl.col("id").is_in(ids)).select("id", "text").collect().iter_rows())
    asked = tables.rows["kept"].filter(pl.col("id").is_in(some["sample_id"].implode())).select("id", "prompt").collect()
    prompts = dict(asked.iter_rows())
    shown = [_comparison(row, prompts, texts) for row in some.iter_rows(named=True)]
    return [note("contradicted"), *examples(shown)] if shown else []


def _wrong(comparisons: pl.DataFrame, checked: pl.DataFrame) -> pl.DataFrame:
    """Give the comparisons that prefer a reply with a lower score of the verifiers."""
    truth = verified(checked).select("candidate_id", "score").drop_nulls()
    told = comparisons
    for side in ("a", "b"):
        score = truth.select(pl.col("candidate_id").alias(f"{side}_id"), pl.col("score").alias(f"{side}_true"))
        told = told.join(score, on=f"{side}_id")
    return told.filter(pl.col("score") * (pl.col("a_true") - pl.col("b_true")) < 0)


def _comparison(row: Summary, prompts: Summary, texts: Summary) -> Block:
    better, worse = ("a", "b") if row["score"] > 0 else ("b", "a")
    replies = [
        (name, page.reply(texts.get(row[f"{side}_id"]))) for name, side in (("preferred", better), ("passes", worse))
    ]
    asked = page.chat(prompts.get(row["sample_id"]) or [{"role": "user", "content": None}])
    said = [
        " said ",
        code(row["a_first"] or "nothing"),
        " and, the other way around, ",
        code(row["b_first"] or "nothing"),
    ]
    return {"facts": [code(row["judge"]), *said], "texts": [("prompt", asked), *replies]}


def _rater(name: str, told: Summary) -> list[Cell]:
    agreed, pairs = share(told["agreement"], told["interval"]), number(told["verified_pairs"])
    counts = [number(told["candidates"]), _statuses(told, told["candidates"]), number(told["mean"])]
    return [code(name), *counts, percent(told["told_apart"]), agreed, pairs]


def _jury(name: str, told: Summary) -> list[Cell]:
    agreed = "; ".join(f"{members}: {percent(value)}" for members, value in told["members_agree"].items())
    return [code(name), number(told["members"]), percent(told["unanimous"]), agreed]


def _verifier(name: str, told: Summary) -> list[Cell]:
    scored = number(told["scored"])
    return [
        code(name),
        number(told["candidates"]),
        scored,
        of(told["passed"], told["scored"]),
        _statuses(told, told["candidates"]),
    ]


def _pairwise(name: str, told: Summary) -> list[Cell]:
    return [
        code(name),
        number(told["comparisons"]),
        of(told["ties"], told["comparisons"]),
        _statuses(told, told["comparisons"]),
        f"{percent(told['first_slot'])} of {number(told['answers'])}",
        share(told["agreement"], told["interval"]),
        number(told["verified_pairs"]),
    ]


def _statuses(told: Summary, every: int) -> Cell:
    found = enumerate(told["without_verdict"].items())
    return [
        part for at, (status, count) in found for part in (", " * (at > 0), code(status), f" {of(count, every)}")
    ] or "0"
