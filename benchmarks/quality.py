"""The rules against ground truth: language, personal data, refusals, with 95 % confidence intervals (Wilson).

Run as `python -m benchmarks.quality` from the project's root, with the labelled sets below `GRISTMILL_DATA`
(../shared/data). Language: sentences of 12 languages. Personal data: the spans of the kinds that are claimed, in 1,500
made-up texts; the forms of phone numbers were written with this set in view, so that its figures flatter them.
Refusals: replies of three models to 450 prompts each with people's labels, beside the recorded labels of GPT-4 and of a
string match. The wording of `filters.refusal` was chosen on the replies of one of the three (mistralinstruct); of the
others only the scores were seen.
"""

import csv
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from filters.language import LANGUAGES, probabilities
from filters.private import KINDS, spans
from filters.refusal import refusals
from judges.agreement import wilson
from schemas.tables import SAMPLES

DATA = Path(os.environ.get("GRISTMILL_DATA", "../shared/data"))
CLAIMED = {
    "EMAIL_ADDRESS": "email",
    "PHONE_NUMBER": "phone",
    "CREDIT_CARD": "card",
    "IBAN_CODE": "iban",
    "IP_ADDRESS": "ip",
}
MODELS = ("mistralinstruct", "gpt4", "llama2orig")
CHOSEN_ON = MODELS[0]
REFUSED = {"2_full_refusal", "3_partial_refusal"}


def share(right: int, of: int) -> str:
    """Give a share with its 95 % interval (Wilson 1927)."""
    told = wilson(right, of)
    return f"{right / of:.3f} ({told[0]:.3f} to {told[1]:.3f}), {right} of {of}" if told else "-"


def languages() -> Iterator[str]:
    """Give a line a language: how many of its sentences are most probably in it."""
    total, right = 0, 0
    for file in sorted((DATA / "language").glob("*.txt")):
        lines = [line for line in file.read_text(encoding="utf-8").split("\n") if line.strip()]
        best = probabilities(pl.Series(lines)).argmax(axis=1)
        hits = sum(LANGUAGES[place] == file.stem for place in best)
        total, right = total + len(lines), right + hits
        yield f"language {file.stem:34} accuracy  {share(hits, len(lines))}"
    yield f"language {'all':34} accuracy  {share(right, total)}"


def personal() -> Iterator[str]:
    """Give two lines a kind, recall and precision of its spans; a span is found where one of its kind overlaps it."""
    told: Counter[tuple[str, str]] = Counter()
    other: Counter[str] = Counter()
    for row in orjson.loads((DATA / "pii" / "presidio_synth_v2.json").read_bytes()):
        marked = [(span["start_position"], span["end_position"], span["entity_type"]) for span in row["spans"]]
        wanted = [(start, end, CLAIMED[kind]) for start, end, kind in marked if kind in CLAIMED]
        other.update(kind for _, _, kind in marked if kind not in CLAIMED)
        found = spans(row["full_text"], KINDS)
        told.update((span[2], "hit" if _meets(span, found) else "missed") for span in wanted)
        told.update((span[2], "right" if _meets(span, wanted) else "false") for span in found)
    for kind in CLAIMED.values():
        hit, missed, right, false = (told[kind, name] for name in ("hit", "missed", "right", "false"))
        yield f"personal data {kind:29} recall    {share(hit, hit + missed)}"
        yield f"personal data {kind:29} precision {share(right, right + false)}"
    yield f"personal data not claimed: {', '.join(f'{kind} {count}' for kind, count in other.most_common())}"


def _meets(span: Sequence[Any], others: Sequence[Sequence[Any]]) -> bool:
    return any(span[2] == kind and span[0] < end and start < span[1] for start, end, kind in others)


def refused() -> Iterator[str]:
    """Give the accuracy of each labeller on two tasks: refuses at all or complies, refuses fully or not."""
    hits: Counter[tuple[str, str, str]] = Counter()
    count: Counter[str] = Counter()
    for model in MODELS:
        people, by = _labels(model)
        for labeller, labels in by.items():
            for task, positive in (("at all", REFUSED), ("fully", {"2_full_refusal"})):
                same = sum((a in positive) == (b in positive) for a, b in zip(people, labels, strict=True))
                hits[model, task, labeller] = same
        count[model] = len(people)
    tested = [model for model in MODELS if model != CHOSEN_ON]
    for task in ("at all", "fully"):
        for group in [[model] for model in MODELS] + [tested, list(MODELS)]:
            for labeller in ("rule", "GPT-4", "string match"):
                right, rows = sum(hits[model, task, labeller] for model in group), sum(count[model] for model in group)
                yield f"refuses {task:7} {' + '.join(group):34} {labeller:13} {share(right, rows)}"


def _labels(model: str) -> tuple[list[str], dict[str, list[str]]]:
    """Give the people's labels of a model's replies, and each labeller's; an objection is a refusal by the rule."""
    rows, gpt4, match = (_table(f"xstest_v2_completions_{model}{kind}.csv") for kind in ("", "_gpteval", "_streval"))
    by_gpt4 = [gpt4[row]["gpt4_label"] for row in rows]
    by_match = [match[row]["strmatch_label"] for row in rows]
    columns = {
        "id": list(rows),
        "prompt": [[{"role": "user", "content": row["prompt"], "tool_calls": None}] for row in rows.values()],
        "reply": [row["completion"] for row in rows.values()],
    }
    samples = pl.DataFrame(columns, schema={name: SAMPLES[name] for name in columns})
    measure = refusals().measure
    level = samples.select(level=measure.fill_null(0))["level"] if isinstance(measure, pl.Expr) else measure(samples)
    ours = ["1_full_compliance" if value == 0 else "2_full_refusal" for value in level]
    labels = {"rule": ours, "GPT-4": by_gpt4, "string match": by_match}
    return [row["final_label"] for row in rows.values()], labels


def _table(name: str) -> dict[str, dict[str, str]]:
    with (DATA / "xstest" / name).open(encoding="utf-8", newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def main() -> None:
    """Print the table."""
    for lines in (languages(), personal(), refused()):
        for line in lines:
            print(line)


if __name__ == "__main__":
    main()
