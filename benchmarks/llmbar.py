"""LLMBar's recorded judgments replayed through the score stage, beside the accuracies that they were recorded with.

Run from the project's root as `python -m benchmarks.llmbar`, with LLMBar below `GRISTMILL_DATA` (../shared/data). What
GPT-4 and ChatGPT said of each pair in both orders answers the pairwise judge's questions. Printed for each set: the
accuracy of single answers beside the recorded one; of the reconciled verdicts the share that is no tie, and how many of
those are right. Then labels for the same number of calls: one order on every pair, or both orders on half of them (the
mean over all halves), which makes fewer labels.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from benchmarks.stages import Prompt, judged
from judges.pairwise import preference
from pipelines.figures import judge_figures
from pipelines.store import read_table
from schemas.chats import content_id
from schemas.engines import Reply, Request
from schemas.tables import COMPARISONS
from schemas.verdicts import Pair

DATA = Path(os.environ.get("GRISTMILL_DATA", "../shared/data")) / "llmbar" / "LLMBar"
SETS = ("Natural", "Adversarial/Neighbor", "Adversarial/GPTInst", "Adversarial/GPTOut", "Adversarial/Manual")
MODELS = ("GPT-4", "ChatGPT")
LETTERS = {"Output (a)": "A", "Output (b)": "B"}  # any other answer is left as it is, and is none


@dataclass(frozen=True)
class Recorded:
    """What a model was recorded to say of the pairs, in the place of the model."""

    model: str
    answers: dict[str, str]  # by the content of the chat

    @property
    def revision(self) -> str:
        """The answers' content."""
        return content_id(self.answers)

    def __call__(self, requests: Iterable[Request], /) -> Iterator[Reply]:
        """Say again what was said."""
        for request in requests:
            said = self.answers.get(request.chat[-1]["content"])
            yield Reply(request.key, said, "stop", error=None if said is not None else "this order was not recorded")

    def close(self) -> None:
        """Do nothing: there is no device."""


def rows(name: str, model: str, evaluator: str = "Vanilla") -> list[dict[str, Any]]:
    """Give the records of a model on a set, by the letter alone ("Vanilla") or after an explanation ("Swap")."""
    file = DATA / name / "evaluators" / model / evaluator / "result.json"
    told: list[dict[str, Any]] = orjson.loads(file.read_bytes())
    return told


def recorded_accuracy(records: list[dict[str, Any]]) -> float:
    """Give the share of right winners in the records, over both orders."""
    right: list[bool] = [told["winner"] == str(one["label"]) for one in records for told in one["results"][0].values()]
    return sum(right) / len(right)


def replayed(records: list[dict[str, Any]], model: str) -> pl.DataFrame:
    """Give the comparisons with `right`, 1 where the verdict is the experts', 0.5 a tie."""
    judge = preference()
    answers, prompts = {}, []
    for at, one in enumerate(records):
        prompts.append(Prompt(f"{at}", one["input"], {f"{at}.1": one["output_1"], f"{at}.2": one["output_2"]}))
        pair = Pair([{"role": "user", "content": one["input"]}], one["output_1"], one["output_2"])
        for chat, swap in zip(judge.ask(pair), ("swap = False", "swap = True"), strict=True):
            said = one["results"][0][swap]["completion"][0]
            answers[chat[0]["content"]] = LETTERS.get(said, said)
    with tempfile.TemporaryDirectory() as folder:
        part = {"use": "judges.pairwise:preference", "engine": "judge"}
        found = judged(Path(folder), prompts, part, {"judge": Recorded(model, answers)})
        return read_table(found, "comparisons", COMPARISONS)


def figures_of(records: list[dict[str, Any]], model: str) -> dict[str, Any]:
    """Give the judge's figures with the experts in the place of the verifiers."""
    truth = [
        {"candidate_id": f"{at}.{reply}", "score": float(reply == one["label"])}
        for at, one in enumerate(records)
        for reply in (1, 2)
    ]
    return judge_figures(replayed(records, model), pl.DataFrame(truth))


def main() -> None:
    """Print the table."""
    if not DATA.is_dir():
        raise SystemExit(f"LLMBar is not in {DATA}: name the folder above llmbar by GRISTMILL_DATA")
    print("model    set                    pairs  recorded  replayed  first place  kept    right of the kept")
    for model in MODELS:
        every: list[dict[str, Any]] = []
        for name in SETS:
            records = rows(name, model)
            every += records
            _line(model, name, records)
        told = _line(model, "all", every)
        halves = told["reconciled_pairs"] / 2
        right = told["reconciled_agreement"]
        print(
            f"{model}, {len(every)} calls: one order {len(every)} labels, {told['agreement']:.3f} of them right; "
            f"both orders {halves:.1f} labels, {right:.3f} of them right"
        )


def _line(model: str, name: str, records: list[dict[str, Any]]) -> dict[str, Any]:
    told = figures_of(records, model)
    kept = told["reconciled_pairs"] / told["comparisons"]
    print(
        f"{model:8} {name:22} {told['comparisons']:5}  {recorded_accuracy(records):8.3f}  {told['agreement']:8.3f}  "
        f"{told['first_slot']:11.3f}  {kept:.3f}  {told['reconciled_agreement']:.3f}"
    )
    return told


if __name__ == "__main__":
    main()
