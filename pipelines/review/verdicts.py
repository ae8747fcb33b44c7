"""What people said in a review: a file of lines that is only added to, each on the disk before the page says saved."""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

import orjson

from pipelines.store import sync, write_bytes
from schemas.chats import content_id
from schemas.errors import InputError

DECKS = {  # what is read, and what can be said of it
    "pairs": ("a", "b", "tie", "both_bad", "skip"),
    "replies": ("pass", "fail", "skip"),
    "dropped": ("keep", "drop", "skip"),
}
SKIP = "skip"
PRIVATE = 0o600
LONGEST_NAME = 60
LONGEST_NOTE = 4_000


class Said(TypedDict):
    """What a person said of one thing. A null `verdict` takes back what the person said of it before."""

    deck: str
    ids: list[str]  # of a pair: both candidates' ids in order, and the verdict `a` is for the first of them
    sample_id: str
    person: str
    verdict: str | None
    note: str
    first: str | None  # the id of the reply that was shown first
    at: str  # UTC
    run: str  # the version that was read
    order: (
        str  # in which it was given: by what tells most ("telling"), drawn ("drawn"), or taken in from a file ("file")
    )


Place = tuple[str, str, str]  # deck, key and person


def key_of(ids: list[str]) -> str:
    """Name a thing by its ids."""
    return ".".join(ids)


def place_of(said: Said) -> Place:
    """Give what tells one statement from another: a later one at the same place replaces it."""
    return said["deck"], key_of(said["ids"]), said["person"]


def file_of(run: Path) -> Path:
    """Give the file of a recipe's verdicts beside its runs: ids are of content, so a later run's rows are the same."""
    return run.resolve().parent / "review" / "verdicts.jsonl"


class VerdictFile:
    """The verdicts of all people, read as far as the file goes; other servers may add to it at the same time."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.current: dict[Place, Said] = {}
        self.history: list[Said] = []
        self._read_to = 0
        self._line = 0
        self._lock = threading.RLock()

    def add(self, *said: Said) -> None:
        """Add statements: they are on the disk when this returns."""
        with self._lock, self._opened() as file:
            whole = _whole(file)
            if whole < os.fstat(file).st_size:  # a killed process left part of a line, which it never called saved
                os.ftruncate(file, whole)
            os.lseek(file, 0, os.SEEK_END)
            lines = b"".join(orjson.dumps(one, option=orjson.OPT_APPEND_NEWLINE) for one in said)
            while lines:
                lines = lines[os.write(file, lines) :]
            os.fsync(file)
            self.refresh()

    def forget(self, ids: frozenset[str]) -> None:
        """Take out what was said of these samples and candidates, notes included; no page may be served meanwhile."""
        with self._lock:
            self.refresh()
            kept = [one for one in self.history if ids.isdisjoint([one["sample_id"], *one["ids"]])]
            if len(kept) < len(self.history):
                write_bytes(self.file, b"".join(orjson.dumps(one, option=orjson.OPT_APPEND_NEWLINE) for one in kept))
                self.file.chmod(PRIVATE)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        fresh = not self.file.exists()
        self.file.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self.file, os.O_RDWR | os.O_CREAT, PRIVATE)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            if fresh:
                sync(self.file.parent)
                sync(self.file.parent.parent)
            yield file
        finally:
            os.close(file)

    def refresh(self) -> None:
        """Read what was added since. Raises `InputError` naming a line that is no verdict."""
        with self._lock:
            if not self.file.exists():
                return
            with self.file.open("rb") as file:
                file.seek(self._read_to)
                added = file.read()
            lines = added[: added.rfind(b"\n") + 1]  # what has no end yet is not said yet
            for line in lines.splitlines():
                self._line += 1
                said = _read(line, f"{self.file}, line {self._line}")
                self.history.append(said)
                self.current[place_of(said)] = said
            self._read_to += len(lines)

    def said(self, deck: str) -> list[Said]:
        """Give what holds of a deck, what was taken back left out, in order of things and people."""
        with self._lock:
            found = [one for one in self.current.values() if one["deck"] == deck and one["verdict"] is not None]
            return sorted(found, key=place_of)

    def last_of(self, person: str) -> Said | None:
        """Give what a person said last and did not take back."""
        with self._lock:
            own = (one for one in reversed(self.history) if one["person"] == person)
            return next((one for one in own if one["verdict"] and self.current[place_of(one)] is one), None)

    def digest(self, *decks: str) -> str:
        """Name what holds: the same statements, made in whatever order and whenever, have the same name."""
        told = [[one["deck"], one["ids"], one["person"], one["verdict"]] for deck in decks for one in self.said(deck)]
        return content_id(*told)


def read_verdicts(file: Path) -> VerdictFile:
    """Read a file of verdicts; raises `InputError` where there is none."""
    if not file.is_file():
        raise InputError(f"{file}: no such file; ./mill review NAME makes it when the first verdict is given")
    verdicts = VerdictFile(file)
    verdicts.refresh()
    return verdicts


def now() -> str:
    """Give the time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _read(line: bytes, where: str) -> Said:
    try:
        said: Said = orjson.loads(line)
        wrong = set(Said.__annotations__) ^ set(said)
    except (orjson.JSONDecodeError, TypeError) as error:
        raise InputError(f"{where}: this is no verdict: {error}") from error
    if wrong or said["verdict"] not in {None, *DECKS.get(said["deck"], ())}:
        raise InputError(f"{where}: this is no verdict: {line[:200].decode(errors='backslashreplace')}")
    return said


def _whole(file: int) -> int:
    """Give where the last whole line ends."""
    size = os.fstat(file).st_size
    start = size
    while start:
        step = min(start, 1 << 16)
        start -= step
        found = os.pread(file, step, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
    return 0
