"""Which of rows that match each other stay, and which staying row each of the others matches."""

import numpy as np
import numpy.typing as npt
import polars as pl

Rows = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

MANY = 32  # of a row in so many pairs or more, not all pairs are known

BESIDE = pl.Schema(
    {
        "id": pl.String,
        "stays": pl.Boolean,
        "cluster": pl.Int64,  # a number: what hangs together has the same
        "match": pl.String,  # for one that does not stay: a row that does, or null where none may
        "pair": pl.Int64,  # its place among the pairs: the one by which it matches, or its most alike one
        "hangs": pl.Boolean,  # whether it matches by other rows' pairs too
    }
)


def beside(pairs: pl.DataFrame, order: pl.DataFrame) -> pl.DataFrame:
    """Give `BESIDE`: which rows of `order` stay, and for each other one the row that stays for it.

    `pairs` has `id`, `other` and `measured` of what counts as alike. `order` has each `id` of them, the most preferred
    first, with `outside` (it stays whatever it matches; before all others) and `may_stay` (before those that may not).
    Gone through in that order, a row stays where no pair joins it to a row that stays. So what falls is known to be
    like a row that stays, and no two that stay are known to be alike. Rows joined by a measure of 1 are the same: one
    of them stays for all, and the pairs of each are those of all.

    A row in `MANY` pairs or more may be like others that were not told: it falls beside any row that stays of those
    that it hangs together with.
    """
    count = order.height
    edges = _edges(pairs, order["id"])
    copies = joined(*_ends(edges.filter("same")), count)
    hanging = joined(*_ends(edges), count)
    shared = edges.with_columns(a=copies[edges["a"]], b=copies[edges["b"]]).filter(pl.col("a") != pl.col("b"))
    many = np.bincount(np.concatenate(_ends(shared)), minlength=count) >= MANY
    apart = (copies == np.arange(count)) & ~(many & order["may_stay"].to_numpy()[hanging] & (hanging != copies))
    stays = _staying(order, apart, shared)
    direct, direct_pair, same = _best(edges, stays)
    shared_match, shared_pair, _ = (column[copies] for column in _best(shared, stays))
    _, own_pair, _ = _best(edges, np.ones(count, np.bool_))
    is_direct = ~stays & (direct >= 0) & (same | ~stays[copies])
    is_shared = ~stays & ~is_direct & ~stays[copies] & (shared_match >= 0)
    match = np.select(  # the first that holds
        [stays, is_direct, stays[copies], is_shared, many[copies] & stays[hanging]],
        [-1, direct, copies, shared_match, hanging],
        -1,
    )
    told = pl.DataFrame(
        {
            "id": order["id"],
            "stays": stays,
            "cluster": hanging,
            "match": match,
            "pair": np.select([stays, is_direct, is_shared], [-1, direct_pair, shared_pair], own_pair),
            "hangs": ~(stays | is_direct | is_shared),
        }
    )
    told = told.with_columns(pl.col("match", "pair").replace(-1, None))
    return told.with_columns(match=order["id"].gather(told["match"])).cast(BESIDE)


def _edges(pairs: pl.DataFrame, ids: pl.Series) -> pl.DataFrame:
    """Give the pairs by their rows' numbers `a` and `b`, their place as `pair`, and whether rows are the `same`."""
    numbers = ids.to_frame("row").with_row_index("number").cast({"number": pl.Int64})
    ends = pairs.with_row_index("pair").cast({"pair": pl.Int64})
    for end, number in (("id", "a"), ("other", "b")):
        ends = ends.join(numbers.rename({"row": end, "number": number}), on=end)
    return ends.select("a", "b", "pair", "measured", same=pl.col("measured") >= 1)


def _ends(edges: pl.DataFrame) -> tuple[Rows, Rows]:
    return edges["a"].to_numpy(), edges["b"].to_numpy()


def _staying(order: pl.DataFrame, apart: Flags, shared: pl.DataFrame) -> Flags:
    """Tell for each row whether it stays: of those that may and are `apart`, all but those after one that stays."""
    stays = order["outside"].to_numpy().copy()
    undecided = order["may_stay"].to_numpy() & apart & ~stays
    a, b = _ends(shared)
    low, high = np.minimum(a, b), np.maximum(a, b)
    while undecided.any():
        matters = undecided[high] & (stays[low] | undecided[low])
        low, high = low[matters], high[matters]
        undecided[high[stays[low]]] = False
        waits = np.zeros(stays.size, np.bool_)
        waits[high[undecided[low]]] = True
        stays |= undecided & ~waits
        undecided &= waits
    return stays


def _best(edges: pl.DataFrame, counts: Flags) -> tuple[Rows, Rows, Flags]:
    """Give for each row the most alike one of those that count, its pair, and whether it is the same; -1 for none."""
    there, back = edges.rename({"a": "row", "b": "other"}), edges.rename({"b": "row", "a": "other"})
    both = pl.concat([there, back.select(there.columns)])
    both = both.filter(pl.Series(counts[both["other"]], dtype=pl.Boolean))
    best = both.sort("row", -pl.col("measured"), "other").unique("row", keep="first", maintain_order=True)
    other, pair, same = np.full(counts.size, -1), np.full(counts.size, -1), np.zeros(counts.size, np.bool_)
    other[best["row"]], pair[best["row"]], same[best["row"]] = best["other"], best["pair"], best["same"]
    return other, pair, same


def clusters(pairs: pl.DataFrame) -> pl.DataFrame:
    """Give each `id` of the pairs (`id`, `other`) with its `cluster`, a number: what hangs together has the same."""
    names = pl.concat([pairs["id"], pairs["other"]]).unique(maintain_order=True).alias("id")
    edges = _edges(pairs.select("id", "other", measured=0), names)
    return names.to_frame().with_columns(cluster=pl.Series(joined(*_ends(edges), names.len()), dtype=pl.Int64))


def joined(a: Rows, b: Rows, count: int) -> Rows:
    """Give for each of `count` rows the first of those that the edges join it to, itself among them."""
    first = np.arange(count)
    while True:
        low = np.minimum(first[a], first[b])
        lower = first.copy()
        for rows in (first[a], first[b], a, b):
            np.minimum.at(lower, rows, low)
        lower = lower[lower]
        if np.array_equal(lower, first):
            return first
        first = lower
