"""A small run with everything in it, and every text of it that somebody else wrote, to be told in a report."""

from typing import Any, NamedTuple

import polars as pl

from pipelines import candidate_figures, figures, pair_figures, sample_figures
from pipelines.run_tables import Tables
from schemas.rules import MATCHES
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
)


class Words(NamedTuple):
    """Every text of a run that somebody else wrote."""

    prompt: str = "How much is 2 + 3?"
    good: str = "2 + 3 = 5"
    bad: str = "2 + 3 = 6, I think"
    source: str = "sums"
    license: str = "MIT"
    file: str = "data/sums.jsonl"
    reason: str = "line 3 is not JSON"
    span: str = "how much is"
    model: str = "tiny"
    judge: str = "judges.pairwise:better"
    rule: str = "filters.length:words"


def all_of(text: str) -> Words:
    other = f"{text}! These {len(text)} other words differ from what was said above, which is good: nine of ten do."
    return Words(*[text] * 11)._replace(bad=other)


def made(words: Words) -> tuple[dict[str, Any], Tables]:
    """Give a small run with everything in it: 20 samples, 18 kept, each with a passing and a failing candidate."""
    rows = [f"s{at:02}" for at in range(20)]
    told = {"prompt": [{"role": "user", "content": words.prompt}], "source": words.source, "license": words.license}
    sample = told | {"reply": words.good, "origin": {"file": words.file, "row": 0}}
    short = {"id": "s18", "rule": words.rule, "measured": 1.0, "also": []}
    twin = {"id": "s19", "rule": "filters.duplicates:near", "measured": 0.9, "match": "s00", "span": words.span}
    bad = {"source": words.source, "file": words.file, "row": 1_234, "offset": 56_789, "reason": words.reason}
    both = [(f"{row}{side}", row, side) for row in rows[:18] for side in "gb"]
    learned = told | {"completion": [{"content": words.good}], "generator": words.model + "g", "score": 1.0}
    leak: dict[str, Any] = {
        "candidate_id": "s00g",
        "text": words.good,
        "picked": ["sft"],
        "rule": words.rule,
        "span": words.span,
    }
    leak |= {"match": words.file, "measured": 1.0}
    alike = [{"id": "s19", "other": "s00", "measured": 0.9, "span": words.span}]
    alike += [{"id": "s02", "other": words.file, "measured": 0.5, "span": words.span}]
    pair = told | {"chosen": [{"content": words.good}], "rejected": [{"content": words.bad}], "margin": 1.0}
    pair |= {"chosen_generator": words.model + "g", "rejected_generator": words.model + "b"}
    samples = pl.DataFrame([sample | {"id": row} for row in rows], schema=SAMPLES)
    dropped = pl.DataFrame([sample | short, sample | twin | {"also": [words.rule]}], schema=DROPPED)
    candidates = pl.DataFrame(
        [
            {"id": one, "sample_id": row, "model": words.model + side, "status": "answered"}
            | {"text": words.good if side == "g" else words.bad}
            for one, row, side in both
        ],
        schema=CANDIDATES,
    )
    scores = pl.DataFrame(
        [
            {"candidate_id": one, "sample_id": row, "score": float(side == "g"), "extracted": words.good + side}
            | {"judge": "judges.math:final_answer", "status": words.reason}
            for one, row, side in both
        ],
        schema=SCORES,
    )
    comparisons = pl.DataFrame([compared(row, words) for row in rows[:18]], schema=COMPARISONS)
    sft = pl.DataFrame([learned | {"id": f"t{at}"} for at in range(18)], schema=SFT)
    preferences = pl.DataFrame([pair | {"id": f"p{at}"} for at in range(6)], schema=PREFERENCES)
    values = pl.DataFrame({"id": rows, "value": [float(at) for at in range(1, 21)]})
    looked_up = {"samples": samples, "kept": samples.head(18), "dropped": dropped, "sft": sft}
    looked_up |= {"candidates": candidates, "scores": scores, "leaked": pl.DataFrame([leak], schema=LEAKED)}
    tables = Tables(
        samples=cut(samples),
        quarantined=cut(pl.DataFrame([bad | {"raw": words.bad}], schema=QUARANTINED)),
        kept=cut(samples.head(18)),
        dropped=cut(dropped),
        sft=cut(sft),
        preferences=cut(preferences),
        pairs=figures.pairs_of(cut(preferences)),
        values={words.rule: values.select("value")},
        compared=[(comparisons, scores)],
        rows={name: table.lazy() for name, table in looked_up.items()},
        measured={words.rule: values.lazy()},
        matches={"filters.duplicates:near": pl.LazyFrame(alike, schema=MATCHES)},
    )
    return summary_of(tables, words, candidates, scores, comparisons), tables


def cut(table: pl.DataFrame) -> list[pl.DataFrame]:
    """Give a table in two shards."""
    return [table.slice(0, table.height // 2), table.slice(table.height // 2)]


def compared(row: str, words: Words) -> dict[str, Any]:
    """Give a comparison: the first has no verdict, the second is a tie, four are wrong."""
    score = None if row == "s00" else 0.0 if row == "s01" else -1.0 if row < "s06" else 1.0
    answers = {"a_first": "A", "b_first": "A" if row == "s01" else "B"}
    sides = {"sample_id": row, "a_id": f"{row}g", "b_id": f"{row}b"}
    return sides | answers | {"score": score, "status": words.reason, "judge": words.judge}


def summary_of(
    tables: Tables, words: Words, candidates: pl.DataFrame, scores: pl.DataFrame, comparisons: pl.DataFrame
) -> dict[str, Any]:
    verified = scores.select("candidate_id", "score")
    stages: dict[str, float] = {
        "asked": 1_300,
        "from_ledger": 20,
        "failed": 3,
        "prompt_tokens": 4_000_000,
        "reply_tokens": 50_000,
    }
    stages |= {"cost": 12.5}
    counts = candidate_figures.passing_counts(candidates, verified)
    counts.update(candidate_figures.reply_counts(candidates, scores))
    found = sample_figures.match_figures(tables.matches["filters.duplicates:near"], 0.8, tables.rows["samples"])
    match = {"rule": "filters.duplicates:near"}
    return {
        "name": words.source,
        "version": "0123456789abcdef",
        "folder": "runs/sums/0123456789abcdef",
        "seed": 7,
        "files": [
            {"file": words.file, "layout": "plain", "samples": 20, "quarantined": 1, "source": words.source}
            | {"rows": 21, "bytes": 1_000, "sha256": "cd" * 32}
        ],
        "rows": {"read": 21, "samples": 20, "kept": 18, "candidates": 36, "sft": 18, "preferences": 6}
        | {"quarantined": 1, "leaked": 1, "unpaired": 36},
        "data": sample_figures.sample_figures(tables.samples, tables.kept),
        "datasets": [
            {"dataset": "sft", "rows": 18, "held_out": 2},
            {"dataset": words.source, "rows": 6, "held_out": 0},
        ],
        "changes": {
            "version": words.source,
            "figures": [{"figure": words.rule, "was": 1, "is": None}],
            "settings": [{"setting": words.rule, "was": words.source, "is": None}],
            "moved": [{"was": words.rule, "is": "kept", "samples": 3}],
            "datasets": [{"dataset": "sft", "same": 1, "added": 2, "removed": 3}],
        },
        "lineage": {
            "recipe": {"file": words.file, "sha256": "ab" * 32},
            "models": [{"model": words.model, "revision": words.model, "candidates": 36}],
            "stages": [{"stage": words.judge, "output": "ingest-0123", "code": "4567", "seconds": 1.0}],
        },
        "edits": {"email": 2},
        "prompts": [],
        "rules": [
            {"rule": words.rule, "kind": "bounds", "minimum": 2, "maximum": None, "dropped": 1, "broken": 2},
            match | {"kind": "match", "minimum": None, "maximum": 0.8, "dropped": 1, "broken": 1, "found": found},
        ],
        "requests": {**stages, "stages": {"generate": stages}},
        "candidates": candidate_figures.candidate_figures(counts),
        "replies": {
            "diversity": candidate_figures.diversity(counts, candidate_figures.words(candidates, {})),
            "finishes": candidate_figures.finishes(counts),
        },
        "judges": {
            "judges.math:final_answer": figures.verifier_figures(figures.verdict_counts(scores)),
            words.judge: figures.judge_figures(comparisons, verified)
            | figures.length_figures(figures.length_counts(comparisons.drop_nulls("score"), candidates))
            | {"cards": cards(words)},
        },
        "preferences": figures.preference_figures(tables.pairs) | pair_figures.alike(tables.preferences),
        "training": [{"method": "sft", "rows": 18, "steps": 40, "final_loss": 0.12345, "seconds": 125.0}],
        "evaluation": {
            "before": {"pass@1": 0.61, "interval": [0.58, 0.64], "tasks": 500, "samples": 8, "unscored": 1},
            "after": {"pass@1": 0.832, "interval": [0.80, 0.86], "tasks": 500, "samples": 8, "unscored": 0},
            "rise": {"pass@1": 0.222, "interval": [0.199, 0.245], "tasks": 500},
        },
        "seconds": {"ingest": 1.25, "train 0": 3_725.0},
    }


def cards(words: Words) -> dict[str, Any]:
    """Give what people and probes said of a judge."""
    one = {"mean": 0.75, "interval": [0.7, 0.8]}
    shares = dict.fromkeys(("agreement", "parse_failures", "length_bias", "self_preference"), one)
    probe = {"group": "form", "probe": words.good, "scored": 50, "rate": 0.1, "interval": [0.05, 0.2]}
    return {"people": {"labelled": 40, "kappa": 0.5, "alpha": None, **shares}, "probes": [probe]}
