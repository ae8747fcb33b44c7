"""Files to pieces of bytes: decompressed, as UTF-8, whatever is there before a break."""

import codecs
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from schemas.errors import InputError

PIECE = 1 << 18  # bytes; larger ones leave the processor's cache
UTF32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)  # the first begins as that of UTF-16
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
ZSTD = b"\x28\xb5\x2f\xfd"
ZEROS: dict[tuple[bool, ...], str] = {
    (False, True) * 4: "UTF-16LE",
    (True, False) * 4: "UTF-16BE",
    (False, True, True, True) * 2: "UTF-32LE",
    (True, True, True, False) * 2: "UTF-32BE",
}
MARKS = {
    b"version https://git-lfs": "this is a Git LFS pointer, not the file it stands for; run `git lfs pull`",
    b"\x1f\x8b": "this is gzip data; its name must end in .gz",
    ZSTD: "this is zstd data; its name must end in .zst",
    b"PK\x03\x04": "this is a zip archive; its name must end in .zip",
    b"PAR1": "this is a Parquet file; its name must end in .parquet",
    b"ARROW1": "this is an Arrow file; its name must end in .arrow",
}


RATIO = 100  # bytes that a compressed byte may become
FREE = 64 << 20  # bytes to which the ratio doesn't apply


class BombError(InputError):
    """Data that grows beyond measure when it is decompressed."""


def bound(name: str, compressed: int, plain: int, ratio: int = RATIO) -> None:
    """Raise `BombError` when `plain` bytes from `compressed` are above 64 MiB and above `ratio` a byte."""
    if plain > FREE and plain > ratio * compressed:
        raise BombError(
            f"{name}: {compressed:,} bytes become {plain:,} or more: above {ratio:,} a byte and {FREE:,} in all this "
            "is taken for a decompression bomb; decompress it yourself if it is meant to be read"
        )


class BreakError(Exception):
    """A stream that can't be read to its end, and why; what came before it is good."""


@dataclass
class Notes:
    """What is known of a stream before its first piece is given.

    `doubts` are the bytes from and up to which what it gives may have been changed, and why. `breaks` are the bytes
    of zstd frames, by their number, from which on they have to be read with care. `converted` tells that its bytes are
    not those of the file.
    """

    doubts: list[tuple[int, int, str]] = field(default_factory=list)
    breaks: dict[int, int] = field(default_factory=dict)
    converted: bool = False

    def doubt(self, start: int, stop: int, why: str) -> None:
        """Note that some bytes can't be trusted; what is noted twice counts once."""
        if (start, stop, why) not in self.doubts:
            self.doubts.append((start, stop, why))


def stream(file: Path, member: str | None, compression: str | None, notes: Notes | None = None) -> Iterator[bytes]:
    """Give a file's bytes in pieces, decompressed; UTF-16 (with its mark) becomes UTF-8.

    What is compressed is gone through twice, as a checksum is known at its end only: `notes` tell what can't be trusted
    before the first piece is given.

    Raises `BreakError` after the last readable byte where the stream is cut off or broken, `InputError` for a bomb.
    """
    notes = Notes() if notes is None else notes
    if member or compression:
        _go_through(file, member, compression, notes)
    if notes.breaks:
        notes.doubts.clear()  # how far they reach is known now
        _go_through(file, member, compression, notes)
    yield from _as_utf8(_unpacked(file, member, compression, notes), notes)


def _go_through(file: Path, member: str | None, compression: str | None, notes: Notes) -> None:
    with contextlib.suppress(BreakError):  # it is raised again, behind what comes before it
        for _piece in _unpacked(file, member, compression, notes):
            pass


def _unpacked(file: Path, member: str | None, compression: str | None, notes: Notes) -> Iterator[bytes]:
    from pipelines.files import archives, packed

    name = f"{file}::{member}" if member else str(file)
    pieces = archives.stream(file, member, PIECE, notes) if member else _plain(file)
    if compression == ".gz":
        return packed.gunzipped(pieces, name, notes)
    return packed.unzstd(pieces, name, notes) if compression == ".zst" else pieces


def _plain(file: Path) -> Iterator[bytes]:
    with file.open("rb", buffering=0) as content:
        while piece := content.read(PIECE):
            yield piece


def foreign(head: bytes) -> str | None:
    """Tell what a file that should hold text is instead, by its first bytes; null where it may well be text."""
    for mark, what in MARKS.items():
        if head.startswith(mark):
            return what
    if head.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
        return "this is an HTML page: the server said something else than the file; download it again"
    encoding = _encoding(head)
    return f"this is {encoding} text; convert it: iconv -f {encoding} -t UTF-8" if encoding else None


def _encoding(head: bytes) -> str | None:
    """Name an encoding of two or four bytes a letter that is not read, by the zeros among the first eight bytes."""
    if head.startswith(UTF32):
        return "UTF-32"
    return ZEROS.get(tuple(not byte for byte in head[:8]))


def _as_utf8(pieces: Iterator[bytes], notes: Notes) -> Iterator[bytes]:
    first = next(pieces, b"")
    if not first.startswith(UTF16) or first.startswith(UTF32):
        yield first
        yield from pieces
        return
    notes.converted = True
    decoder = codecs.getincrementaldecoder("utf-16")(errors="surrogatepass")
    yield decoder.decode(first).encode("utf-8", "surrogatepass")
    for piece in pieces:
        yield decoder.decode(piece).encode("utf-8", "surrogatepass")
    if decoder.getstate()[0]:
        raise BreakError("the UTF-16 text ends in the middle of a character")
