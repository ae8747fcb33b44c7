"""The texts of a row, and the texts within those that are JSON: where what is private is looked for and replaced."""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

import polars as pl

from filters.texts import Part

Edit = Callable[[str, str], str]  # of a text, and the key it stands under in JSON ("" where none), what it becomes
Texts = Callable[[str, str | None], str | None]  # of a column's name and a text of it, what that becomes
COLUMNS = ("prompt", "reply", "replies", "reference", "check", "tools")
TOKEN = re.compile(r'("[^"\\]*(?:\\.[^"\\]*)*")(\s*:)?|-?\d[\d.eE+-]*|}')
HIDDEN = r"\\u(?:00|20)|\\/"  # in JSON these may stand within anything


def texts_edited(row: dict[str, Any], part: Part, edit: Texts) -> dict[str, Any]:
    """Give what becomes of the columns that `part` takes in, `edit` applied to each of their texts.

    The prompt is its messages with their tool calls (the question those that are not the system's), the reply is
    `reply`, `replies` and `reference`, the conversation is both, and what `check` and `tools` say.
    """
    edited: dict[str, Any] = {}
    if part != "reply":
        edited["prompt"] = [
            message
            if part == "question" and message["role"] == "system"
            else message | {name: edit("prompt", message[name]) for name in ("content", "tool_calls")}
            for message in row["prompt"]
        ]
    if part in {"reply", "conversation"}:
        edited["replies"] = row["replies"] and [
            other | {"text": edit("replies", other["text"])} for other in row["replies"]
        ]
    single = {"reply": ("reply", "reference"), "conversation": ("reply", "reference", "check", "tools")}
    return edited | {name: edit(name, row[name]) for name in single.get(part, ())}


def holding(part: Part, hint: str, columns: Iterable[str] = COLUMNS) -> pl.Expr:
    """Tell the rows that may hold what `hint` hints at in `part`, of its `columns`; null where it has no text."""
    hint = f"{hint}|{HIDDEN}"
    message = pl.element().struct
    told = [message.field(name).str.contains(hint).fill_null(value=False) for name in ("content", "tool_calls")]
    if part == "question":
        told = [one & (message.field("role") != "system") for one in told]
    texts = {
        "prompt": pl.col("prompt").list.eval(pl.any_horizontal(told)).list.any(),
        "replies": pl.col("replies").list.eval(message.field("text").str.contains(hint)).list.any(),
        **{name: pl.col(name).str.contains(hint) for name in ("reply", "reference", "check", "tools")},
    }
    within = {"reply": ("reply", "replies", "reference"), "conversation": COLUMNS}.get(part, ("prompt",))
    looked = [texts[name] for name in within if name in set(columns)]
    present = pl.any_horizontal(pl.col(name).is_not_null() for name in within if name in set(columns))
    return pl.when(present).then(pl.any_horizontal(one.fill_null(value=False) for one in looked))


def edited(told: str, edit: Edit, key: str = "") -> str:
    """Give `told` edited: whole, or where it is JSON each string and number of it, at any depth, keys too.

    Strings that are JSON themselves are edited within. A number that changes becomes a string; what doesn't change
    stays byte for byte as it was.
    """
    if not _is_json(told):
        return edit(told, key)

    def token(found: re.Match[str]) -> str:
        nonlocal key
        if found.group() == "}":  # what follows in a list stands under no key of the object's
            key = ""
            return "}"
        written, colon = found.group(1), found.group(2)
        before = json.loads(written) if written else found.group()
        after = edited(before, edit, "" if colon else key)
        if colon:
            key = before
        if after == before:
            return found.group()
        escaped = not written or written.isascii() or "\\u" in written  # half a surrogate pair can't be written bare
        return json.dumps(after, ensure_ascii=escaped) + (colon or "")

    return TOKEN.sub(token, told)


def _is_json(told: str) -> bool:
    if told.lstrip()[:1] not in {"{", "[", '"'}:
        return False
    try:
        json.loads(told, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return False
    return True
