"""A JSON document's text, a window at a time, and the values in it."""

import re
from collections.abc import Iterator
from json import JSONDecodeError, JSONDecoder
from typing import NamedTuple

from pipelines.files.streams import BreakError

NEAR = 16  # characters before the window's end where an error may come from the cut
BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')
DECODER = JSONDecoder()


class Text:
    """The document's text from the next element on: `at` in the window, `offset` in the file."""

    def __init__(self, pieces: Iterator[bytes], offset: int) -> None:
        self.pieces, self.offset = pieces, offset
        self.window, self.at = "", 0
        self.broken: str | None = None
        self.ended = False

    def fill(self, wanted: int) -> bool:
        """Read on until `wanted` characters are there or the file ends; tells whether anything came."""
        got: list[bytes] = []
        need = wanted - (len(self.window) - self.at)
        while need > 0 and not self.ended:
            try:
                piece = next(self.pieces, None)
            except BreakError as error:
                self.broken, piece = str(error), None
            self.ended = piece is None
            got.append(piece or b"")
            need -= len(got[-1])
        if got:
            left = as_bytes(self.window[self.at :]) + b"".join(got)  # anew, as a character may have been cut in two
            self.window, self.at = left.decode("utf-8", "surrogateescape"), 0
        return any(got)

    def take(self, end: int) -> str:
        """Give the window's text up to `end` and go on behind it."""
        text = self.window[self.at : end]
        self.offset += len(text) if text.isascii() else len(as_bytes(text))
        self.at = end
        return text


def as_bytes(text: str) -> bytes:
    """Give the bytes that a window's text was read from."""
    return text.encode("utf-8", "surrogateescape")


class Decoded(NamedTuple):
    """A JSON value: where it ends and, of an object, its columns; or (`end` is 0) why there is none.

    `cut` tells whether the window's end may be the reason.
    """

    end: int
    columns: frozenset[str] | None = None
    why: str = ""
    cut: bool = False


def decoded(window: str, at: int) -> Decoded:
    """Read the JSON value that begins at `at`."""
    try:
        value, end = DECODER.raw_decode(window, at)
    except JSONDecodeError as error:
        cut = error.msg.startswith("Unterminated") or error.pos >= len(window) - NEAR
        return Decoded(0, None, f"this is no JSON: {error.msg} {error.pos - at} characters on", cut)
    except RecursionError:
        return Decoded(_balanced(window, at), None, "this row is nested too deeply")
    return Decoded(end, frozenset(value) if isinstance(value, dict) else None)


def _balanced(window: str, at: int) -> int:
    """Give where the brackets that open at `at` are all closed; 0 when they never are."""
    depth = 0
    for found in BRACKET.finditer(window, at):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(found.group(), 0)
        if not depth:
            return found.end()
    return 0
