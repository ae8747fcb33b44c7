"""The report's sections on preference pairs and on the datasets: health, splits, leaks, rows to read."""

from typing import Any

import polars as pl

from pipelines import charts, page
from pipelines.closing import number, of, percent, reviewed
from pipelines.figures import lowest
from pipelines.page import Block, Cell, bar, beside, code, examples, figures, note, table, words
from pipelines.pair_figures import near_identical
from pipelines.run_tables import Tables
from schemas.rules import Shards

READ = 20  # rows to read
NEAR = 5  # near-identical pairs to read
MARGINS = 12  # a longer table says less than a histogram

Summary = dict[str, Any]


def reviews(told: Summary | None) -> list[Block]:
    """Tell what people's verdicts changed; nothing where none were asked for."""
    if told is None:
        return []
    names = [part for at, name in enumerate(told["people"]) for part in (", " * (at > 0), code(name))]
    return [words("Changed by ", reviewed(told), ", by ", *names, "."), note("reviews")]


def preferences(summary: Summary, tables: Tables) -> list[Block]:
    """Tell the health of the pairs: lengths, margins, what gives the label away, and twenty to read."""
    told = summary["preferences"]
    if not told["pairs"]:
        return [note("no_preferences")]
    pairs = tables.pairs
    health = [
        ["Pairs", number(told["pairs"])],
        ["Characters of the chosen reply, mean", f"{told['chosen_characters']:,.1f}"],
        ["Characters of the rejected reply, mean", f"{told['rejected_characters']:,.1f}"],
        ["Chosen less rejected, mean characters", _gap(told)],
        ["Chosen is longer", percent(told["chosen_longer"])],
        ["Same length", percent(told["same_length"])],
        ["On policy: neither reply came with the data", percent(told["on_policy"])],
        ["Both by the same generator", percent(told["same_generator"])],
        ["Sides that differ in case, blanks and marks alone", of(told["same_words"], told["pairs"])],
        ["Near-identical: nine tenths of the words in common", of(told["near_identical"], told["pairs"])],
        *_ties(summary),
        ["Right when the chosen is guessed from the generators alone", percent(_guessed(told, pairs))],
    ]
    generators = [
        [code(one["generator"]), number(one["replies"]), percent(one["chosen"]), bar(one["chosen"])]
        for one in told["generators"]
    ]
    return [
        note("health"),
        figures(health),
        beside(*charts.lengths({side: pairs[f"{side}_characters"] for side in ("chosen", "rejected")})),
        _margins(told["margins"], pairs),
        note("generators"),
        table(["Generator", "Replies in pairs", "Chosen", ""], generators, "12"),
        note("pairs"),
        *examples([page.pair(row) for row in lowest(tables.preferences, READ).iter_rows(named=True)]),
        *_near(tables.preferences),
    ]


def _gap(told: Summary) -> str:
    low, high = told["length_gap_interval"] or (None, None)
    return f"{told['length_gap']:+,.1f}" + ("" if low is None else f" [{low:+,.1f}, {high:+,.1f}]")


def _ties(summary: Summary) -> list[list[Cell]]:
    """Give each pairwise judge's ties."""
    return [
        [["Ties of ", code(name)], of(told["ties"], told["comparisons"])]
        for name, told in summary["judges"].items()
        if told["kind"] == "pairwise judge"
    ]


def _near(pairs: Shards) -> list[Block]:
    """Show the pairs whose sides are most alike."""
    near = near_identical(pairs, NEAR)
    shown = [page.pair(row) for row in near.iter_rows(named=True)]
    return [note("near_identical"), *examples(shown)] if shown else []


def _margins(counts: dict[str, int], pairs: pl.DataFrame) -> Block:
    if len(counts) > MARGINS:
        return charts.histogram("margin", pairs["margin"], of_what="pairs") or words("No margin is known.")
    rows = sorted((float(margin), count) for margin, count in counts.items())
    return table(["Margin", "Pairs"], [[number(margin), number(count)] for margin, count in rows], "01")


def _guessed(told: Summary, pairs: pl.DataFrame) -> float:
    """Give how often the generator that is chosen more often is the chosen one; an even choice counts half."""
    shares = {one["generator"]: one["chosen"] for one in told["generators"]}
    right = 0.0
    for chosen, rejected, count in pairs.group_by("chosen_generator", "rejected_generator").len().iter_rows():
        right += count * (0.5 + 0.5 * (shares[chosen] > shares[rejected]) - 0.5 * (shares[chosen] < shares[rejected]))
    return right / pairs.height


def datasets(summary: Summary, tables: Tables) -> list[Block]:
    """Tell each dataset's rows and splits, what was left out of all, and show rows of SFT."""
    rows = [
        [
            code(one["dataset"]),
            number(one["rows"]),
            number(one["rows"] - one["held_out"]),
            of(one["held_out"], one["rows"]),
        ]
        for one in summary["datasets"]
    ]
    some = tables.rows["sft"].bottom_k(READ, by="id").collect().sort("id")
    shown = [page.learned(row) for row in some.iter_rows(named=True)]
    return [
        note("datasets"),
        table(["Dataset", "Rows", "To train on", "Held out"], rows, "123"),
        *_leaked(tables.rows["leaked"].collect()),
        *([note("sft"), *examples(shown)] if shown else []),
    ]


def _leaked(leaked: pl.DataFrame) -> list[Block]:
    if leaked.is_empty():
        return [note("no_leaks")]
    some = leaked.sort("candidate_id").head(READ)
    return [note("leaks"), *examples([page.leak(row) for row in some.iter_rows(named=True)])]
