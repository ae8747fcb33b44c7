"""A JSON document's text, a window at a time, and the values in it."""

import re
from collections.abc import Iterator
from json import JSONDecodeError, JSONDecoder
from typing import NamedTuple

from pipelines.files.streams import BreakError

NEAR = 16  # characters before the window's end where an error may come from the cut
SHORT = 1 << 12  # characters in which a value is looked for first
BRACKET = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}]', re.DOTALL)
DECODER = JSONDecoder(parse_int=float)  # which takes any number of digits; the value isn't used


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
    """Read the JSON value that begins at `at`.

    It is looked for in a short text first: an error counts the lines of all that was handed in.
    """
    size = SHORT
    while True:
        part = window[at : at + size]
        whole = at + size >= len(window)
        try:
            value, end = DECODER.raw_decode(part)
        except JSONDecodeError as error:
            cut = error.msg.startswith("Unterminated") or error.pos >= len(part) - NEAR
            if whole or not cut:
                why = f"this is no JSON: {error.msg}, {error.pos} characters behind the row's beginning"
                return Decoded(0, None, why, cut)
        except RecursionError:
            end = _balanced(window, at)
            return Decoded(end, None, "this row is nested too deeply", cut=not end)
        else:
            if whole or end < len(part):
                return Decoded(at + end, frozenset(value) if isinstance(value, dict) else None)
        size *= 8


def _balanced(window: str, at: int) -> int:
    """Give where the brackets that open at `at` are all closed; 0 when they never are."""
    depth = 0
    for found in BRACKET.finditer(window, at):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(found.group(), 0)
        if not depth:
            return found.end()
    return 0
