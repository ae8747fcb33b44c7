"""The report's section on candidates: who passes, pass@k, difficulty, diversity."""

from typing import Any

import polars as pl

from pipelines import charts, page
from pipelines.closing import NO_FIGURE, number, of, percent, share
from pipelines.page import Block, Cell, bar, code, examples, figures, note, table
from pipelines.run_tables import Tables
from pipelines.scored import verified

READ = 20  # candidates to read

Summary = dict[str, Any]


def candidates(summary: Summary, tables: Tables) -> list[Block]:
    """Tell who passes, pass@k, how hard the prompts are, and how different the replies to one."""
    told, replies = summary["candidates"], summary["replies"]
    passing = [*_generators(told), *_pass_at_k(told["pass@k"]), *_bands(told)] if told else [note("no_candidates")]
    return [*passing, *_diversity(replies["diversity"]), *_finishes(replies["finishes"]), *_read(tables)]


def _generators(told: Summary) -> list[Block]:
    rows = [
        [code(one["model"]), number(one["replies"]), number(one["prompts"]), share(one["pass@1"], one["interval"])]
        for one in told["by_generator"]
    ]
    for row, one in zip(rows, told["by_generator"], strict=True):
        row.append(bar(one["passed"]))
    return [note("candidates"), table(["Generator", "Verified", "Prompts", "pass@1", ""], rows, "123")]


def _pass_at_k(told: list[Summary]) -> list[Block]:
    if not told:
        return []
    rows = [[f"pass@{one['k']}", share(one["value"], one["interval"]), number(one["prompts"])] for one in told]
    drawn = charts.whiskers("pass@k", ((f"pass@{one['k']}", one["value"], one["interval"]) for one in told))
    return [note("pass_at_k"), table(["Of k candidates one passes", "Estimate", "Prompts"], rows, "12"), *drawn]


def _bands(told: Summary) -> list[Block]:
    rows = [
        [one["band"], of(one["prompts"], told["prompts"]), bar(one["prompts"], told["prompts"])]
        for one in told["bands"]
    ]
    equal = told["equal_pairs"]
    ties: list[list[Cell]] = [
        ["Two candidates to a prompt have equal scores", of(equal["equal"], equal["pairs"])],
        ["Prompts with both sides of a pair", of(told["mixed"], told["prompts"])],
    ]
    return [note("prompts"), table(["Difficulty: pass rate", "Prompts", ""], rows, "1"), figures(ties)]


def _diversity(told: Summary) -> list[Block]:
    if not told:
        return []
    rows: list[list[Cell]] = [
        ["Prompts with two candidates or more", number(told["prompts"])],
        ["Texts that repeat no other to the prompt, mean share", share(told["texts"], told["texts_interval"])],
        ["Different answers to a prompt, mean", NO_FIGURE if told["answers"] is None else f"{told['answers']:.2f}"],
        ["Distinct pairs of words within a prompt, mean share", percent(told["words"])],
    ]
    return [note("diversity"), figures(rows)]


def _finishes(told: list[Summary]) -> list[Block]:
    rows = [
        [
            code(one["model"]),
            code(one["status"] or "not told"),
            code(one["finish_reason"] or "not told"),
            number(one["candidates"]),
            NO_FIGURE if one["reply_tokens"] is None else f"{one['reply_tokens']:.1f}",
        ]
        for one in told
    ]
    columns = ["Generator", "Status", "Ended by", "Candidates", "Tokens, mean"]
    return [note("finishes"), table(columns, rows, "34")] if rows else []


def _read(tables: Tables) -> list[Block]:
    """Show the candidates with the lowest ids, which are hashes, with what was asked and their scores."""
    some = tables.rows["candidates"].filter(pl.col("model") != "source").bottom_k(READ, by="id").collect()
    scores = verified(tables.rows["scores"].filter(pl.col("candidate_id").is_in(some["id"].implode())).collect())
    known = dict(scores.select("candidate_id", "score").iter_rows())
    asked = tables.rows["kept"].filter(pl.col("id").is_in(some["sample_id"].implode())).select("id", "prompt").collect()
    prompts = dict(asked.iter_rows())
    shown = [
        {
            "facts": [code(row["model"]), f", score {number(known.get(row['id']))}, ", code(row["id"])],
            "texts": [
                ("prompt", page.chat(prompts.get(row["sample_id"]) or [{"role": "user", "content": None}])),
                ("candidate", page.reply(row["text"])),
            ],
        }
        for row in some.sort("id").iter_rows(named=True)
    ]
    return [note("candidates_read"), *examples(shown)] if shown else []
