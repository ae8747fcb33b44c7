"""Bad rows on their way to the disk: why, where they lie, their hash, and what they begin with."""

import codecs
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import polars as pl
from xxhash import xxh3_128_hexdigest

from pipelines.files.rows import RAW_KEPT, Bad
from pipelines.shards import Told
from schemas.tables import QUARANTINED

AT_ONCE = 5_000  # rows: making a frame of fewer costs more than the rows
GROUP = 4_096  # rows of a row group
GATHERED = ("row", "offset", "reason", "hash", "raw")  # what is told of each, in the table's order


class Quarantine:
    """Gathers bad rows and gives them to `write` now and then."""

    def __init__(self, write: Callable[[pl.DataFrame], object]) -> None:
        self.write = write
        self.first = ""  # the first bad row, in words
        self.told: Told | None = None  # the file of those gathered
        self.columns: dict[str, list[Any]] = {name: [] for name in GATHERED}

    def add(self, told: Told, found: Sequence[tuple[int, int | None, Bad]]) -> None:
        """Add bad rows of one file: number, offset, and what is wrong."""
        rows, offsets, lost = zip(*found, strict=True)
        reasons, raws, hashes = zip(*lost, strict=True)
        self._add(told, rows, offsets, reasons, hashes, raws)

    def add_alike(self, told: Told, rows: Sequence[int], places: Iterable[tuple[int | None, bytes]], why: str) -> None:
        """Add bad rows of one file that have the same fault, each with its offset and all of its bytes."""
        offsets, raws = zip(*places, strict=True)
        hashes = list(map(xxh3_128_hexdigest, raws))
        self._add(told, rows, offsets, [why] * len(rows), hashes, [raw[:RAW_KEPT] for raw in raws])

    def _add(self, told: Told, *columns: Sequence[Any]) -> None:
        """Add columns in the order of `GATHERED`."""
        if told is not self.told:
            self.flush()
            self.told = told
        added = dict(zip(GATHERED, columns, strict=True))
        for name, values in added.items():
            self.columns[name].extend(values)
        if not self.first:
            self.first = f" The first: {told.file}, row {added['row'][0]}: {added['reason'][0]}."
        if len(self.columns["row"]) >= AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Write what has been gathered."""
        if self.told and self.columns["row"]:
            columns, self.columns = self.columns, {name: [] for name in GATHERED}
            columns["raw"] = list(map(_shown, columns["raw"]))
            alike = {"source": self.told.source, "file": self.told.file}
            made = [pl.Series(name, [one]).new_from_index(0, len(columns["raw"])) for name, one in alike.items()]
            made += [pl.Series(name, values, dtype=QUARANTINED[name]) for name, values in columns.items()]
            self.write(pl.DataFrame(made))


def _shown(raw: bytes) -> str:
    """Give the text of a row's first bytes, undecodable ones escaped; a character that was cut in two is left out."""
    whole = len(raw) < RAW_KEPT
    return codecs.utf_8_decode(raw, "backslashreplace", whole)[0]
