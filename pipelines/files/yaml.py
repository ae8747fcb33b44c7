"""YAML: a list of rows, an item at a time, so that one bad item costs no other.

Only what is safe is read: no tags, no anchors or aliases. Words are words: `yes`, `no`, `on` and dates stay text; null,
true, false and plain decimal numbers are what they say.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from pipelines.files import lines
from pipelines.files.rows import Bad, Batch, Gathering, Row, bad, no_object

ITEM = re.compile(rb"^(?:- |-\r?$|---)")
MARKED = re.compile(rb"[&*]\w")  # what may be an anchor or an alias
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
    for start, found in _items(pieces, limit, offset):
        if isinstance(found, Bad):
            yield from rows.add(found, start, found.raw)
            continue
        values = _values(found)
        for value in values:
            yield from rows.add(value, start, found, len(found) // len(values))
    yield from rows.rest()


def _items(pieces: Iterator[bytes], limit: int, offset: int) -> Iterator[tuple[int, bytes | Bad]]:
    """Split the text before each line that begins an item or a document."""
    start, length = offset, 0
    held: list[bytes] = []
    for at, line in lines.whole(pieces, limit, offset):
        raw = line.raw if isinstance(line, Bad) else line
        if ITEM.match(raw) or length > limit:
            if held:
                yield start, _checked(b"".join(held), limit)
            start, held, length = at, [], 0
        if isinstance(line, Bad):  # with what stands before it in its item
            yield start if held else at, bad(line.reason, b"".join((*held, raw))) if held else line
            start, held, length = at, [], 0
            continue
        held.append(raw)
        length += len(raw)
    if held:
        yield start, _checked(b"".join(held), limit)


def _checked(text: bytes, limit: int) -> bytes | Bad:
    if len(text) > limit:
        return bad(f"this row has {len(text):,} bytes, more than max_row_mib allows ({limit:,} bytes)", text)
    return text


def _values(text: bytes) -> list[Row | Bad]:
    """Read the rows of an item, or of a whole document without items."""
    import yaml

    try:
        plain = text.decode()
        if MARKED.search(text) and any(getattr(event, "anchor", None) for event in yaml.parse(plain, _loader())):
            return [bad("anchors and aliases are not read: a few lines of them can stand for any amount of text", text)]
        documents = [value for value in yaml.load_all(plain, _loader()) if value is not None]
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
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
