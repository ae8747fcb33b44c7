"""Layouts: how a raw row of each known form reads as a sample, which one a file's rows have, and columns by name."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import orjson

from pipelines import instructions, preferences, tasks
from pipelines.instructions import REPLIES
from pipelines.turns import (
    LayoutError,
    Reading,
    Row,
    asked,
    asks_something,
    chat,
    conversation,
    exact_json,
    gold,
    joined,
    json_text,
    loss_weight,
    number,
    replied,
    shown,
    system,
    text,
    text_or_null,
)

Columns = Mapping[str, str | list[str]]
Read = Callable[[Row], Reading | list[Reading]]

FIELDS = {  # what a recipe's columns can say, and whether several columns may be joined
    "prompt": True,
    "messages": False,
    "system": False,
    "reply": False,
    "reference": False,
    "check": False,
    "tools": False,
    "source": False,
    "license": False,
    "weight": False,
    "chosen": False,
    "rejected": False,
    "label": False,
}
OVER = ("system", "chosen", "rejected")  # fields that a layout reads from the columns that the recipe names


def messages(row: Row) -> Reading:
    """OpenAI's `messages` (or `conversation`) of `role` and `content` (text, or parts), `tool_calls` and `tools` too.

    The last turn's `weight` or `loss_weight` is the reply's.
    """
    column = "messages" if "messages" in row else "conversation"
    turns = chat(row[column], column)
    weight = loss_weight(row[column])
    first = [] if turns[0]["role"] == "system" else system(row)
    return conversation([*first, *turns], tools=json_text(row.get("tools")), weight=weight)


def sharegpt(row: Row) -> Reading:
    """ShareGPT: `conversations` of `from` and `value`, and `system` and `tools` where given.

    The last turn's `weight` or `loss_weight` is the reply's.
    """
    turns, weight = chat(row["conversations"], "conversations"), loss_weight(row["conversations"])
    return conversation([*system(row), *turns], tools=json_text(row.get("tools")), weight=weight)


def _names(*columns: str) -> frozenset[str]:
    return frozenset(columns)


LAYOUTS: dict[str, tuple[tuple[frozenset[str], ...], Read]] = {  # the columns needed, any of the sets; the first wins
    "oasst": ((_names("message_tree_id", "prompt"),), preferences.oasst),
    "verl": ((_names("prompt", "reward_model"),), tasks.verl),
    "ifeval": ((_names("prompt", "instruction_id_list", "kwargs"),), tasks.ifeval),
    "humaneval": ((_names("prompt", "canonical_solution", "test", "entry_point"),), tasks.humaneval),
    "mbpp": ((_names("text", "code", "test_list"),), tasks.mbpp),
    "dpo": ((_names("chosen", "rejected"), _names("chosen_messages", "rejected_messages")), preferences.dpo),
    "pairs": (
        tuple(
            _names("output_1", "output_2", asks, tells)
            for asks in ("instruction", "input")
            for tells in ("label", "preference")
        ),
        preferences.pairs,
    ),
    "kto": (
        tuple(
            _names("label", *rest)
            for rest in (("messages",), ("conversations",), ("prompt", "completion"), ("prompt", "response"))
        ),
        preferences.kto,
    ),
    "messages": ((_names("messages"), _names("conversation")), messages),
    "sharegpt": ((_names("conversations"),), sharegpt),
    "ultrafeedback": ((_names("instruction", "completions"),), preferences.ultrafeedback),
    "self_instruct": ((_names("instruction", "instances"),), instructions.self_instruct),
    "alpaca": ((_names("instruction"),), instructions.alpaca),
    "choices": (
        tuple(
            _names("question", *rest)
            for rest in (("choices", "answer"), ("choices", "answerKey"), ("options", "answer"))
        ),
        tasks.choices,
    ),
    "gsm8k": ((_names("question", "answer"),), tasks.gsm8k),
    "question_answer": ((_names("question", "answer"), _names("question", "response")), instructions.question_answer),
    "truthfulqa": ((_names("Question", "Best Answer"),), tasks.truthfulqa),
    "multiple_choice": ((_names("0", "1", "2", "3", "4", "5"),), tasks.multiple_choice),
    "prompt_completion": (
        tuple(_names(asks, tells) for asks, answers in instructions.ANSWERS.items() for tells in answers),
        instructions.prompt_completion,
    ),
    "problem": ((_names("problem", "solution"), _names("problem", "answer")), instructions.problem),
    "prompt": ((_names("prompt"),), instructions.prompt),
    "text": ((_names("text"),), instructions.plain_text),
}
ALONE = {  # columns beside which the layout is not recognised: they are more than it reads
    "prompt": _names(
        "output", "answer", "reply", "text", "label", "answers", "responses", "completions", "generations", "solution"
    ),
    "text": _names(
        "output", "response", "completion", "answer", "input", "code", "label", "summary", "target", "reply"
    ),
}


def recognise(rows: Iterable[Row], columns: Columns | None = None) -> str | None:
    """Name the layout that most of the rows have the columns of, those named in the recipe too; null when none has."""
    over = {field: str(name) for field, name in (columns or {}).items() if field in OVER}
    counts = dict.fromkeys(LAYOUTS, 0)
    for row in rows:
        name = _layout_of({**row, **{field: row[name] for field, name in over.items() if name in row}})
        if name:
            counts[name] += 1
    best = max(counts, key=counts.__getitem__)
    return best if counts[best] else None


def _layout_of(row: Row) -> str | None:
    columns = {name for name, value in row.items() if value is not None} | (row.keys() & {"instruction", "messages"})
    for name, (needed, _read) in LAYOUTS.items():
        if any(some <= columns for some in needed) and not columns & ALONE.get(name, frozenset()):
            if name == "gsm8k" and "####" not in str(row["answer"]):
                continue
            return name
    return None


def column_faults(columns: Columns, layout: object) -> Iterator[str]:
    """Say what is wrong with the columns that a recipe names beside the layout that it names, or none."""
    whole = [field for field in ("prompt", "messages") if field in columns]
    if layout and whole:
        yield f"layout {layout!r} and columns.{whole[0]} each say how a row is read; name one of them"
    ranked = [field for field in ("chosen", "rejected") if field in columns]
    if len(ranked) == 1 and whole:
        yield f"columns name {ranked[0]!r} alone; a pair has 'chosen' and 'rejected'"
    if ranked and "label" in columns:
        yield f"columns name {ranked[0]!r} and 'label'; a label is about one reply"


def read_as(layout: str | None, row: Row, columns: Columns | None = None) -> list[Reading]:
    """Read a row in a layout, `columns` over what the layout says; raises `LayoutError` telling what is wrong.

    With columns for the prompt (or messages) no layout is needed. In any layout `reference`, `check` and `license` are
    the row's own columns where it has them; a reference that is no text is its JSON. A label is about the reply that is
    read in the end. A row that asks nothing is wrong in any layout.
    """
    columns = columns or {}
    mapped = "prompt" in columns or "messages" in columns
    readings = [_mapped(row, columns)] if mapped else _laid_out(layout, row, columns)
    extras = _extras(row, columns)
    if extras:
        readings = [replace(reading, **extras) for reading in readings]
    label = columns.get("label", None if mapped or layout != "kto" else "label")
    if label:
        readings = [preferences.labelled(reading, row, str(label)) for reading in readings]
    for reading in readings:
        asks_something(reading.prompt)
    return readings


def _laid_out(layout: str | None, row: Row, columns: Columns) -> list[Reading]:
    """Read a row in a layout, but for the reply where the recipe names its column."""
    assert layout is not None  # noqa: S101 - the caller has recognised one
    named = {field: _column(row, str(name)) for field, name in columns.items()}
    over = {field: value for field, value in named.items() if field in OVER}
    row = {**row, **over} if over else row
    needed, read = LAYOUTS[layout]
    if not any(some <= row.keys() for some in needed):
        _, missing = min((len(some - row.keys()), sorted(some - row.keys())) for some in needed)
        raise LayoutError(f"no column {', '.join(map(repr, missing))} as {layout} has; found: {', '.join(sorted(row))}")
    found = read({key: value for key, value in row.items() if key not in REPLIES} if "reply" in columns else row)
    return found if isinstance(found, list) else [found]


def _extras(row: Row, columns: Columns) -> dict[str, Any]:
    """Read the columns that a row of any layout may have, and those that the recipe names."""
    said: dict[str, Any] = {}
    if row.get("reference") is not None:
        said["reference"] = gold(row["reference"])
    if row.get("check") is not None and row["check"] != "":
        said["check"] = check(row["check"])
    if row.get("license") is not None:
        said["license"] = text(row, "license")
    for field, name in columns.items():
        if field in EXTRAS:
            value = _column(row, str(name))
            said[field] = None if value is None else EXTRAS[field](row, str(name))
    if "reply" in columns:
        said.setdefault("weight", loss_weight(row[str(columns["reply"])]))
    return said


def _column(row: Row, name: str) -> Any:
    if name not in row:
        raise LayoutError(f"no column {name!r} as the recipe's columns say; found: {', '.join(sorted(row))}")
    return row[name]


def _mapped(row: Row, columns: Columns) -> Reading:
    """Read the prompt, system text and ranked replies where the recipe says they are."""
    renamed = {field: _column(row, name) for field, name in columns.items() if isinstance(name, str)}
    if isinstance(columns.get("prompt"), list):
        names = columns["prompt"]
        texts = [text_or_null({name: _column(row, name)}, name) or "" for name in names]
        renamed["prompt"] = joined(texts, f"{', '.join(map(repr, names))} are all empty")
    try:
        if "chosen" in columns and "rejected" in columns:
            return preferences.dpo(renamed)
        return messages(renamed) if "messages" in columns else Reading(asked(renamed, "prompt"))
    except LayoutError as error:
        raise LayoutError(f"{error} (columns as the recipe names them)") from error


def check(value: object) -> str:
    """Give a row's check as JSON text; raises `LayoutError` when it names no verifier."""
    try:
        parsed = orjson.loads(value) if isinstance(value, str) else value
    except orjson.JSONDecodeError:
        parsed = None
    if not isinstance(parsed, dict) or not isinstance(parsed.get("use"), str):
        raise LayoutError(f"'check' is {shown(value, 60)}; expected an object whose 'use' names a verifier")
    return exact_json(parsed, "check", orjson.OPT_SORT_KEYS)


EXTRAS: dict[str, Callable[[Row, str], Any]] = {  # fields that a recipe may name the columns of, in any layout
    "reply": lambda row, name: replied(row[name], name),
    "reference": lambda row, name: gold(row[name], name),
    "check": lambda row, name: check(row[name]),
    "tools": lambda row, name: json_text(row[name], name),
    "source": text,
    "license": text,
    "weight": number,
}
