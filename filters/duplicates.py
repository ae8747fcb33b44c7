"""Rules on rows that say the same: exact duplicates, and near duplicates with every pair verified."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import polars as pl

from filters.texts import DIFFERS, Part, bare, normalised, rare_blanks, text
from schemas.rules import MATCHES, MatchRule, Shards

if TYPE_CHECKING:  # `exact` needs no numpy, and it takes as long to load as to compare 50,000 texts
    import numpy as np
    import numpy.typing as npt

    from filters.signatures import Rows, Texts

    Pairs = tuple[Rows, Rows, npt.NDArray[np.float64]]

FLOOR = 0.7  # what is measured, whatever the threshold
BUDGET = 192 << 20  # bytes of text in memory at a time
IN_CACHE = 8_192  # rows whose texts, each copied several times, the processor's cache holds


def exact(*, part: Part = "prompt", keep: str = "first", against: Sequence[str] = ()) -> MatchRule:
    """Rows whose `part` is the same but for letter case, white space and punctuation at its ends. One a group stays.

    `against` are indexes of earlier datasets (`filters.index:write_index`): of what matches one of their rows,
    none stays. Two texts are the same when their 64-bit hashes are. Raises `InputError` where an index can't be used.
    """
    _usable(against, part, None)

    def match(samples: Shards, _benchmarks: Shards) -> pl.DataFrame:
        known = [block.select(id="name", key="exact", outside=True) for block in _outside(against, part)]
        rows = [_keyed(shard, part, stable=bool(against)).with_columns(outside=False) for shard in samples]
        return stars(pl.concat([pl.DataFrame(schema=KEYED), *known, *rows]))

    return MatchRule(match, 1.0, keep, files=tuple(against))


KEYED = pl.Schema({"id": pl.String, "key": pl.UInt64, "outside": pl.Boolean})


def _usable(against: Sequence[str], part: Part, differs: str | None) -> None:
    """Raise `InputError` for the first of the indexes that can't be used."""
    if against:
        from filters.index import check_index

        for path in against:
            check_index(path, part, differs)


def _outside(against: Sequence[str], part: Part) -> Iterator[pl.DataFrame]:
    if against:
        from filters.index import indexed

        yield from indexed(against, part, None)


def _keyed(shard: pl.DataFrame, part: Part, *, stable: bool) -> pl.DataFrame:
    if stable:
        from filters.signatures import hashed

        rows = shard.select("id", text=normalised(part)).drop_nulls()
        return rows.select("id", key=pl.Series(hashed(rows["text"])))
    rows = shard.select("id", text=text(part)).drop_nulls()
    rare = rows.select(rare_blanks(pl.col("text"))).to_series()
    keyed = [*_hashed(rows.filter(~rare), common=True), *_hashed(rows.filter(rare), common=False)]
    return pl.concat([pl.DataFrame(schema={name: KEYED[name] for name in ("id", "key")}), *keyed])


def _hashed(rows: pl.DataFrame, *, common: bool) -> Iterator[pl.DataFrame]:
    """Give the rows' keys by polars' own hash, which changes with its version, but costs less than `hashed`."""
    for some in rows.iter_slices(IN_CACHE):
        told = some.lazy().select("id", text=bare(pl.col("text"), common=common)).drop_nulls()
        yield told.select("id", key=pl.col("text").hash(1)).collect(engine="streaming")


def stars(rows: pl.DataFrame) -> pl.DataFrame:
    """Give `MATCHES` of each row with the one that stands for its key: one outside, or the least id."""
    again = rows.filter(pl.col("key").is_duplicated())
    standing = again.sort("key", pl.col("outside").not_(), "id").unique("key", keep="first", maintain_order=True)
    pairs = again.filter(~pl.col("outside")).join(standing.select("key", other="id"), on="key", maintain_order="left")
    matches = pairs.filter(pl.col("id") != pl.col("other")).with_columns(measured=1.0, span=pl.lit(None, pl.String))
    return matches.select(*MATCHES).cast(MATCHES)


def near(
    *,
    part: Part = "question",
    threshold: float = 0.8,
    differs: str = DIFFERS,
    keep: str = "first",
    against: Sequence[str] = (),
) -> MatchRule:
    """Rows whose `part` shares at least `threshold` (inclusive, 0.7 to 1) of its character 5-grams with another's.

    The share is the exact Jaccard similarity of the two sets, computed for every pair that MinHash proposes (32 bands
    of 4 rows: 0.9998 of the pairs at 0.7, all but one in 20 million at 0.8). Compared are letters, digits and `_`, in
    lower case and composed (NFC), with one space for all between them: case, white space and punctuation don't count.
    A text of fewer than 5 characters is its own only 5-gram; one with none is not measured.

    Texts whose matches of `differs` (a regular expression of polars) are not the same are different tasks, however
    alike they look ("What is 12 + 7?", "What is 12 - 7?"): by default their numbers, quoted texts and arithmetic signs;
    an empty pattern switches it off. `against` are indexes of earlier datasets (`filters.index:write_index`): of
    what matches one of their rows, none stays.

    A row falls beside one that stays and is that much like it; rows that both are like a third stay both where they
    are less like each other (`filters.standing:beside`). The matches are each row's 32 strongest pairs from 0.7 on, and
    the maximum spanning forest of all of them, the same for any order of rows and shards.
    Texts lie in a temporary file meanwhile; in memory are about 200 bytes a row. Of a crowd of more than 1,024 rows
    that all look alike to a band, only those that look more alike are compared. Raises `ValueError` for a threshold
    outside of 0.7 to 1 or a pattern that is none, `InputError` where an index can't be used.
    """
    if not FLOOR <= threshold <= 1:
        raise ValueError(f"threshold is {threshold}; near duplicates are measured from {FLOOR} to 1")
    try:
        pl.Series([""]).str.extract_all(differs)
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"differs is {differs!r}, not a regular expression: {str(error).splitlines()[0]}") from error
    _usable(against, part, differs or None)

    def match(samples: Shards, _benchmarks: Shards) -> pl.DataFrame:
        from filters.index import indexed
        from filters.signatures import Collector, marks

        with Collector() as collector:
            for block in indexed(against, part, differs or None):
                collector.add(
                    block["name"], block["text"], block["marks"].to_numpy() if differs else None, outside=True
                )
            for shard in samples:
                rows = shard.select("id", text=text(part)).drop_nulls()
                marked = marks(rows["text"], differs) if differs else None
                collector.add(rows["id"], rows["text"], marked, outside=False)
            texts = collector.texts()
            return _matches(texts, similar(texts))

    return MatchRule(match, threshold, keep, files=tuple(against))


def _matches(texts: "Texts", pairs: "Pairs") -> pl.DataFrame:
    """Give `MATCHES`: the copies, and the pairs with the row outside, or the lesser id, as `other`."""
    import numpy as np

    left, right, measured = pairs
    swap = texts.outside[left]
    a, b = np.where(swap, right, left), np.where(swap, left, right)
    alike = pl.DataFrame({"a": texts.names.gather(a), "b": texts.names.gather(b), "measured": measured})
    turned = (pl.col("a") < pl.col("b")) & ~pl.Series(texts.outside[b], dtype=pl.Boolean)
    alike = alike.select(
        id=pl.when(turned).then("b").otherwise("a"), other=pl.when(turned).then("a").otherwise("b"), measured="measured"
    )
    every = pl.concat([texts.copies.with_columns(measured=1.0), alike.cast({"measured": pl.Float64})])
    return every.with_columns(span=pl.lit(None, pl.String)).cast(MATCHES)


def similar(texts: "Texts") -> "Pairs":
    """Give of the pairs of texts whose Jaccard similarity is at least `FLOOR` the `filters.forest:strongest`."""
    import numpy as np

    from filters.candidates import candidates
    from filters.forest import strongest

    forest: Pairs = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    for left, right in candidates(texts):
        measured = compared(texts, left, right)
        alike = measured >= FLOOR
        found = zip(forest, (left[alike], right[alike], measured[alike]), strict=True)
        a, b, c = (np.concatenate(both) for both in found)
        forest = strongest(a, b, c, texts.counts.size)
    return forest


def compared(texts: "Texts", left: "Rows", right: "Rows") -> "npt.NDArray[np.float64]":
    """Give the exact Jaccard similarity of each pair, 0 below `FLOOR`, holding at most `BUDGET` bytes of text."""
    import numpy as np

    from filters.shingles import jaccard

    out = np.empty(left.size)
    weights = np.cumsum(texts.sizes[left] + texts.sizes[right])
    first = 0
    while first < left.size:
        before = int(weights[first - 1]) if first else 0
        last = max(int(np.searchsorted(weights, before + BUDGET, "right")), first + 1)
        rows, places = np.unique(np.concatenate([left[first:last], right[first:last]]), return_inverse=True)
        jaccard(*texts.read(rows), places[: last - first], places[last - first :], FLOOR, out[first:last])
        first = last
    return out
