"""Ids of samples, by what they say; of any number of them in bounded memory."""

import mmap
import tempfile
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, NamedTuple

from xxhash import xxh3_128_digest

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

IN_MEMORY = 125_000  # hashes, of about 100 bytes each with what holds them
MERGED = 4  # runs that become one
BITS = 28  # 2**28 bits of the filter are 32 MiB; of 10 million hashes 1 in 200 others passes it


class Names:
    """Ids of samples: the hash of what one says, and for one that says what another said, of how many did before it.

    128 bits of XXH3: it is quick, and that any two of 10**9 different samples meet by chance has probability 1.5e-21.
    Ids in a dataset differ even if somebody makes two rows meet on purpose: the second counts as a repetition. In
    memory are up to `IN_MEMORY` hashes and a batch; the others lie in a temporary file until the object is gone.
    """

    def __init__(self, in_memory: int = IN_MEMORY) -> None:
        self.in_memory = in_memory
        self.seen: dict[bytes, int] = {}  # by hash, how often it was said again
        self.stored: _Stored | None = None

    def __call__(self, said: Iterable[bytes]) -> list[str]:
        """Give an id for each, 32 hexadecimal digits."""
        digests = list(map(xxh3_128_digest, said))
        fresh = dict.fromkeys(digests, 0)
        self._recall(fresh)
        if len(fresh) == len(digests) and self.seen.keys().isdisjoint(fresh):
            self.seen |= fresh
            names = digests
        else:
            names = [self._one(digest) for digest in digests]
        if len(self.seen) > self.in_memory:
            self.stored = self.stored or _Stored()
            self.stored.add(self.seen)
            self.seen = {}
            self.stored.tidy()
        return list(map(bytes.hex, names))

    def _one(self, digest: bytes) -> bytes:
        name = digest
        while name in self.seen:
            self.seen[digest] += 1
            name = xxh3_128_digest(digest + self.seen[digest].to_bytes(8, "little"))
            self._recall([name])
        self.seen[name] = 0
        return name

    def _recall(self, digests: Collection[bytes]) -> None:
        """Bring into memory what the file holds of these hashes."""
        if self.stored and digests:
            found = self.stored.find([digest for digest in digests if digest not in self.seen])
            self.seen |= found


class _Run(NamedTuple):
    """Hashes in order of their first halves, in a temporary file: these, the second halves, and the numbers."""

    mapped: mmap.mmap
    first: "npt.NDArray[np.uint64]"
    second: "npt.NDArray[np.uint64]"
    again: "npt.NDArray[np.uint64]"


class _Stored:
    """Hashes and their numbers in temporary files, of which the newest holds, behind a Bloom filter.

    The filter spares nearly all hashes that are new the search. In one table of SQLite's they cost as much as all else
    of ingest does: each falls on another page.
    """

    def __init__(self) -> None:
        import numpy as np

        self.bits = np.zeros(2**BITS // 8, np.uint8)
        self.large: list[_Run] = []  # the oldest first, in both
        self.small: list[_Run] = []

    def add(self, hashes: dict[bytes, int]) -> None:
        """Add hashes with their numbers, which stand in the place of earlier ones."""
        import numpy as np

        words = _words(list(hashes))
        at = _places(words)
        np.bitwise_or.at(self.bits, at >> 3, np.uint8(1) << (at & 7).astype(np.uint8))
        order = np.argsort(words[:, 0])
        again = np.fromiter(hashes.values(), np.uint64, len(hashes))
        self.small.append(_written(words[order, 0], words[order, 1], again[order]))

    def tidy(self) -> None:
        """Make one run of as many as are merged at once; what was read of others leaves this process's memory."""
        if len(self.small) >= MERGED:
            self.large.append(_merged(self.small))
            self.small = []
        for run in (*self.small, *self.large):
            run.mapped.madvise(mmap.MADV_DONTNEED)

    def find(self, hashes: list[bytes]) -> dict[bytes, int]:
        """Give those of the hashes that are there, with their numbers."""
        import numpy as np

        words = _words(hashes)
        at = _places(words)
        passed = ((self.bits[at >> 3] >> (at & 7).astype(np.uint8)) & 1).all(axis=1)
        left = set(np.flatnonzero(passed).tolist())
        found: dict[int, int] = {}
        for run in (*reversed(self.small), *reversed(self.large)):
            if left:
                found |= _found(run, words, np.array(sorted(left)))
                left -= found.keys()
        return {hashes[one]: again for one, again in found.items()}


def _words(hashes: list[bytes]) -> "npt.NDArray[np.uint64]":
    """Give hashes as their two halves, shape (hashes, 2)."""
    import numpy as np

    return np.frombuffer(b"".join(hashes), "<u8").reshape(-1, 2)


def _places(words: "npt.NDArray[np.uint64]") -> "npt.NDArray[np.uint64]":
    """Give the filter's two bits of each hash, shape (hashes, 2)."""
    import numpy as np

    return words >> np.uint64(64 - BITS)


def _found(run: _Run, words: "npt.NDArray[np.uint64]", asked: "npt.NDArray[np.int64]") -> dict[int, int]:
    """Give the numbers of those hashes that a run holds, of the `asked` ones, by index."""
    import numpy as np

    found: dict[int, int] = {}
    place = np.searchsorted(run.first, words[asked, 0])
    while len(asked):  # again only for hashes that share their first half with another
        near = place < len(run.first)
        place, asked = place[near], asked[near]
        near = run.first[place] == words[asked, 0]
        place, asked = place[near], asked[near]
        same = run.second[place] == words[asked, 1]
        found.update(zip(asked[same].tolist(), run.again[place[same]].tolist(), strict=True))
        place, asked = place[~same] + 1, asked[~same]
    return found


def _written(*columns: "npt.NDArray[np.uint64]") -> _Run:
    """Put a run into a temporary file, which is gone with it."""
    import numpy as np

    with tempfile.TemporaryFile() as file:
        for column in columns:
            column.tofile(file)
        file.flush()
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return _Run(mapped, *np.frombuffer(mapped, np.uint64).reshape(len(columns), -1))


def _merged(runs: list[_Run]) -> _Run:
    """Make one run of several; of what more than one holds the newest stays."""
    import numpy as np

    _mapped, *columns = zip(*reversed(runs), strict=True)
    first, second, again = map(np.concatenate, columns)
    order = np.lexsort((second, first))  # the newest first, of the same
    first, second = first[order], second[order]
    stays = np.append(True, (first[1:] != first[:-1]) | (second[1:] != second[:-1]))
    return _written(first[stays], second[stays], again[order[stays]])
