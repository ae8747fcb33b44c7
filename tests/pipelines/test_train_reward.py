"""Reward models trained by TRL on comparisons whose truth is known."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from judges.reward import Scorer, loss
from pipelines.store import Stored, write_table
from pipelines.train import train
from pipelines.training import Training
from schemas.tables import PREFERENCES

UTILITY = {"0": -2.0, "1": -1.2, "2": -0.4, "3": 0.4, "4": 1.2, "5": 2.0}
PROMPT = [{"role": "user", "content": "What is 2 + 3?", "tool_calls": None}]


def compared(folder: Path, count: int) -> Stored:
    """Store pairs of replies whose preferences are drawn by the utilities planted (Bradley-Terry)."""
    chance = random.Random(0)
    rows: list[dict[str, Any]] = []
    for at in range(count):
        pair = chance.sample(sorted(UTILITY), 2)
        if chance.random() > sigmoid(UTILITY[pair[0]] - UTILITY[pair[1]]):
            pair.reverse()
        sides = [[{"role": "assistant", "content": text, "tool_calls": None}] for text in pair]
        rows.append({"id": f"{at:05}", "prompt": PROMPT, "chosen": sides[0], "rejected": sides[1]})
    frame = pl.DataFrame([dict.fromkeys(PREFERENCES) | row for row in rows], schema=PREFERENCES)
    write_table(folder, "preferences", frame, PREFERENCES)
    return Stored(folder, {"preferences": count, "held_out": {}}, reused=False, seconds=0.0)


def sigmoid(gap: float) -> float:
    return float(1 / (1 + np.exp(-gap)))


@pytest.mark.slow
def test_planted_utilities_come_back_up_to_a_shift_and_the_loss_reaches_its_floor(tmp_path: Path, tiny: str) -> None:
    stored = compared(tmp_path / "data", 2_400)
    section = Training(method="reward", ensemble=2, learning_rate=1e-3, batch_size=64, max_length=64, epochs=4)
    made = train(
        tmp_path / "store", stored, section, base=tiny, revision="tiny", seed=0, progress=lambda _done, _of: None
    )
    assert made.facts["members"] == 2
    assert 0 <= made.facts["disagreement"] < 0.1
    chats: Any = [[*PROMPT, {"role": "assistant", "content": text}] for text in UTILITY]
    truth = np.array(list(UTILITY.values()))
    gaps = truth[:, None] - truth[None, :]
    others = ~np.eye(len(truth), dtype=bool)
    chances = 1 / (1 + np.exp(-gaps[others]))
    floor = loss(gaps[others], chances)
    for member in ("checkpoint", "checkpoint-2"):
        scores = np.array(Scorer(str(made.folder / member))(chats), dtype=np.float64)
        assert scores - scores.mean() == pytest.approx(truth, abs=0.4)
        reached = loss((scores[:, None] - scores[None, :])[others], chances)
        assert floor <= reached < floor + 0.01
