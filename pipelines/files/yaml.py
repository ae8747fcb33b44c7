"""YAML: a list of rows, an item at a time, so that one bad item costs no other.

Only what is safe is read: no tags, no anchors or aliases. Words are words: `yes`, `no`, `on` and dates stay text; null,
true, false and plain decimal numbers are what they say.
"""

import re
from collections import deque
from collections.abc import Iterator
from functools import cache
from typing import Any

from pipelines.files import lines
from pipelines.files.rows import (
    CONFLICT,
    CONFLICTING,
    Bad,
    Batch,
    Garbage,
    Gathering,
    Row,
    bad,
    no_object,
    not_utf8,
    too_long,
)

ITEM = re.compile(rb"^(?:- |-\r?$|---)")
MARKED = re.compile(rb"[&*][^\s,\[\]{}]")  # what may be an anchor or an alias
JOINED = 8  # parts in which an open quote is closed at most
WORDS = {
    "tag:yaml.org,2002:null": (re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    "tag:yaml.org,2002:bool": (re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")),
    "tag:yaml.org,2002:int": (re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789")),
    "tag:yaml.org,2002:float": (
        re.compile(r"^[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)$"),
        list("-+0123456789"),
    ),
}


def read(pieces: Iterator[bytes], limit: int, offset: int = 0) -> Iterator[Batch]:
    """Give the items' rows in batches; an item or a document without items of more than `limit` bytes is a bad row."""
    rows = Gathering(100)
    for start, text, values in _parsed(_untorn(_parts(pieces, limit, offset))):
        for value in values:
            yield from rows.add(value, start, text, len(text) // len(values))
    yield from rows.rest()


class _Part:
    """An item, a document without items or a mark of a conflict: its text, or, of what is too long, its hash alone."""

    def __init__(self, start: int, limit: int, *, mark: bool = False, torn: bool = False) -> None:
        self.start, self.limit, self.mark, self.torn = start, limit, mark, torn
        self.lines: list[bytes] = []
        self.length = 0
        self.garbage: Garbage | None = None
        self.owed = b""  # the end of a line that is garbage

    def add(self, line: bytes | Garbage) -> None:
        """Add the next line; what the part has so far is at the beginning of a `Garbage` line."""
        if isinstance(line, Garbage):
            self.garbage, self.owed = line, b"\n"
            return
        if self.garbage:
            self.garbage.add(self.owed + line)
            self.owed = b""
            return
        self.lines.append(line)
        self.length += len(line)
        if self.length > self.limit:
            self.garbage = Garbage("", self.text)

    def told(self) -> Bad:
        """Give what is no text as a bad row."""
        garbage = self.garbage or Garbage("", self.text)
        if garbage.length > self.limit:
            garbage.reason = too_long(garbage.length, self.limit)
        return garbage.told()

    @property
    def text(self) -> bytes:
        """The part's bytes so far, none of garbage."""
        return b"".join(self.lines)

    @property
    def begun(self) -> bool:
        """Tells whether anything but blank lines and comments is in it."""
        return self.garbage is not None or any(line.strip() and not line.startswith(b"#") for line in self.lines)


def _parts(pieces: Iterator[bytes], limit: int, offset: int) -> Iterator[_Part]:
    """Part the text before each line that begins an item or a document, and around the marks of conflicts."""
    part, begins = _Part(offset, limit), False

    def before(line: bytes) -> bytes:
        nonlocal begins
        begins = ITEM.match(line) is not None
        return b"" if begins else part.text

    for at, line in lines.whole(pieces, limit, offset, before):
        mark = isinstance(line, bytes) and CONFLICT.match(line) is not None
        if isinstance(line, bytes):
            begins = ITEM.match(line) is not None
        if mark or part.mark or begins:
            if part.lines or part.garbage:
                yield part
            part = _Part(at, limit, mark=mark, torn=part.mark and not begins and not mark)
        part.add(line)
    if part.lines or part.garbage:
        yield part


def _untorn(parts: Iterator[_Part]) -> Iterator[_Part]:
    """Tell the items that a conflict tears apart: a part of them stands behind its mark."""
    held: list[_Part] = []  # an item and the marks behind it
    for part in parts:
        if not part.mark:
            if held and part.torn and part.begun:
                held[0].torn = True
            yield from held
            held = []
        held.append(part)
    yield from held


def _parsed(parts: Iterator[_Part]) -> Iterator[tuple[int, bytes, list[Row | Bad]]]:
    """Read the parts; one whose quote is not closed goes on in the next ones where that makes a row of them."""
    ahead: deque[_Part] = deque()
    while part := ahead.popleft() if ahead else next(parts, None):
        if part.garbage:
            told = part.told()
            yield part.start, told.raw, [told]
            continue
        text, values = part.text, _values(part.text) if not part.mark and not part.torn else _of_conflict(part)
        joined, together = text, values
        for at in range(JOINED):
            if not _is_open(together):
                break
            if at == len(ahead) and (more := next(parts, None)):
                ahead.append(more)
            if at == len(ahead) or ahead[at].garbage or ahead[at].mark:
                break
            joined += ahead[at].text
            together = _values(joined)
            if not any(isinstance(value, Bad) for value in together):
                text, values = joined, together
                for _part in range(at + 1):
                    ahead.popleft()
                break
        yield part.start, text, values


def _of_conflict(part: _Part) -> list[Row | Bad]:
    if part.mark:
        return [bad(CONFLICTING, part.text)]
    return [bad("this is a part of an item that a merge conflict tears apart", part.text)] if part.begun else []


def _is_open(values: list[Row | Bad]) -> bool:
    return len(values) == 1 and isinstance(values[0], Bad) and "quoted scalar" in values[0].reason


def _values(text: bytes) -> list[Row | Bad]:
    """Read the rows of an item, or of a whole document without items."""
    import yaml

    if text.startswith(b"%") and all(line.lstrip()[:1] in {b"", b"#", b"%"} for line in text.splitlines()):
        return []  # directives stand before the mark of the document's beginning
    try:
        plain = text.decode()
        if MARKED.search(text) and any(getattr(event, "anchor", None) for event in yaml.parse(plain, _loader())):
            return [bad("anchors and aliases are not read: a few lines of them can stand for any amount of text", text)]
        documents = [value for value in yaml.load_all(plain, _loader()) if value is not None]
    except UnicodeDecodeError:
        return [bad(not_utf8(text, "item") or "", text)]
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        said = re.sub(r"\s+", " ", str(error))[:300]
        return [bad(f"this is no YAML that can be read: {said or type(error).__name__}", text)]
    found = [value for document in documents for value in (document if isinstance(document, list) else [document])]
    return [_row(value, text) for value in found]


def _row(value: Any, text: bytes) -> Row | Bad:
    if not isinstance(value, dict):
        return no_object(value, text)
    if not all(isinstance(key, str) for key in value):
        return bad(f"the columns are {list(value)[:5]} instead of text", text)
    try:
        "".join(_texts(value)).encode()
    except UnicodeEncodeError:
        return bad("a text holds a lone surrogate", text)
    return value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(key)
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


@cache
def _loader() -> type:
    import yaml

    safe = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(safe):  # type: ignore[misc, valid-type] # which of the two is known when it runs
        yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - a class's own, as PyYAML wants it

    for tag, (pattern, first) in WORDS.items():
        Loader.add_implicit_resolver(tag, pattern, first)
    return Loader
