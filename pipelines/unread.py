"""What no layout reads of a file's rows: columns, keys of the turns in them, and whole rows that none is known for."""

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from pipelines.layouts import ALONE, LAYOUTS, Columns, read_as
from pipelines.turns import LayoutError, Reading, Row

WHOLE = {"messages", "sharegpt", "oasst", "verl", "ifeval", "humaneval", "mbpp", "truthfulqa", "multiple_choice"}
ASKING = frozenset(  # may be a part of what is asked
    ("context", "passage", "document", "article", "definition", "choices", "options", "instances")
)
EMPTY: tuple[object, ...] = (None, "", [], {})
NEAREST = 3  # layouts that are told with what they lack
Part = tuple[str, str | None]  # a column, or a key of the objects in it


def unread(layout: str | None, rows: Iterable[Row], columns: Columns) -> list[str]:
    """Name the columns on which nothing depends that is read of these rows; those that are empty are not told.

    So are keys of turns, and of other objects in the lists that are read: `messages[].reasoning_content`.
    """
    there: set[Part] = set()
    used: set[Part] = set()
    for row in rows:
        told = _tried(layout, row, columns)
        for part in _parts(row) if told else ():
            there.add(part)
            if part not in used and _tried(layout, _without(row, part, columns), columns) != told:
                used.add(part)
    left = [(name, key) for name, key in there - used if key is None or (name, None) in used]
    return sorted(name if key is None else f"{name}[].{key}" for name, key in left)


def _parts(row: Row) -> Iterator[Part]:
    """Name what is filled in a row: its columns, each before the keys of the objects that it lists."""
    for name in _filled(row):
        yield name, None
        listed = row[name]
        if isinstance(listed, list) and all(isinstance(one, dict) for one in listed):
            yield from ((name, key) for key in dict.fromkeys(key for one in listed for key in _filled(one)))


def _filled(row: Row) -> list[str]:
    return [name for name, value in row.items() if value not in EMPTY]


def _without(row: Row, part: Part, columns: Columns) -> dict[str, Any]:
    """Give a row that lacks a part; a column that the recipe names is there and null, as it demands it."""
    name, key = part
    if key is not None:
        return {**row, name: [{other: one[other] for other in one if other != key} for one in row[name]]}
    left = {other: value for other, value in row.items() if other != name}
    return {**left, name: None} if name in columns.values() else left


def _tried(layout: str | None, row: Row, columns: Columns) -> list[Reading] | None:
    try:
        return read_as(layout, row, columns)
    except LayoutError:
        return None


def half_read(layout: str, left: Iterable[str]) -> str | None:
    """Name a column that a layout leaves unread though it may be a part of what is asked; null where there is none."""
    return None if layout in WHOLE else next((name for name in left if name in ASKING), None)


def unrecognised(row: Row) -> str:
    """Say of a row whose layout is not recognised what can be done, what was found, and which layouts come nearest."""
    there = {name for name, value in row.items() if value is not None}
    near = sorted(filter(None, (_nearness(name, there) for name in LAYOUTS)))[:NEAREST]
    others = ", ".join(sorted(LAYOUTS.keys() - {name for _rank, name, _told in near}))
    told = f"Nearest: {'; '.join(told for _rank, _name, told in near)}. Others" if near else "Known layouts"
    return (
        'Say in the recipe which columns hold what: columns = { prompt = "...", reply = "..." }.'
        f"{_nested(row)} Found the columns {', '.join(map(spelled, sorted(row)))}. {told}: {others}."
    )


def spelled(column: str) -> str:
    """Give a column's name, quoted and escaped where it is blank or can't be printed."""
    return column if column.strip() and column.isprintable() else repr(column)


def _nearness(name: str, there: set[str]) -> tuple[tuple[int, int], str, str] | None:
    """Give how near a layout is to the columns that are there, its name, and why it is not theirs; null for no share.

    The nearest lacks the fewest columns, and of those shares the most.
    """
    needed, _read = LAYOUTS[name]
    ranked = sorted((len(some - there), -len(some & there), sorted(some - there)) for some in needed if some & there)
    if not ranked:
        return None
    count, shared, lacks = ranked[0]
    beside = sorted(ALONE.get(name, frozenset()) & there)
    why = f"lacks {' and '.join(map(repr, lacks))}" if lacks else f"not beside {' or '.join(map(repr, beside))}"
    return (count, shared), name, f"{name} ({why})"


def _nested(row: Row) -> str:
    """Say how the rows are read that a lone object holds in an array."""
    for name, value in row.items():
        if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            said = orjson.dumps(name).decode()
            return f" Or are the rows in {said}, an array of {len(value):,} object(s)? Then say field = {said}."
    return ""
