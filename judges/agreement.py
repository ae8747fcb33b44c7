"""How well raters agree, beyond chance and with what doubt: pure statistics, null where there is nothing to tell."""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

DRAWS = 2_000  # of the bootstrap
LEAST_GROUPS = 2  # one prompt tells nothing of another


@dataclass(frozen=True)
class Mean:
    """A mean over `rows`, null where there are none, and its 95 % interval, null where one prompt alone is known."""

    mean: float | None
    interval: tuple[float, float] | None
    rows: int


def mean(values: Sequence[float], groups: Sequence[Hashable], *, draws: int = DRAWS, seed: int = 0) -> Mean:
    """Give the mean of `values` and its 95 % interval by a seeded bootstrap over `groups`, the prompts of the rows.

    Whole prompts are drawn, since rows of one prompt are alike.
    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13: the percentile interval.
    """
    if not len(values):
        return Mean(None, None, 0)
    sums, counts = _by_group(values, groups)
    middle = float(sums.sum() / counts.sum())
    if len(counts) < LEAST_GROUPS:
        return Mean(middle, None, len(values))
    random = np.random.default_rng(seed)
    drawn = random.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), size=draws)
    low, high = np.quantile(drawn @ sums / (drawn @ counts), [0.025, 0.975])
    return Mean(middle, (float(low), float(high)), len(values))


def _by_group(
    values: Sequence[float], groups: Sequence[Hashable]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Give each group's sum and its count."""
    order = {group: at for at, group in enumerate(dict.fromkeys(groups))}
    at = np.array([order[group] for group in groups])
    weights = np.asarray(values, dtype=np.float64)
    sums, counts = np.zeros(len(order)), np.zeros(len(order))
    np.add.at(sums, at, weights)
    np.add.at(counts, at, 1)
    return sums, counts


def wilson(hits: float, rows: int) -> tuple[float, float] | None:
    """Give the 95 % interval of a fraction, null without rows; of none of 50 it is not 0 to 0.

    Source: Wilson 1927, Probable Inference, the Law of Succession, and Statistical Inference.
    """
    if not rows:
        return None
    z = 1.959964
    middle, spread = (hits + z**2 / 2) / (rows + z**2), z / (rows + z**2)
    half = spread * (hits * (rows - hits) / rows + z**2 / 4) ** 0.5
    return max(middle - half, 0.0), min(middle + half, 1.0)


def kappa(one: Sequence[Hashable], other: Sequence[Hashable]) -> float | None:
    """Give Cohen's kappa of two raters' labels of the same rows; null without rows, and where both only say one thing.

    Source: Cohen 1960, A Coefficient of Agreement for Nominal Scales.
    """
    rows = len(one)
    if not rows:
        return None
    seen, said = Counter(one), Counter(other)
    chance = sum(seen[label] * said[label] for label in seen) / rows**2
    same = sum(a == b for a, b in zip(one, other, strict=True)) / rows
    return None if chance == 1 else (same - chance) / (1 - chance)


def alpha(units: Sequence[Sequence[float]], *, scale: Literal["nominal", "interval"] = "nominal") -> float | None:
    """Give Krippendorff's alpha; a unit is the values that any number of raters gave one thing, missing ones left out.

    `interval` counts a disagreement by the square of its size. Null where no unit has two values, or all are the same.
    Source: Krippendorff 2011, Computing Krippendorff's Alpha-Reliability.
    """
    paired = [np.asarray(unit, dtype=np.float64) for unit in units if len(unit) > 1]
    if not paired:
        return None
    every = np.concatenate(paired)
    expected = _apart(every, scale) / (len(every) - 1)
    observed = sum(_apart(unit, scale) / (len(unit) - 1) for unit in paired)
    return None if expected == 0 else 1 - observed / expected


def _apart(values: npt.NDArray[np.float64], scale: str) -> float:
    """Sum the disagreement of all ordered pairs of values."""
    if scale == "interval":
        return float(2 * len(values) * ((values - values.mean()) ** 2).sum())
    _kinds, counts = np.unique(values, return_counts=True)
    return float(len(values) ** 2 - (counts**2).sum())


def trusted_from(
    confidence: Sequence[float],
    right: Sequence[float],
    groups: Sequence[Hashable],
    *,
    least: float,
    draws: int = DRAWS,
) -> float | None:
    """Give the lowest confidence from which on the judge is right in at least `least` of cases, or null.

    "At least" is the lower end of the 95 % interval over the prompts, so that a few lucky rows earn no trust.
    """
    rows = list(zip(confidence, right, groups, strict=True))
    for cut in sorted(set(confidence)):
        kept = [(hit, group) for sure, hit, group in rows if sure >= cut]
        told = mean([hit for hit, _ in kept], [group for _, group in kept], draws=draws)
        if told.interval and told.interval[0] >= least:
            return cut
    return None


def majority(votes: Sequence[float]) -> float | None:
    """Give the verdict that more people gave than any other; null where two come first together."""
    first = Counter(votes).most_common(2)
    return None if not first or (len(first) > 1 and first[0][1] == first[1][1]) else first[0][0]
