"""JSON documents: the elements of an array (or objects one after the other), a window at a time, whatever breaks them.

A window's whole elements are read in one go where that works. Where it doesn't they are read one by one, and behind
what is broken the next object with the columns of the other rows is taken for the next row; what lies between is one
bad row. So a truncated file, a broken row and a merge conflict cost no good row.
"""

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache

import orjson
from xxhash import xxh3_128

from pipelines.files.rows import RAW_KEPT, Bad, Batch, Gathering, Located, Row, bad, parsed
from pipelines.files.windows import DECODER, Text, as_bytes, decoded

WINDOW = 1 << 20  # characters
BETWEEN = re.compile(r"[ \t\r\n,]*")
CONFLICT = re.compile(r"(?:<{7}|={7}|>{7}|\|{7})[^\n]*")
OBJECT = re.compile(r'\{\s*"')


class _Garbage:
    """What could not be read, of any length."""

    def __init__(self, reason: str, offset: int) -> None:
        self.reason, self.offset = reason, offset
        self.head, self.digest = b"", xxh3_128()

    def add(self, text: str) -> None:
        """Add the next of it."""
        raw = as_bytes(text)
        self.head = (self.head + raw[:RAW_KEPT])[:RAW_KEPT]
        self.digest.update(raw)

    def told(self) -> Bad:
        """Give it as a bad row."""
        return Bad(self.reason, self.head, self.digest.hexdigest())


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
        if not set(map(type, values)) <= {dict}:
            self.singly_until = text.offset + len(source)
            return None
        self.keys.add(frozenset(values[-1]))
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
                value = parsed(raw, "row")
                if isinstance(value, dict):
                    self.keys.add(frozenset(value))
                return value, start, raw
            if not found.cut or wanted > self.limit or not self._fill(wanted := 2 * wanted):
                break
        garbage = self._garbage(found.why, start)
        return garbage, start, garbage.raw

    def _garbage(self, why: str, start: int) -> Bad:
        """Go to the next object that looks like a row; gives what lies before it."""
        text = self.text
        marker = CONFLICT.match(text.window, text.at)
        if marker:
            return bad(
                "this is a mark of a merge conflict: its two sides are both read", as_bytes(text.take(marker.end()))
            )
        too_long = not text.ended and len(text.window) - text.at > self.limit
        why = f"this row has more bytes than max_row_mib allows ({self.limit:,} bytes)" if too_long else why
        garbage = _Garbage(why, start)
        while True:
            found = self._next_row()
            garbage.add(text.take(len(text.window) if found is None else found))
            if found is not None or not self._fill(WINDOW):
                if found is None:  # nothing is left that could close the array, and the break is told here
                    garbage.reason, text.broken, self.depth = text.broken or garbage.reason, None, 0
                return garbage.told()

    def _next_row(self) -> int | None:
        """Find the next object with the columns of a row, behind the place where none begins."""
        text = self.text
        if not self.keys:
            self.keys |= _likely(text.window, text.at + 1)
        at = text.at + 1
        while found := OBJECT.search(text.window, at):
            here = decoded(text.window, found.start())
            if here.columns in self.keys:
                return found.start()
            if here.cut and len(text.window) - found.start() <= self.limit and self._grow():
                at = text.at + 1  # the window has moved
            else:
                at = found.start() + 1
        conflict = re.compile(r"^(?:<{7}|={7}|>{7})", re.MULTILINE).search(text.window, text.at + 1)
        return conflict.start() if conflict else None

    def _grow(self) -> bool:
        """Read more behind an object that the window cuts."""
        return self._fill(2 * (len(self.text.window) - self.text.at))


def _likely(window: str, at: int) -> set[frozenset[str]]:
    """Give the columns that most of the text's whole objects have, by their length."""
    counts: Counter[frozenset[str]] = Counter()
    while found := OBJECT.search(window, at):
        here = decoded(window, found.start())
        if here.columns is not None:
            counts[here.columns] += here.end - found.start()
        at = here.end or found.start() + 1
    return {columns for columns, _length in counts.most_common(1)}


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
