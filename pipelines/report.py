"""The report of a run: its sections, each counted from the summary and the tables."""

from typing import TYPE_CHECKING, Any

import polars as pl

from pipelines import charts, outcome, page, trust
from pipelines.closing import number, of, percent, result, reviewed, share
from pipelines.figures import counts_of, first_of_each, unchecked
from pipelines.page import Block, Cell, bar, beside, code, examples, figures, heading, note, table, words
from schemas.rules import Shards

if TYPE_CHECKING:
    from pipelines.folder import Tables  # its module imports this one

SHOWN = 50  # quarantined records in a table
MARGINS = 12  # a longer table says less than a histogram

Summary = dict[str, Any]


def render(summary: Summary, tables: "Tables") -> tuple[str, str]:
    """Give the report of a finished run as HTML and as Markdown; the same run gives the same bytes."""
    made = {
        "Funnel": _funnel(summary),
        "Sources": _sources(summary, tables),
        "Drops": _drops(summary, tables),
        "Quarantine": _quarantine(tables.quarantined),
        "Candidates": _candidates(summary["candidates"]),
        "Judges": _judges(summary["judges"]),
        "Preferences": [*_reviews(summary.get("reviews")), *_preferences(summary["preferences"], tables)],
        "Training": outcome.training(summary["training"]),
        "Evaluation": outcome.evaluation(summary["evaluation"]),
        "Cost": outcome.cost(summary),
    }
    whole = {
        "name": summary["name"],
        "facts": f"version {summary['version']}, seed {summary['seed']}",
        "result": result(summary).replace("->", "→") + ".",
        "sections": [{"title": title, "id": title.lower(), "blocks": blocks} for title, blocks in made.items()],
    }
    return page.html(whole), page.markdown(whole)


def _funnel(summary: Summary) -> list[Block]:
    rows = summary["rows"]

    def step(name: Cell, count: int, about: str, tone: str = "kept") -> list[Cell]:
        return [name, number(count), bar(count, rows["read"], tone), about]

    rules = [
        step(["minus ", code(rule["rule"])], rule["dropped"], f"broke this rule first; kept: {_bounds(rule)}", "broken")
        for rule in summary["rules"]
    ]
    grown = [
        step(["plus ", code(told["use"])], told["new"], f"new prompts; {_not_taken(told)}")
        for told in summary["prompts"]
    ]
    candidates = "replies to kept prompts, failed ones and those that came with the data included"
    learned = "candidates selected to be learned, any number a prompt"
    steps = [
        step("Rows read", rows["read"], f"records found; files: {number(len(summary['files']))}"),
        step("minus quarantined", rows["quarantined"], "records in which no sample could be read", "broken"),
        *grown,
        step("Samples", rows["samples"], f"rows read less quarantined{', and the new prompts' if grown else ''}"),
        *rules,
        step("Kept", rows["kept"], "samples that broke no rule"),
        ["Candidates", number(rows["candidates"]), "", candidates],
        ["SFT rows", number(rows["sft"]), "", learned],
        step("Preference pairs", rows["preferences"], "pairs of a chosen and a rejected candidate"),
    ]
    edits: list[list[Cell]] = [[code(kind), number(count)] for kind, count in summary["edits"].items()]
    changed = [note("edits"), table(["Edited", "Places"], edits, "1")] if edits else []
    return [note("funnel"), table(["Step", "Rows", "", "Counted as"], steps, "1"), *changed]


def _not_taken(told: Summary) -> str:
    """Say how many new prompts were wanted and what became of the others."""
    named = {
        "unread": "could not be read",
        "error": "met an error",
        "repeat": "repeated a prompt",
        "surplus": "too many",
    }
    found = [f"{number(told[status])} {words}" for status, words in named.items() if told[status]]
    return ", ".join([f"{number(told['wanted'])} wanted", *found])


def _sources(summary: Summary, tables: "Tables") -> list[Block]:
    by = ["source", "license"]
    counts = counts_of(tables.samples, by, "samples")
    for name in ("kept", "sft", "preferences"):
        part = counts_of(getattr(tables, name), by, name)
        counts = counts.join(part, on=by, how="left", nulls_equal=True)
    rows = [
        [code(source), "not stated" if terms is None else code(terms), *(number(count or 0) for count in found)]
        for source, terms, *found in counts.sort(by, nulls_last=True).iter_rows()
    ]
    files = [
        [code(one["file"]), code(one["layout"] or "none"), number(one["samples"]), number(one["quarantined"])]
        for one in summary["files"]
    ]
    return [
        table(["Source", "Licence", "Samples", "Kept", "SFT rows", "Pairs"], rows, "2345"),
        table(["File", "Layout", "Samples", "Quarantined"], files, "23"),
    ]


def _drops(summary: Summary, tables: "Tables") -> list[Block]:
    if not summary["rules"]:
        return [note("no_rules")]
    shown = first_of_each(tables.dropped)
    matches = shown["match"].drop_nulls().unique().implode()
    named = (shard.filter(pl.col("id").is_in(matches)).select("id", "origin") for shard in tables.samples)
    origins = {row: page.origin(place) for rows in named for row, place in rows.iter_rows()}
    samples, values = summary["rows"]["samples"], tables.values
    told = (_rule(rule, samples, values.get(rule["rule"]), shown, origins) for rule in summary["rules"])
    return [note("drops"), *(block for blocks in told for block in blocks)]


def _rule(
    rule: Summary, samples: int, measured: pl.DataFrame | None, dropped: pl.DataFrame, origins: dict[str, str]
) -> list[Block]:
    name = rule["rule"]
    facts = [
        ["Kept", _bounds(rule)],
        ["First to drop", of(rule["dropped"], samples)],
        ["Broke it at all", of(rule["broken"], samples)],
    ]
    facts += unchecked(rule)
    drawn = None
    if measured is not None:
        values = measured["value"]
        facts += [["Measured", number(values.count())], ["Not measurable", number(values.null_count())]]
        drawn = charts.histogram(name, values, rule["minimum"], rule["maximum"])
    first = dropped.filter(pl.col("rule") == name)
    shown = [page.dropped(row, origins) for row in first.iter_rows(named=True)]
    return [heading(code(name)), beside(drawn, figures(facts)), *examples(shown)]


def _bounds(rule: Summary) -> str:
    if rule["kind"] == "match":
        return f"likeness below {number(rule['maximum'])}" if rule["maximum"] else "what matches nothing"
    ends = [("at least", rule["minimum"]), ("at most", rule["maximum"])]
    return " and ".join(f"{side} {number(bound)}" for side, bound in ends if bound is not None) or "everything"


def _quarantine(shards: Shards) -> list[Block]:
    every = counts_of(shards, ["reason"], "rows")
    if every.is_empty():
        return [note("no_quarantine")]
    found = pl.concat([shard.head(SHOWN) for shard in shards])
    counts = every.sort("rows", "reason", descending=[True, False]).head(SHOWN)
    reasons = [[code(reason), number(count)] for reason, count in counts.iter_rows()]
    rows = [
        [code(reason), code(file), number(row), "none" if offset is None else number(offset), code(raw, 80)]
        for reason, file, row, offset, raw in found.select("reason", "file", "row", "offset", "raw")
        .head(SHOWN)
        .iter_rows()
    ]
    return [
        note("quarantine"),
        table(["Reason", "Records"], reasons, "1"),
        table(["Reason", "File", "Row", "Offset", "Starts with"], rows, "23"),
    ]


def _candidates(told: Summary) -> list[Block]:
    if not told:
        return [note("no_candidates")]
    generators = [
        [code(one["model"]), number(one["replies"]), percent(one["passed"]), bar(one["passed"])]
        for one in told["by_generator"]
    ]
    prompts = [
        [name, of(told[key], told["prompts"]), bar(told[key], told["prompts"])]
        for name, key in (("all candidates pass", "all_pass"), ("some pass", "mixed"), ("all fail", "all_fail"))
    ]
    return [
        note("candidates"),
        table(["Generator", "Verified", "Pass", ""], generators, "12"),
        note("prompts"),
        table(["Prompts", "Count", ""], prompts, "1"),
    ]


def _judges(judges: Summary) -> list[Block]:
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
    return blocks + trust.people(judges) + trust.gamed(judges)


def _rater(name: str, told: Summary) -> list[Cell]:
    agreed, pairs = share(told["agreement"], told["interval"]), number(told["verified_pairs"])
    counts = [number(told["candidates"]), _statuses(told), number(told["mean"])]
    return [code(name), *counts, percent(told["told_apart"]), agreed, pairs]


def _jury(name: str, told: Summary) -> list[Cell]:
    agreed = "; ".join(f"{members}: {percent(value)}" for members, value in told["members_agree"].items())
    return [code(name), number(told["members"]), percent(told["unanimous"]), agreed]


def _verifier(name: str, told: Summary) -> list[Cell]:
    scored = number(told["scored"])
    return [code(name), number(told["candidates"]), scored, of(told["passed"], told["scored"]), _statuses(told)]


def _pairwise(name: str, told: Summary) -> list[Cell]:
    return [
        code(name),
        number(told["comparisons"]),
        of(told["ties"], told["comparisons"]),
        _statuses(told),
        f"{percent(told['first_slot'])} of {number(told['answers'])}",
        share(told["agreement"], told["interval"]),
        number(told["verified_pairs"]),
    ]


def _statuses(told: Summary) -> Cell:
    found = enumerate(told["without_verdict"].items())
    return [
        part for at, (status, count) in found for part in (", " * (at > 0), code(status), f" {number(count)}")
    ] or "0"


def _reviews(told: Summary | None) -> list[Block]:
    if told is None:
        return []
    names = [part for at, name in enumerate(told["people"]) for part in (", " * (at > 0), code(name))]
    return [words("Changed by ", reviewed(told), ", by ", *names, "."), note("reviews")]


def _preferences(told: Summary, tables: "Tables") -> list[Block]:
    if not told["pairs"]:
        return [note("no_preferences")]
    pairs = tables.pairs
    health = [
        ["Pairs", number(told["pairs"])],
        ["Characters of the chosen reply, mean", f"{told['chosen_characters']:,.1f}"],
        ["Characters of the rejected reply, mean", f"{told['rejected_characters']:,.1f}"],
        ["Chosen is longer", percent(told["chosen_longer"])],
        ["Same length", percent(told["same_length"])],
        ["On policy: neither reply came with the data", percent(told["on_policy"])],
        ["Right when the chosen is guessed from the generators alone", percent(_guessed(told, pairs))],
    ]
    generators = [
        [code(one["generator"]), number(one["replies"]), percent(one["chosen"]), bar(one["chosen"])]
        for one in told["generators"]
    ]
    return [
        figures(health),
        beside(*charts.lengths({side: pairs[f"{side}_characters"] for side in ("chosen", "rejected")})),
        _margins(told["margins"], pairs),
        note("generators"),
        table(["Generator", "Replies in pairs", "Chosen", ""], generators, "12"),
        note("pairs"),
        *examples([page.pair(row) for row in first_of_each(tables.preferences).iter_rows(named=True)]),
    ]


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
