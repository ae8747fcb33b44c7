"""gzip and zstd: their plain bytes, all that there are before a break, and which of them can't be trusted."""

import sys
import zlib
from collections.abc import Iterator
from typing import Any

from pipelines.files.streams import PIECE, ZSTD, BreakError, Notes, bound, foreign

ARROW_READS = 1 << 16  # what pyarrow asks of a file at a time
SKIPPED = tuple(bytes([0x50 + at]) + b"\x2a\x4d\x18" for at in range(16))  # begin a zstd frame that holds no data
CHECKED = {"incorrect data check": 4, "incorrect length check": 0}  # bytes of a gzip member behind what zlib refuses
CHANGED = "its rows may have been changed"


def gunzipped(pieces: Iterator[bytes], name: str, notes: Notes) -> Iterator[bytes]:
    """Decompress all members of a gzip stream; one whose checksum is wrong is noted, and those behind it are read."""
    engine, inside = zlib.decompressobj(wbits=31), True  # inside a member: an empty file is cut off too
    taken = given = begun = owed = 0
    for piece in pieces:
        taken += len(piece)
        left, owed = piece[owed:], max(0, owed - len(piece))
        while left := left if inside else left.lstrip(b"\0"):  # padding between and behind members is allowed
            inside, before = True, engine.copy()
            try:
                plain, left, why = engine.decompress(left, PIECE), engine.unconsumed_tail or engine.unused_data, ""
            except zlib.error as error:
                plain, left, why = _salvaged(before, left, str(error))
            given += len(plain)
            bound(name, taken, given)
            if plain:
                yield plain
            if why or engine.eof:
                owed = _behind(why, piece, notes, begun, given)
                left, owed = left[owed:], max(0, owed - len(left))
                engine, inside, begun = zlib.decompressobj(wbits=31), False, given
    if inside:
        raise BreakError("the gzip stream is cut off here")


def _salvaged(engine: Any, left: bytes, why: str) -> tuple[bytes, bytes, str]:
    """Decompress byte by byte up to where zlib gives up; gives what there was, what lies behind, and why."""
    plain: list[bytes] = []
    for at in range(len(left)):
        try:
            plain.append(engine.decompress(left[at : at + 1]))
        except zlib.error as error:
            return b"".join(plain), left[at + 1 :], str(error)
    return b"".join(plain), b"", why


def _behind(why: str, piece: bytes, notes: Notes, begun: int, given: int) -> int:
    """Note what is wrong with a member, if anything; gives how many of its bytes are left, or raises `BreakError`."""
    for check, owed in CHECKED.items():
        if why.endswith(check):
            notes.doubt(begun, given, f"the checksum of this gzip member is wrong: {CHANGED}")
            return owed
    if why and given > begun:
        notes.doubt(begun, given, f"this gzip member is broken further on: {CHANGED}")
        raise BreakError(f"the gzip stream is broken here: {why}")
    if why:
        raise BreakError("what follows the gzip data is none" if given else _not(piece, "gzip"))
    return 0


def unzstd(pieces: Iterator[bytes], name: str, notes: Notes) -> Iterator[bytes]:
    """Decompress all frames of a zstd stream; one whose checksum is wrong is noted, and those behind it are read."""
    source, given, frames = _Source(pieces), 0, 0
    while head := source.take(len(ZSTD)):
        if head in SKIPPED:
            source.skip(int.from_bytes(source.take(4), "little"))
            continue
        if head != ZSTD:
            raise BreakError("what follows the zstd data is none" if given else _not(source.left, "zstd"))
        begun, frame = given, _Frame(source)
        frames += 1
        for plain in _plain(frame, notes, frames):
            given += len(plain)
            bound(name, source.taken, given)
            yield plain
        if frame.broken and "checksum" in frame.broken:
            notes.doubt(begun, given, f"the checksum of this zstd frame is wrong: {CHANGED}")
        elif frame.broken:
            notes.doubt(begun, given, f"this zstd frame is broken further on: {CHANGED}")
            raise BreakError(f"the zstd stream is broken here: {frame.broken}")
        elif frame.cut is not None:
            raise BreakError(f"the zstd stream is cut off here{frame.cut}")
    if not source.taken:
        raise BreakError("the zstd stream is cut off here")


class _Source:
    """Pieces as bytes that are taken by their number."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces, self.left, self.at, self.taken = pieces, b"", 0, 0

    def take(self, size: int) -> bytes:
        """Give the next `size` bytes, fewer at the end."""
        found = self.left[self.at : self.at + size]
        self.at += len(found)
        while len(found) < size and (piece := next(self.pieces, None)) is not None:
            more = piece[: size - len(found)]
            self.left, self.at, found = piece, len(more), found + more
        self.taken += len(found)
        return found

    def skip(self, size: int) -> None:
        """Go over the next `size` bytes."""
        while size > 0 and (found := self.take(min(size, PIECE))):
            size -= len(found)


class _Frame:
    """A zstd frame as a file that pyarrow reads, a block at a time, so that a broken one costs no other.

    The form is that of RFC 8878, 3.1.1: a header, blocks that tell their size and which is the last, a checksum.
    """

    closed = False

    def __init__(self, source: _Source) -> None:
        self.source, self.parts = source, self._parts()
        self.part = b""
        self.broken = ""  # why it can't be read on
        self.cut: str | None = None  # why it ends before its time, in further words if there are any

    def read(self, size: int = -1) -> bytes:
        """Give some of the next part, never more than asked."""
        if not self.part:
            try:
                self.part = next(self.parts, b"")
            except BreakError as error:  # of the archive that holds it
                self.cut = f": {error}"
        found, self.part = self.part[:size], self.part[size:]
        return found

    def close(self) -> None:
        """Close nothing: the parts end by themselves."""

    def _parts(self) -> Iterator[bytes]:
        told = self._take(1)
        flags = told[0] if told else 0
        single, content, dictionary = flags >> 5 & 1, flags >> 6, flags & 3
        yield ZSTD + told + self._take((1 - single) + (0, 1, 2, 4)[dictionary] + (single, 2, 4, 8)[content])
        last = False
        while not last and self.cut is None:
            head = self._take(3)
            number = int.from_bytes(head, "little")
            last, size = bool(number & 1), number >> 3
            yield head + self._take(1 if number >> 1 & 3 == 1 else size)  # 1: one byte so many times
        if flags >> 2 & 1 and self.cut is None:
            yield self._take(4)

    def _take(self, size: int) -> bytes:
        found = self.source.take(size)
        if len(found) < size:
            self.cut = ""
        return found


def _plain(frame: _Frame, notes: Notes, number: int) -> Iterator[bytes]:
    """Give a frame's plain bytes up to where it breaks, byte by byte where an earlier reading broke.

    pyarrow gives nothing of the read in which a frame breaks.
    """
    import pyarrow as pa

    given = 0
    with pa.CompressedInputStream(pa.PythonFile(frame, mode="r"), "zstd") as content:
        while True:
            near = given >= notes.breaks.get(number, sys.maxsize)
            try:
                plain = content.read(1 if near else PIECE)
            except OSError as error:
                if not near:
                    notes.breaks[number] = given
                frame.broken = "" if frame.cut is not None else str(error)
                return
            if not plain:
                return
            given += len(plain)
            yield plain


def _not(head: bytes, kind: str) -> str:
    return foreign(head) or f"this is no {kind} data, though its name says so; it begins with {head[:20]!r}"
