"""Tables walked in step: some samples at a time, with the rows of other tables that belong to them."""

from collections.abc import Iterable, Iterator

import polars as pl

from schemas.errors import StoreError

SAMPLES_AT_ONCE = 5_000


def in_step(samples: Iterable[pl.DataFrame], *others: Iterable[pl.DataFrame]) -> Iterator[tuple[pl.DataFrame, ...]]:
    """Give up to 5,000 samples at a time, each time with all of their rows in each of the other tables.

    All tables come a shard at a time; the others have their rows under `sample_id`, in the samples' order. Memory is
    bounded by a shard of each. Raises `StoreError` for a row whose sample is not where the order says.
    """
    waiting = [_Waiting(other) for other in others]
    for shard in samples:
        for some in shard.iter_slices(SAMPLES_AT_ONCE):
            yield some, *(one.of(some["id"]) for one in waiting)
    for one in waiting:
        one.end()


class _Waiting:
    """The rows of a table that were read and not given yet, all of one sample or of later ones."""

    def __init__(self, table: Iterable[pl.DataFrame]) -> None:
        self.coming = iter(table)
        self.held = next(self.coming)  # a stored table has a shard at least

    def of(self, ids: pl.Series) -> pl.DataFrame:
        """Give the rows of the next samples, by their ids; what follows waits."""
        given = []
        while True:
            own = self.held["sample_id"].is_in(ids.implode())
            count = int(own.sum())
            if not own.head(count).all():
                raise StoreError(_astray(self.held.filter(~own)))
            given.append(self.held.head(count))
            self.held = self.held.slice(count)
            more = next(self.coming, None) if self.held.is_empty() else None
            if more is None:
                return pl.concat(given)
            self.held = more

    def end(self) -> None:
        """Raise `StoreError` where a row is left."""
        left = pl.concat([self.held, *self.coming])
        if not left.is_empty():
            raise StoreError(_astray(left))


def _astray(rows: pl.DataFrame) -> str:
    return (
        f"a row of sample {rows['sample_id'][0]!r} does not stand in the order of the kept samples, or its sample is "
        "not one of them; remove the stages from `generate` on and run again"
    )
