"""Bad rows on their way to the disk: why, where they lie, their hash, and what they begin with."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import polars as pl

from pipelines.files.rows import RAW_KEPT, Bad
from pipelines.shards import Told
from schemas.tables import QUARANTINED

AT_ONCE = 2_000  # rows: they are in the processor's cache still
GROUP = 4_096  # rows of a row group
SHOWN = 1_000  # characters of a bad row


class _Lost(NamedTuple):
    """Bad rows of one file, as columns."""

    row: Sequence[int]
    offset: Sequence[int | None]
    reason: Sequence[str]
    sha256: Sequence[str]
    raw: Sequence[bytes]


class Quarantine:
    """Gathers bad rows and gives them to `write` now and then."""

    def __init__(self, write: Callable[[pl.DataFrame], object]) -> None:
        self.write = write
        self.written = 0
        self.first = ""  # the first bad row, in words
        self.columns: dict[str, list[Any]] = {name: [] for name in QUARANTINED}

    def add(self, told: Told, found: Sequence[tuple[int, int | None, Bad]]) -> None:
        """Add bad rows of one file: number, offset, and what is wrong."""
        rows, offsets, lost = zip(*found, strict=True)
        reasons, raws, hashes = zip(*lost, strict=True)
        self._add(told, _Lost(rows, offsets, reasons, hashes, raws))

    def add_alike(self, told: Told, rows: Sequence[int], places: Iterable[tuple[int | None, bytes]], why: str) -> None:
        """Add bad rows of one file that have the same fault, each with its offset and all of its bytes."""
        offsets, raws = zip(*places, strict=True)
        hashes = [hashlib.sha256(raw).hexdigest() for raw in raws]
        self._add(told, _Lost(rows, offsets, [why] * len(rows), hashes, raws))

    def _add(self, told: Told, lost: _Lost) -> None:
        columns = lost._asdict() | {
            "source": [told.source] * len(lost.row),
            "file": [told.file] * len(lost.row),
            "raw": [raw[:RAW_KEPT] for raw in lost.raw],
        }
        for name, values in columns.items():
            self.columns[name].extend(values)
        if not self.first:
            self.first = f" The first: {told.file}, row {lost.row[0]}: {lost.reason[0]}."
        if len(self.columns["row"]) >= AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Write what has been gathered."""
        if self.columns["row"]:
            self.written += len(self.columns["row"])
            shown = _shown(self.columns.pop("raw"))
            rest = [pl.Series(name, values, dtype=QUARANTINED[name]) for name, values in self.columns.items()]
            self.write(pl.DataFrame([*rest, shown]).select(*QUARANTINED))
            self.columns = {name: [] for name in QUARANTINED}


def _shown(raws: list[bytes]) -> pl.Series:
    """Give the first characters of each, undecodable bytes escaped."""
    try:
        texts = pl.Series("raw", raws, dtype=pl.Binary).cast(pl.String)
    except pl.exceptions.ComputeError:  # one is no UTF-8, or cut within a character
        texts = pl.Series("raw", [raw.decode("utf-8", "backslashreplace") for raw in raws], dtype=pl.String)
    return texts.str.slice(0, SHOWN)
