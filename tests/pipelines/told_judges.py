"""Simulated models for judges to ask, and what the score stage makes of their answers."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.stages import Prompt, judged
from pipelines.store import read_table
from schemas.engines import Reply, Request
from schemas.tables import COMPARISONS, JUDGMENTS, SCORES

PROMPTS = [
    Prompt("p", "What is 1 + 1?", {"p1": "It is 2", "p2": "It is 3", "p3": "It is 2"}, reference="2"),
    Prompt("q", "What is 2 + 3?", {"q1": "It is 5", "q2": "broken"}),
]

RIGHT = {"p1": 1.0, "p2": 0.0, "p3": 1.0, "q1": 1.0, "q2": 0.0}  # p1 and p3 say the same


@dataclass
class Told:
    """An engine that answers by a function of the question, and keeps what it was asked; null is an error."""

    answer: Callable[[str], str | None]
    model: str = "told"
    revision: str = "1"
    asked: list[Request] = field(default_factory=list)

    def __call__(self, requests: Iterable[Request], /) -> Iterator[Reply]:
        """Answer each in turn."""
        for request in requests:
            self.asked.append(request)
            text = self.answer(request.chat[-1]["content"])
            yield Reply(request.key, text, "stop", error="the server said 500" if text is None else None)

    def close(self) -> None:
        """Do nothing."""


def by_reply(**answers: str | None) -> Callable[[str], str | None]:
    return lambda content: next(answer for text, answer in answers.items() if text.replace("_", " ") in content)


def tables(folder: Path, part: dict[str, Any], **engines: Told) -> dict[str, pl.DataFrame]:
    found = judged(folder, PROMPTS, part, engines)
    schemas = {"scores": SCORES, "comparisons": COMPARISONS, "judgments": JUDGMENTS}
    return {name: read_table(found, name, schema) for name, schema in schemas.items()}


def scores(found: dict[str, pl.DataFrame]) -> dict[str, tuple[float | None, str]]:
    told = found["scores"].select("candidate_id", "score", "status").iter_rows()
    return {candidate: (score, status) for candidate, score, status in told}
