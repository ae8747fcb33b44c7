"""Where a JSON row that can't be read ends: at its last bracket, or before the next row.

Both are sought in one pass. The brackets of a row whose quotes are whole close where it ends, and the next element, or
the end of the array, follows. Where a quote or a bracket is missing the next row is the next object behind a seam:
`},{` with any blanks, or a comma that ends a line, which is in no text. It is one that is whole and has the columns of
other rows, or any columns where what follows shows that it lies in the document's own array. Behind another comma or
line break, where a brace is missing, only an object with the columns of other rows is taken.

What remains ambiguous: a text inside a broken row that itself holds a seam and, behind it, a whole object with the
columns of a row is taken for the next row.
"""

import re
from collections.abc import Callable

from pipelines.files.windows import Text, decoded

Columns = frozenset[str]

MARGIN = 1 << 12  # characters behind a bracket or a seam that are there to be looked at
RUN = 1_000  # objects of unknown columns that are looked at
BLANK = r"[ \t\r\n]*+"
CONFLICT = r"(?:<{7}|={7}|>{7}|\|{7})"
MARKED = rf"{CONFLICT}[^\n]*\n{BLANK}[{{<=>|\]]"  # a mark between rows, not inside of one
MARK = re.compile(r'["\[\]{}]')
QUOTED = re.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
SEAM = re.compile(rf'(\}}{BLANK},|,){BLANK}(?=\{{{BLANK}")|\n[ \t]*+(?=\{{{BLANK}"|{MARKED})')
FOLLOWED = re.compile(rf"{BLANK}(?:,{BLANK}(?:[\[{{\]]|\Z)|[\]{{]|\Z|{CONFLICT})")
BEHIND = re.compile(rf"{BLANK}(?:,({BLANK})(?=\{{))?")
INNER = re.compile(rf'{BLANK}\]{BLANK}(?:[}}\]]|,{BLANK}")')  # the end of an array in a row
OWN = re.compile(rf'{BLANK}\]{BLANK}(?:\}}{BLANK}\Z|,{BLANK}")')  # the end of the rows of a document that is an object


class Scan:
    """A search for the end of what is no row: `at` characters of the text are gone through."""

    def __init__(self, text: Text, limit: int, *, inside: bool) -> None:
        self.text, self.limit, self.inside = text, limit, inside
        self.at = self.depth = 0
        self.seen = 1  # characters before which no row is sought
        self.quoted = False

    def end(self, keys: set[Columns], inner: Callable[[], set[Columns]]) -> int | None:
        """Find where it ends in the window; null where that needs more text.

        `keys` are the columns of rows so far, `inner` those of objects inside of rows.
        """
        text = self.text
        if len(text.window) - text.at - self.at < MARGIN:
            text.fill(len(text.window) - text.at + MARGIN)
        while True:
            stop = len(text.window) if text.ended else max(text.at, len(text.window) - MARGIN)
            seam = SEAM.search(text.window, text.at + self.seen, stop)
            closed = self._closed(min(stop, seam.end() if seam else stop))
            if closed is not None or seam is None:
                self.seen = max(self.seen, self.at)
                return closed
            before = seam.start() + (seam.group().startswith("}"))
            ahead = seam.end() - text.at
            self.seen = max(self.seen, ahead)
            if text.window[seam.end()] != "{":
                return self._without_blanks(before)
            ends = seam.group()[0] == "}" or (seam.group()[0] == "," and "\n" in seam.group())
            strict = ends or (not self.depth and not self.quoted)
            length = before - text.at
            if self._is_row(ahead, keys, inner, strict=strict):
                return self._without_blanks(text.at + length)

    def taken(self, length: int) -> None:
        """Go on behind so many characters."""
        self.at, self.seen = max(0, self.at - length), max(0, self.seen - length)

    def _without_blanks(self, end: int) -> int:
        while end > self.text.at + 1 and self.text.window[end - 1] in " \t\r\n,":
            end -= 1
        return end

    def _closed(self, stop: int) -> int | None:
        """Go through the brackets up to `stop`; gives where all are closed and the next element follows."""
        window, at = self.text.window, self.text.at + self.at
        found = None
        while at < stop and found is None:
            if self.quoted:
                at = QUOTED.match(window, at).end()  # type: ignore[union-attr] # matches anything
                self.quoted = window[at : at + 1] != '"'
                if self.quoted:  # the window ends, perhaps behind a backslash
                    break
                at += 1
                continue
            mark = MARK.search(window, at, stop)
            at = mark.end() if mark else stop
            if mark and mark.group() == '"':
                self.quoted = True
            elif mark and mark.group() in "[{":
                self.depth += 1
            elif mark:
                self.depth = max(0, self.depth - 1)
                found = at if not self.depth and FOLLOWED.match(window, at) else None
        self.at = at - self.text.at
        return found

    def _is_row(self, ahead: int, keys: set[Columns], inner: Callable[[], set[Columns]], *, strict: bool) -> bool:
        """Tell whether a row begins so many characters ahead."""
        text = self.text
        here = decoded(text.window, text.at + ahead)
        while here.cut and len(text.window) - text.at - ahead <= self.limit:
            if not text.fill(2 * (len(text.window) - text.at)):
                break
            here = decoded(text.window, text.at + ahead)
        if here.columns is None:
            return False
        if here.columns in keys:
            return FOLLOWED.match(text.window, here.end) is not None or (strict and text.window[here.end] in ",\n")
        if not strict or not FOLLOWED.match(text.window, here.end):
            return False
        return (not self.depth and not self.quoted) or self._stands(ahead, keys, inner())

    def _stands(self, ahead: int, keys: set[Columns], inner: set[Columns]) -> bool:
        """Tell whether objects of unknown columns lie in the document's own array, by what stands behind them."""
        window, at = self.text.window, self.text.at + ahead
        for _object in range(RUN):
            here = decoded(window, at)
            if here.columns is None or here.columns in keys:
                return True  # the next row is broken, or a row as others
            self.seen = max(self.seen, here.end - self.text.at)
            if here.columns in inner:
                return False
            behind = BEHIND.match(window, here.end)
            if not behind or behind.group(1) is None:
                own = OWN.match(window, here.end) if self.inside else not INNER.match(window, here.end)
                return bool(own) and FOLLOWED.match(window, here.end) is not None
            at = behind.end()
        return True
