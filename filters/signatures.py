"""Texts and their signatures, collected from shards in bounded memory."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

BLOCK = 32 << 20  # bytes of the temporary file, at a time

Bytes = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]


def words(texts: pl.Series) -> tuple[Bytes, Rows]:
    """Give the texts as near duplicates are compared, their UTF-8 bytes in a row, and where each begins and ends.

    That is: letters, marks, digits and `_` in lower case and composed (NFC), whatever lies between as one space.
    """
    from filters.shingles import normalise

    other = (texts.str.len_bytes() != texts.str.len_chars()).fill_null(value=False)
    if other.any():  # the kernel knows ASCII alone, so that most texts need no more than it
        composed = texts.filter(other).str.normalize("NFC").str.to_lowercase()
        plain = composed.str.replace_all(r"[^\p{L}\p{M}\p{N}_]+", " ")
        texts = texts.scatter(other.arg_true(), plain)
    raw, ends = utf8(texts)
    written, written_ends = np.empty(raw.size, np.uint8), np.empty(ends.size, np.int64)
    size = normalise(raw, ends, written, written_ends)
    return written[:size], written_ends


def hashed(texts: pl.Series) -> Hashes:
    """Give a 64-bit hash of each text, the same in every run and version; a null is the empty text."""
    from filters.shingles import hashes

    out = np.empty(texts.len(), np.uint64)
    hashes(*utf8(texts), out)
    return out


def marks(texts: pl.Series, differs: str) -> Hashes:
    """Give the hash of what the pattern finds in each text, in whatever order."""
    found = texts.str.to_lowercase().str.extract_all(differs).list.sort().list.join("\x1e")
    return hashed(found.str.replace_all(r"\s+", " "))


def utf8(texts: pl.Series) -> tuple[Bytes, Rows]:
    """Give the texts' bytes in a row, and where each begins and ends; a null is empty."""
    array: Any = texts.fill_null("").rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _valid, ends, raw = array.buffers()
    ends = np.frombuffer(ends, np.int64)[array.offset : array.offset + len(array) + 1]
    raw = np.frombuffer(raw, np.uint8) if raw is not None and raw.size else np.empty(0, np.uint8)
    return raw[ends[0] : ends[-1]], ends - ends[0]


@dataclass
class Texts:
    """Texts to compare: in memory what finds the candidates, in a temporary file what settles them.

    A row is a different text (or one with other marks); rows are in the order of their hashes, which no order of
    samples or shards changes.
    """

    signatures: npt.NDArray[np.uint8]
    counts: npt.NDArray[np.int32]
    marks: Hashes
    outside: npt.NDArray[np.bool_]
    names: pl.Series  # of the row that stands for each
    copies: pl.DataFrame  # `id` and `other`: the rows that say the same as the one that stands for them
    starts: Rows  # in the file
    sizes: Rows
    file: IO[bytes]

    def read(self, rows: Rows) -> tuple[Bytes, Rows]:
        """Give the texts of the rows, going once through the file from front to back."""
        from filters.shingles import gather

        ends = np.concatenate([[0], np.cumsum(self.sizes[rows])])
        out = np.empty(int(ends[-1]), np.uint8)
        order = np.argsort(self.starts[rows], kind="stable")
        starts, sizes, targets = self.starts[rows][order], self.sizes[rows][order], ends[:-1][order]
        first = 0
        while first < order.size:
            last = max(int(np.searchsorted(starts + sizes, starts[first] + BLOCK, "right")), first + 1)
            self.file.seek(int(starts[first]))
            length = int(starts[last - 1] + sizes[last - 1] - starts[first])
            block = np.frombuffer(self.file.read(length), np.uint8)
            gather(block, starts[first:last] - starts[first], sizes[first:last], targets[first:last], out)
            first = last
        return out, ends


@dataclass
class _Shard:
    names: pl.Series
    signatures: npt.NDArray[np.uint8]
    prints: Hashes
    marks: Hashes
    counts: npt.NDArray[np.int32]
    sizes: Rows
    outside: bool


class Collector:
    """Gathers texts a shard at a time; a context, because it holds a temporary file."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self._shards: list[_Shard] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, names: pl.Series, texts: pl.Series, marked: Hashes | None, *, outside: bool) -> None:
        """Sign the texts and write them to the file."""
        from filters.shingles import BANDS, HASHES, sign

        written, ends = words(texts)
        signatures = np.zeros((names.len(), BANDS * HASHES), np.uint8)
        prints, counts = np.empty(names.len(), np.uint64), np.empty(names.len(), np.int32)
        sign(written, ends, signatures, prints, counts)
        self._file.write(written.data)
        none = np.zeros(names.len(), np.uint64)
        shard = _Shard(names, signatures, prints, none if marked is None else marked, counts, np.diff(ends), outside)
        self._shards.append(shard)

    def texts(self) -> Texts:
        """Give the different texts; what was gathered is let go."""
        shards, self._shards = self._shards, []
        sizes = _joined([shard.sizes for shard in shards], np.int64)
        counts = _joined([shard.counts for shard in shards], np.int32)
        marked = _joined([shard.marks for shard in shards], np.uint64)
        keys = _joined([shard.prints for shard in shards], np.uint64) ^ (marked * np.uint64(0x9E3779B97F4A7C15))
        outside = np.repeat([shard.outside for shard in shards], [shard.names.len() for shard in shards]).astype(bool)
        names = pl.concat([pl.Series("name", [], pl.String), *(shard.names.alias("name") for shard in shards)])
        rows = np.flatnonzero(counts)
        different, first, inverse = np.unique(keys[rows], return_index=True, return_inverse=True)
        first = rows[first]
        named, copies = _named(names, outside, rows, first, inverse)
        signatures = np.empty((different.size, shards[0].signatures.shape[1] if shards else 128), np.uint8)
        begin = 0
        for shard in shards:
            mine = np.flatnonzero((first >= begin) & (first < begin + shard.names.len()))
            signatures[mine] = shard.signatures[first[mine] - begin]
            begin += shard.names.len()
            shard.signatures = shard.signatures[:0]
        starts = np.cumsum(sizes) - sizes
        self._file.flush()
        return Texts(
            signatures=signatures,
            counts=counts[first],
            marks=marked[first],
            outside=np.zeros(0, bool) if not rows.size else np.isin(np.arange(different.size), inverse[outside[rows]]),
            names=named,
            copies=copies,
            starts=starts[first],
            sizes=sizes[first],
            file=self._file,
        )


def _joined(parts: Sequence[npt.NDArray[Any]], kind: Any) -> npt.NDArray[Any]:
    return np.concatenate([np.empty(0, kind), *parts])


def _named(
    names: pl.Series, outside: npt.NDArray[np.bool_], rows: Rows, first: Rows, inverse: Rows
) -> tuple[pl.Series, pl.DataFrame]:
    """Name each different text by a row outside where there is one, else by its least id, and give its copies."""
    many = np.bincount(inverse, minlength=first.size) > 1
    again = many[inverse]
    members = pl.DataFrame({"row": inverse[again], "id": names.gather(rows[again]), "outside": outside[rows][again]})
    standing = members.sort("row", pl.col("outside").not_(), "id").unique("row", keep="first", maintain_order=True)
    named = names.gather(first).scatter(standing["row"], standing["id"])
    copies = members.filter(~pl.col("outside")).join(standing.select("row", other="id"), on="row")
    return named, copies.filter(pl.col("id") != pl.col("other")).select("id", "other")
