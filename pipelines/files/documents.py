"""JSON documents: the elements of an array (or objects one after the other), a window at a time, whatever breaks them.

A window's whole elements are read in one go where that works. Where it doesn't they are read one by one, and what is
none is one bad row up to its end, which `seams` finds. So a truncated file, a broken row and a merge conflict cost no
good row.
"""

import re
from collections.abc import Iterator
from functools import cache

import orjson

from pipelines.files.rows import CONFLICTING, Bad, Batch, Garbage, Gathering, Located, Row, bad, parsed, too_long
from pipelines.files.seams import Scan
from pipelines.files.windows import DECODER, Text, as_bytes, decoded

WINDOW = 1 << 20  # characters
BETWEEN = re.compile(r"[ \t\r\n,]*")
NOTHING = re.compile(r"[ \t\r\n]*\Z")
CONFLICT = re.compile(r"(?:<{7}|={7}|>{7}|\|{7})[^\n]*")


def read(pieces: Iterator[bytes], limit: int, offset: int = 0, field: str | None = None) -> Iterator[Batch]:
    """Give the document's elements in batches; one of more than `limit` bytes is a bad row and never held whole.

    With `field` the elements are those of the array that the document, an object, has by this name; what else it has
    is not read.
    """
    text, rows = Text(pieces, offset), Gathering()
    reader = _Reader(text, limit)
    if field is not None and (why := reader.enter(field)):
        yield from rows.add(bad(text.broken or why, as_bytes(text.window[text.at :])), text.offset)
        yield from rows.rest()
        return
    while reader.next_element():
        whole = reader.whole_elements()
        if whole is None:
            yield from rows.add(*reader.element())
            continue
        yield from rows.rest()
        values, start, source = whole
        yield Batch(values, rows.row, _spans(source, start), len(source), broken=False)
        rows.row += len(values)
    if text.broken or reader.depth:
        why = text.broken or "the file is cut off: the array's closing ] is missing"
        yield from rows.add(bad(why, b""), text.offset, b"")
    yield from rows.rest()


class _Reader:
    def __init__(self, text: Text, limit: int) -> None:
        self.text, self.limit = text, limit
        self.depth = 0  # 1 inside the array
        self.keys: set[frozenset[str]] = set()  # the columns of rows so far
        self.last: Row = {}
        self.seam: str | None = None  # from one element's closing brace to the next one's first key
        self.singly_until = 0  # the offset up to which some element is bad
        self.closed: int | None = None  # where the last element ended, if it did in this window
        self.inside = False  # an object, whose array is all that is read

    def enter(self, field: str) -> str | None:
        """Go to the array that the document's object has by the name `field`; gives what is wrong where it has none."""
        self.inside = True
        names: list[str] = []
        if self._peek() == "{":
            self.text.take(self.text.at + 1)
            while self._peek() == '"' and (name := self._value()) and self._peek() == ":":
                names.append(DECODER.decode(name))
                self.text.take(self.text.at + 1)
                if self._peek() == "[" and names[-1] == field:
                    return None
                if not self._value():
                    break
        told = f"; it has {', '.join(map(repr, names))}" if names else ""
        return f"this document is no object with an array {field!r}{told}"

    def _value(self) -> str:
        """Go over the JSON value that begins here and give it; empty where there is none, or none within the limit."""
        text, wanted = self.text, WINDOW
        while True:
            found = decoded(text.window, text.at)
            if found.end and (found.end < len(text.window) or text.ended):
                return text.take(found.end)
            if not (found.end or found.cut) or wanted > self.limit or not self._fill(wanted := 2 * wanted):
                return text.take(found.end) if found.end else ""

    def _peek(self) -> str:
        """Go over what stands between elements and give the next character; empty at the end."""
        text = self.text
        while True:
            text.take(BETWEEN.match(text.window, text.at).end())  # type: ignore[union-attr] # matches anything
            if text.at < len(text.window):
                return text.window[text.at]
            if not self._fill(WINDOW):
                return ""

    def next_element(self) -> bool:
        """Go to where the next element begins; tells whether there is one."""
        while mark := self._peek():
            if mark == "[" and not self.depth:
                self.depth = 1
            elif mark == "]":
                self.depth = 0
            else:
                return True
            self.text.take(self.text.at + 1)
            if self.inside and not self.depth:
                return False  # what else the object has is not read
        return False

    def _fill(self, wanted: int) -> bool:
        self.closed = None
        return self.text.fill(wanted)

    def whole_elements(self) -> tuple[list[Row | Bad], int, str] | None:
        """Read the elements that lie whole in the window at once; null where that doesn't work."""
        text = self.text
        if len(text.window) - text.at < WINDOW // 2:
            self._fill(WINDOW)
        self._learn_seam()
        ready = self.seam and self.depth and text.offset >= self.singly_until
        cut = text.window.rfind(self.seam, text.at) if self.seam and ready else -1
        if cut < 0:
            return None
        source = text.window[text.at : cut + 1]
        try:
            values = orjson.loads(f"[{source}]")
        except orjson.JSONDecodeError:
            values = [None]
        if not set(map(type, values)) <= {dict} or (
            4 * len(source) > self.limit and len(as_bytes(source)) > self.limit
        ):
            self.singly_until = text.offset + len(source)
            return None
        self._keep(values[-1])
        start = text.offset
        text.take(cut + 1)
        return values, start, source

    def _learn_seam(self) -> None:
        """Remember what stands between two elements, so that a seam in the text is not one inside a row."""
        text = self.text
        if self.closed is not None and self.closed < text.at:
            head = re.compile(r'\{\s*"[^"\\]*"').match(text.window, text.at)
            between = text.window[self.closed : text.at]
            if head and "," in between:
                self.seam = "}" + between + head.group()

    def element(self) -> tuple[Row | Bad, int, bytes]:
        """Give the element that begins here, its offset and bytes; what is none up to the next one as a bad row."""
        text = self.text
        start, wanted = text.offset, WINDOW
        while True:
            found = decoded(text.window, text.at)
            if found.end:
                raw = as_bytes(text.take(found.end))
                self.closed = text.at
                value = parsed(raw, "row") if len(raw) <= self.limit else bad(too_long(len(raw), self.limit), raw)
                if isinstance(value, dict):
                    self._keep(value)
                return value, start, raw
            if not found.cut or wanted > self.limit or not self._fill(wanted := 2 * wanted):
                break
        garbage = self._garbage(found.why)
        return garbage, start, garbage.raw

    def _keep(self, row: Row) -> None:
        """Remember a row, so that one behind a broken one is known by its columns."""
        self.keys.add(frozenset(row))
        self.last = row

    def _inner(self) -> set[frozenset[str]]:
        return set(_inside(self.last))

    def _garbage(self, why: str) -> Bad:
        """Go to the end of what is no row; gives it."""
        text = self.text
        marker = CONFLICT.match(text.window, text.at)
        if marker:
            return bad(CONFLICTING, as_bytes(text.take(marker.end())))
        garbage, scan = Garbage(why), Scan(text, self.limit, inside=self.inside)
        while True:
            end = scan.end(self.keys, self._inner)
            going = end is None and not text.ended
            length = (text.at + scan.at if going else end or len(text.window)) - text.at
            garbage.add(as_bytes(text.take(text.at + length)))
            scan.taken(length)
            if not going:
                break
            self._fill(WINDOW)
        if end is None or (text.ended and NOTHING.match(text.window, text.at)):
            # nothing is left that could close the array, and the break is told here
            garbage.reason, text.broken, self.depth = text.broken or garbage.reason, None, 0
        elif garbage.length > self.limit:
            garbage.reason = too_long(garbage.length, self.limit)
        self.closed = None
        return garbage.told()


def _inside(value: object) -> Iterator[frozenset[str]]:
    """Give the columns of the objects inside a value."""
    left = [value]
    while left:
        one = left.pop()
        found = list(one.values()) if isinstance(one, dict) else one if isinstance(one, list) else []
        left += found
        yield from (frozenset(inner) for inner in found if isinstance(inner, dict))


def _spans(source: str, start: int) -> Located:
    """Give the function that locates the elements of a window's text, found out once when it is first asked."""

    @cache
    def spans() -> list[tuple[int, bytes]]:
        found: list[tuple[int, bytes]] = []
        at, offset = 0, start
        while at < len(source):
            begin = BETWEEN.match(source, at).end()  # type: ignore[union-attr] # matches anything
            end = DECODER.raw_decode(source, begin)[1]
            raw = as_bytes(source[begin:end])
            offset += len(as_bytes(source[at:begin]))
            found.append((offset, raw))
            offset += len(raw)
            at = end
        return found

    return lambda at: spans()[at]
