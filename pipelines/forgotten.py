"""The list of what was forgotten: hashes of rows that no run reads again, and none of their text."""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from pipelines.store import write_bytes
from schemas.chats import content_id
from schemas.errors import GristmillError

NAME = "forgotten.json"
SAID = ("prompt", "reply", "weight", "replies", "reference", "check", "tools")  # what a sample says


@dataclass(frozen=True)
class Forgotten:
    """Rows to be left out wherever they are read.

    `rows` are salted SHA-256 hashes of what a sample says, each with the source that it is left out of, or null for
    every source; `records` are salted SHA-256 hashes of quarantined records' own hashes, which could be turned back.
    `clean` names the ingested tables that were searched when the list was last added to and held none of it: they stand
    as they are.
    """

    salt: str = ""
    rows: frozenset[tuple[str, str | None]] = frozenset()
    records: frozenset[str] = frozenset()
    clean: frozenset[str] = frozenset()
    counts: Counter[str] = field(default_factory=Counter)  # rows left out in this process, by file

    def __bool__(self) -> bool:
        return bool(self.rows or self.records)

    @property
    def version(self) -> str:
        """The hash of the list."""
        return content_id(self.salt, sorted(map(str, self.rows)), sorted(self.records))

    def keys(self, samples: pl.DataFrame) -> list[str]:
        """Give the hash of what each sample says."""
        salt = self.salt.encode()
        return [
            hashlib.sha256(salt + orjson.dumps(row, option=orjson.OPT_SORT_KEYS)).hexdigest()
            for row in samples.select(SAID).iter_rows(named=True)
        ]

    def holds(self, samples: pl.DataFrame) -> pl.Series:
        """Tell of each sample whether it is left out."""
        told = zip(self.keys(samples), samples["source"], strict=True)
        held = [(key, None) in self.rows or (key, source) in self.rows for key, source in told]
        return pl.Series(held, dtype=pl.Boolean)

    def samples(self, write: Callable[[pl.DataFrame], object]) -> Callable[[pl.DataFrame], object]:
        """Give a `write` that leaves the forgotten samples out."""

        def some(frame: pl.DataFrame) -> None:
            gone = self.holds(frame)
            files = frame.filter(gone)["origin"].struct.field("file").to_list()
            self.counts.update(files)
            write(frame.filter(~gone) if files else frame)

        return some if self.rows else write

    def record(self, known: str) -> str:
        """Give what stands in the list for a quarantined record, by its hash."""
        return hashlib.sha256(f"{self.salt}{known}".encode()).hexdigest()

    def quarantined(self, write: Callable[[pl.DataFrame], object]) -> Callable[[pl.DataFrame], object]:
        """Give a `write` that leaves the forgotten records out of the quarantine."""

        def some(frame: pl.DataFrame) -> None:
            gone = pl.Series([self.record(known) in self.records for known in frame["hash"]], dtype=pl.Boolean)
            self.counts.update(f"quarantined {file}" for file in frame.filter(gone)["file"])
            write(frame.filter(~gone))

        return some if self.records else write


def load(out: Path) -> Forgotten:
    """Give the list of the runs in `out`; an empty one where nothing was forgotten."""
    file = out / NAME
    if not file.is_file():
        import secrets

        return Forgotten(salt=secrets.token_hex(16))
    told = orjson.loads(file.read_bytes())
    if told.get("raw"):
        raise GristmillError(
            f"{file} names {len(told['raw']):,} quarantined record(s) in 'raw' by their SHA-256, as an earlier version "
            "did, and rows are told by another hash now: empty 'raw', run what reads them again, and forget them again"
        )
    rows = frozenset((one["key"], one["source"]) for one in told["rows"])
    return Forgotten(told["salt"], rows, frozenset(told["records"]), frozenset(told["clean"]))


def beside(store: Path) -> Forgotten:
    """Give the list that a store of stages is under: in a folder above it."""
    found = next((folder for folder in store.absolute().parents if (folder / NAME).is_file()), None)
    return load(found) if found else Forgotten()


def save(out: Path, known: Forgotten) -> None:
    """Write the list, whole or not at all."""
    told: dict[str, Any] = {
        "salt": known.salt,
        "rows": [{"key": key, "source": source} for key, source in sorted(known.rows, key=str)],
        "records": sorted(known.records),
        "clean": sorted(known.clean),
    }
    out.mkdir(parents=True, exist_ok=True)
    write_bytes(out / NAME, orjson.dumps(told, option=orjson.OPT_INDENT_2))
