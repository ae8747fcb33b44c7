"""A rule on rows that mean the same, by their embeddings."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from filters.texts import Part
from schemas.rules import MATCHES, VectorRule
from schemas.vectors import Vectors

FLOOR = 0.8  # what is measured, whatever the threshold
BLOCK = 1024  # rows at a time: a product of 4 MiB
PAIRS = 1 << 20  # pairs held before the strongest of them are chosen
SLACK = 1e-4  # what a product in single precision may be wrong by

Rows = npt.NDArray[np.int64]
Measures = npt.NDArray[np.float64]


def similar(*, part: Part = "question", threshold: float = 0.9, keep: str = "first") -> VectorRule:
    """Rows whose `part` has an embedding with a cosine of at least `threshold` (inclusive, 0.8 to 1) to another's.

    Every pair is compared, a block of rows at a time, in memory for one product of two blocks; the time grows with the
    square of the rows. Measured is the cosine in double precision, to 9 digits. The matches are each row's 32 strongest
    pairs from 0.8 on and the maximum spanning forest of all of them, the same for any order of rows. Raises
    `ValueError` for another threshold.
    """
    if not FLOOR <= threshold <= 1:
        raise ValueError(f"threshold is {threshold}; cosines are measured from {FLOOR} to 1")

    def match(ids: Sequence[str], vectors: Vectors) -> pl.DataFrame:
        from filters.forest import strongest

        names = pl.Series("id", ids, dtype=pl.String)
        rank = np.empty(len(ids), np.int64)
        rank[names.arg_sort().to_numpy()] = np.arange(len(ids))
        forest = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
        for first, second, cosine in _alike(vectors):
            low, high = np.minimum(rank[first], rank[second]), np.maximum(rank[first], rank[second])
            a, b, c = (np.concatenate(both) for both in zip(forest, (low, high, cosine), strict=True))
            forest = strongest(a, b, c, len(ids))
        ordered = names.sort()
        return pl.DataFrame(
            {"id": ordered.gather(forest[1]), "other": ordered.gather(forest[0]), "measured": forest[2], "span": None},
            schema=MATCHES,
        )

    return VectorRule(part, match, threshold, keep)


def _alike(vectors: Vectors) -> Iterator[tuple[Rows, Rows, Measures]]:
    """Give the pairs of rows whose cosine is at least `FLOOR`, many at a time."""
    held: list[tuple[Rows, Rows, Measures]] = []
    for top in range(0, len(vectors), BLOCK):
        for left in range(top, len(vectors), BLOCK):
            product = vectors[top : top + BLOCK] @ vectors[left : left + BLOCK].T
            if top == left:
                product = np.triu(product, 1)
            rows, columns = np.nonzero(product >= FLOOR - SLACK)
            held.append(_measured(vectors, rows + top, columns + left))
            if sum(pairs[0].size for pairs in held) >= PAIRS:
                yield _joined(held)
                held = []
    if held:
        yield _joined(held)


def _measured(vectors: Vectors, first: Rows, second: Rows) -> tuple[Rows, Rows, Measures]:
    """Give the pairs from `FLOOR` on, measured in double precision."""
    cosine = np.empty(first.size)
    for at in range(0, first.size, BLOCK):
        pair = slice(at, at + BLOCK)
        a, b = vectors[first[pair]].astype(np.float64), vectors[second[pair]].astype(np.float64)
        length = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)  # single precision gives 1 to 7 digits
        cosine[pair] = np.minimum(((a * b).sum(axis=1) / np.where(length > 0, length, 1)).round(9), 1.0)
    alike = cosine >= FLOOR
    return first[alike], second[alike], cosine[alike]


def _joined(held: list[tuple[Rows, Rows, Measures]]) -> tuple[Rows, Rows, Measures]:
    first, second, cosine = (np.concatenate(column) for column in zip(*held, strict=True))
    return first, second, cosine
