"""Fitting the weights of rule-based rewards: replies of a better class are to have a reward higher by 1."""

import random
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from judges.rbr import GIVEN, Rules, classes_of, truths
from schemas.chats import content_id
from schemas.errors import InputError

Floats = npt.NDArray[np.float64]
STEPS, RATE, DECAY, MARGIN = 1_000, 1e-2, 1e-2, 1.0  # AdamW's decay is PyTorch's default
FIRST, SECOND, TINY = 0.9, 0.999, 1e-8  # AdamW's moments


@dataclass(frozen=True)
class Graded:
    """A reply: its prompt, its features, its class's place (0 is the best), what the reward model says of it."""

    prompt: Hashable
    features: Sequence[float]
    rank: int
    reward_model: float = 0.0


@dataclass(frozen=True)
class Fit:
    """Weights, and the fraction of pairs that are in order with them: in training and held out, null without a pair.

    `before` is the fraction held out by the reward model alone; a tie is not in order. `differ` counts for each weight
    the training pairs that its feature differs in: where there is none, the weight stays 0.
    """

    weights: tuple[float, ...]
    trained: float | None
    held_out: float | None
    before: float | None
    pairs: int
    held_out_pairs: int
    differ: tuple[int, ...]


def fit(rows: Sequence[Graded], *, held_out: float = 0.2, seed: int = 0, steps: int = STEPS) -> Fit:
    """Fit weights to all pairs of replies to one prompt whose classes differ, by hinge loss with margin 1.

    AdamW, learning rate 0.01, all pairs each step, weights from 0. Prompts, not pairs, are held out: the fraction
    `held_out` of them, drawn by `seed`.
    Source: arXiv 2411.01111.
    Raises `InputError` where no two replies to one prompt differ in class.
    """
    prompts = list(dict.fromkeys(row.prompt for row in rows))
    drawn = set(random.Random(seed).sample(prompts, round(held_out * len(prompts))))
    features, margins = _pairs([row for row in rows if row.prompt not in drawn])
    apart, apart_margins = _pairs([row for row in rows if row.prompt in drawn])
    if not len(features):
        raise InputError(f"{len(rows)} replies to {len(prompts)} prompts hold no pair of one prompt and two classes")
    weights = _adamw(features, margins, steps)
    return Fit(
        weights=tuple(weights.tolist()),
        trained=_ordered(features @ weights + margins),
        held_out=_ordered(apart @ weights + apart_margins),
        before=_ordered(apart_margins),
        pairs=len(features),
        held_out_pairs=len(apart),
        differ=tuple((features != 0).sum(0).tolist()),
    )


def _pairs(rows: Sequence[Graded]) -> tuple[Floats, Floats]:
    """Give for each pair the better one's features and reward less the worse one's."""
    by_prompt: dict[Hashable, list[Graded]] = {}
    for row in rows:
        by_prompt.setdefault(row.prompt, []).append(row)
    pairs = [sorted(pair, key=lambda row: row.rank) for same in by_prompt.values() for pair in combinations(same, 2)]
    pairs = [pair for pair in pairs if pair[0].rank != pair[1].rank]
    width = len(rows[0].features) if rows else 0
    features = [np.subtract(better.features, worse.features) for better, worse in pairs]
    margins = [better.reward_model - worse.reward_model for better, worse in pairs]
    return np.array(features, dtype=np.float64).reshape(len(pairs), width), np.array(margins, dtype=np.float64)


def _adamw(features: Floats, margins: Floats, steps: int) -> Floats:
    weights, mean, square = (np.zeros(features.shape[1]) for _ in range(3))
    for step in range(1, steps + 1):
        short = (features @ weights + margins < MARGIN).astype(np.float64)
        slope = -(short @ features) / len(features)
        mean = FIRST * mean + (1 - FIRST) * slope
        square = SECOND * square + (1 - SECOND) * slope**2
        weights = weights * (1 - RATE * DECAY)
        weights -= RATE * (mean / (1 - FIRST**step)) / (np.sqrt(square / (1 - SECOND**step)) + TINY)
    return weights


def _ordered(gaps: Floats) -> float | None:
    return float((gaps > 0).mean()) if len(gaps) else None


def fit_file(
    rules: Rules, rows: Sequence[Mapping[str, Any]], to: Path, *, seed: int = 0, reward_model: str | None = None
) -> dict[str, Any]:
    """Fit the weights of each response type and write them, with the hashes of rules and data; gives what it wrote.

    A row holds `prompt`, `response_type`, `propositions` (each true, false or a probability) and, where there is one,
    `reward_model`, what the reward model of that revision says, or one that is not known. Rows of no class, or of
    several, are counted and left out; so are types without a pair.
    Raises `InputError` where the reward model has scored some rows and not others.
    """
    scored = sum(row.get("reward_model") is not None for row in rows)
    if scored not in {0, len(rows)}:
        raise InputError(f"{scored} of {len(rows)} rows hold `reward_model`: it is to be in all or in none of them")
    told: dict[str, Any] = {"rules": rules.key, "data": content_id(list(rows)), "seed": seed, "types": {}}
    told["reward_model"] = (reward_model or GIVEN) if scored else None
    told |= {"unclassed": 0, "without_pairs": []}
    by_kind: dict[str, list[Graded]] = {kind: [] for kind in rules.classes}
    for row in rows:
        kind, said = row["response_type"], row["propositions"]
        held = classes_of(rules, kind, said)
        if len(held) != 1:
            told["unclassed"] += 1
            continue
        features = list(truths(rules, kind, said).values())
        rank, under = rules.order.index(held[0]), float(row.get("reward_model") or 0.0)
        by_kind[kind].append(Graded(content_id(row["prompt"]), features, rank, under))
    for kind, graded in by_kind.items():
        try:
            told["types"][kind] = _told(rules.features(kind), fit(graded, seed=seed))
        except InputError:
            told["without_pairs"].append(kind)
    to.write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2))
    return told


def _told(names: Sequence[str], one: Fit) -> dict[str, Any]:
    rest = {key: value for key, value in vars(one).items() if key not in {"weights", "differ"}}
    weights = dict(zip(names, one.weights, strict=True))
    return rest | {"weights": weights, "differ": dict(zip(names, one.differ, strict=True))}
