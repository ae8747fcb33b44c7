"""The report of a run: its sections, each counted from the summary and the tables."""

from typing import Any

import polars as pl

from pipelines import outcome, page, report_candidates, report_data, report_judges, report_pairs, report_rules
from pipelines.closing import keeps, number, result
from pipelines.figures import counts_of
from pipelines.page import Block, Cell, bar, code, note, table
from pipelines.run_tables import Tables
from schemas.rules import Shards

SHOWN = 20  # quarantined records in a table

Summary = dict[str, Any]


def render(summary: Summary, tables: Tables) -> tuple[str, str]:
    """Give the report of a finished run as HTML and as Markdown; the same run gives the same bytes."""
    made = {
        "Funnel": _funnel(summary),
        "Changes": outcome.changes(summary["changes"]),
        "Sources": _sources(summary, tables),
        "Data": report_data.data(summary["data"], tables),
        "Drops": report_rules.drops(summary, tables),
        "Quarantine": _quarantine(tables.quarantined),
        "Candidates": report_candidates.candidates(summary, tables),
        "Judges": report_judges.judges(summary["judges"], tables),
        "Preferences": [*report_pairs.reviews(summary.get("reviews")), *report_pairs.preferences(summary, tables)],
        "Datasets": report_pairs.datasets(summary, tables),
        "Training": outcome.training(summary["training"]),
        "Evaluation": outcome.evaluation(summary["evaluation"]),
        "Cost": outcome.cost(summary),
        "Lineage": outcome.lineage(summary),
    }
    whole = {
        "name": summary["name"],
        "facts": f"version {summary['version']}, seed {summary['seed']}{_forgotten(summary)}",
        "result": result(summary).replace("->", "→") + ".",
        "sections": [{"title": title, "id": title.lower(), "blocks": blocks} for title, blocks in made.items()],
    }
    return page.html(whole), page.markdown(whole)


def _forgotten(summary: Summary) -> str:
    """Say what is not shown any more."""
    count = summary.get("forgotten", 0)
    return f"; {number(count)} rows and candidates were forgotten since, which the figures still count" if count else ""


def _funnel(summary: Summary) -> list[Block]:
    rows = summary["rows"]

    def step(name: Cell, count: int, about: str, tone: str = "kept") -> list[Cell]:
        return [name, number(count), bar(count, rows["read"], tone), about]

    rules = [
        step(
            ["minus ", code(rule["rule"])],
            rule["dropped"],
            f"broke this rule first; kept: {keeps(rule)}",
            "broken",
        )
        for rule in summary["rules"]
    ]
    grown = [
        step(["plus ", code(told["use"])], told["new"], f"new prompts; {_not_taken(told)}")
        for told in summary["prompts"]
    ]
    further = rows.get("several", 0)  # a run of an earlier version doesn't tell it
    several = [step("plus further samples", further, "of records that give several")] if further else []
    candidates = "replies to kept prompts, failed ones and those that came with the data included"
    learned = "candidates selected to be learned, any number a prompt"
    steps = [
        step("Rows read", rows["read"], f"records found; files: {number(len(summary['files']))}"),
        *several,
        step("minus quarantined", rows["quarantined"], "records in which no sample could be read", "broken"),
        *grown,
        step("Samples", rows["samples"], f"{_of_what(further)}{', and the new prompts' if grown else ''}"),
        *rules,
        step("Kept", rows["kept"], "samples that broke no rule"),
        ["Candidates", number(rows["candidates"]), "", candidates],
        ["minus leaked", number(rows["leaked"]), "", "candidates picked, then left out: they give a benchmark away"],
        ["SFT rows", number(rows["sft"]), "", learned],
        step("Preference pairs", rows["preferences"], "pairs of a chosen and a rejected candidate"),
        ["Unpaired", number(rows["unpaired"]), "", "replies labelled good or bad, each by itself"],
    ]
    edits: list[list[Cell]] = [[code(kind), number(count)] for kind, count in summary["edits"].items()]
    changed = [note("edits"), table(["Edited", "Places"], edits, "1")] if edits else []
    return [note("funnel"), table(["Step", "Rows", "", "Counted as"], steps, "1"), *changed]


def _of_what(further: int) -> str:
    return f"rows read{' and further samples' if further else ''} less quarantined"


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


def _sources(summary: Summary, tables: Tables) -> list[Block]:
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
        [
            code(one["file"]),
            code(one["layout"] or "none"),
            number(one["rows"]),
            number(one["samples"]),
            number(one["quarantined"]),
            code(", ".join(one.get("unread", ()))),  # a run of an earlier version doesn't tell it
        ]
        for one in summary["files"]
    ]
    return [
        table(["Source", "Licence", "Samples", "Kept", "SFT rows", "Pairs"], rows, "2345"),
        table(["File", "Layout", "Rows", "Samples", "Quarantined", "Columns not read"], files, "234"),
    ]


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
