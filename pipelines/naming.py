"""Ids of samples, by what they say; of any number of them in bounded memory."""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from xxhash import xxh3_128_digest

if TYPE_CHECKING:
    import sqlite3

IN_MEMORY = 250_000  # hashes, of about 100 bytes each with what holds them
AT_ONCE = 500  # hashes looked up by one query; SQLite allows 999 parameters at its smallest


class Names:
    """Ids of samples: the hash of what one says, and for one that says what another said, of how many did before it.

    128 bits of XXH3: it is quick, and that any two of 10**9 different samples meet by chance has probability 1.5e-21.
    Ids in a dataset differ even if somebody makes two rows meet on purpose: the second counts as a repetition. In
    memory are up to `IN_MEMORY` hashes and a batch; the others lie in a temporary file until the object is gone.
    """

    def __init__(self, in_memory: int = IN_MEMORY) -> None:
        self.in_memory = in_memory
        self.seen: dict[bytes, int] = {}  # by hash, how often it was said again
        self.stored: sqlite3.Connection | None = None

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
            self._store()
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
        if self.stored is None:
            return
        asked = [digest for digest in digests if digest not in self.seen]
        for start in range(0, len(asked), AT_ONCE):
            some = asked[start : start + AT_ONCE]
            marks = ", ".join("?" * len(some))
            query = f"SELECT digest, again FROM seen WHERE digest IN ({marks})"  # noqa: S608 - marks alone
            self.seen.update(self.stored.execute(query, some))

    def _store(self) -> None:
        if self.stored is None:
            import sqlite3

            self.stored = sqlite3.connect("")  # SQLite's own temporary file
            self.stored.execute("PRAGMA journal_mode=OFF")
            self.stored.execute("PRAGMA cache_size=-16384")  # KiB
            self.stored.execute("CREATE TABLE seen (digest BLOB PRIMARY KEY, again INTEGER) WITHOUT ROWID")
        self.stored.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?)", sorted(self.seen.items()))
        self.stored.commit()
        self.seen = {}
