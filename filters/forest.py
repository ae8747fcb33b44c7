"""What is enough of many matches: a forest, without which rows would hang together less, and each row's strongest."""

from typing import Any

import numpy as np
import numpy.typing as npt

from filters.shingles import compiled
from filters.standing import MANY

Rows = npt.NDArray[np.int64]
Measures = npt.NDArray[np.float64]


def strongest(left: Rows, right: Rows, measured: Measures, rows: int) -> tuple[Rows, Rows, Measures]:
    """Give the pairs that are in their maximum spanning forest, or among the `MANY` strongest of either row, each once.

    At any threshold they have the clusters that all pairs have, and a row with fewer than `MANY` of them there has no
    others. Of pairs measured alike the one with the lower rows goes first, so the order of the pairs doesn't matter,
    nor whether some were left out before; `rows` is how many there are.
    """
    order = np.lexsort((right, left, -measured))
    left, right, measured = left[order], right[order], measured[order]
    chosen = _chosen(left, right, rows, MANY)
    return left[chosen], right[chosen], measured[chosen]


@compiled
def _chosen(left: Any, right: Any, rows: Any, many: Any) -> Any:
    """Tell which pairs, gone through in their order, join what the earlier ones left apart (Kruskal) or are early ones.

    A pair that comes again comes next.
    """
    parent = np.arange(rows)
    seen = np.zeros(rows, np.int64)
    chosen = np.zeros(left.size, np.bool_)
    for pair in range(left.size):
        a, b = left[pair], right[pair]
        if pair and a == left[pair - 1] and b == right[pair - 1]:
            continue
        chosen[pair] = seen[a] < many or seen[b] < many
        seen[a] += 1
        seen[b] += 1
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        while parent[b] != b:
            parent[b] = parent[parent[b]]
            b = parent[b]
        if a != b:
            parent[max(a, b)] = min(a, b)
            chosen[pair] = True
    return chosen
