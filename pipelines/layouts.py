"""Layouts: how a raw row of each known form reads as a sample, which one a file's rows have, and columns by name."""

from collections.abc import Callable, Iterable, Mapping
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
    chat,
    conversation,
    gold,
    joined,
    json_text,
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


def messages(row: Row) -> Reading:
    """OpenAI's `messages` (or `conversation`) of `role` and `content` (text, or parts), `tool_calls` and `tools` too.

    The last turn's `weight` or `loss_weight` is the reply's.
    """
    column = "messages" if "messages" in row else "conversation"
    turns = chat(row[column], column)
    weight = preferences.loss_weight(row[column])
    first = [] if turns[0]["role"] == "system" else system(row)
    return conversation([*first, *turns], tools=json_text(row.get("tools")), weight=weight)


def sharegpt(row: Row) -> Reading:
    """ShareGPT: `conversations` of `from` and `value`, and `system` and `tools` where given."""
    return conversation([*system(row), *chat(row["conversations"], "conversations")], tools=json_text(row.get("tools")))


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
WHOLE = {"messages", "sharegpt", "oasst", "verl", "ifeval", "humaneval", "mbpp", "truthfulqa", "multiple_choice"}
ASKING = _names(  # may be a part of what is asked
    "context", "passage", "document", "article", "definition", "choices", "options", "instances"
)


def recognise(rows: Iterable[Row]) -> str | None:
    """Name the layout that most of the rows have the columns of; null when none has any."""
    counts = dict.fromkeys(LAYOUTS, 0)
    for row in rows:
        name = _layout_of(row)
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


def unread(layout: str | None, rows: Iterable[Row], columns: Columns) -> list[str]:
    """Name the columns on which nothing depends that is read of these rows; those that are empty are not told."""
    there: set[str] = set()
    used: set[str] = set()
    for row in rows:
        told = _tried(layout, row, columns)
        filled = {name for name, value in row.items() if value not in (None, "", [], {})} if told else set()
        there |= filled
        for name in filled - used:
            if _tried(layout, {key: value for key, value in row.items() if key != name}, columns) != told:
                used.add(name)
    return sorted(there - used)


def _tried(layout: str | None, row: Row, columns: Columns) -> list[Reading] | None:
    try:
        return read_as(layout, row, columns)
    except LayoutError:
        return None


def half_read(layout: str, left: Iterable[str]) -> str | None:
    """Name a column that a layout leaves unread though it may be a part of what is asked; null where there is none."""
    return None if layout in WHOLE else next((name for name in left if name in ASKING), None)


def known() -> str:
    """Tell the layouts and their columns, for an error."""
    return "; ".join(
        f"{name} ({' or '.join(', '.join(sorted(some)) for some in needed)})"
        for name, (needed, _read) in LAYOUTS.items()
    )


def read_as(layout: str | None, row: Row, columns: Columns | None = None) -> list[Reading]:
    """Read a row in a layout, `columns` over what the layout says; raises `LayoutError` telling what is wrong.

    With columns for the prompt (or messages) no layout is needed. In any layout `reference`, `check` and `license` are
    the row's own columns where it has them; a reference that is no text is its JSON.
    """
    columns = columns or {}
    if "prompt" in columns or "messages" in columns:
        readings = [_mapped(row, columns)]
    else:
        rest = {key: value for key, value in row.items() if key not in REPLIES} if "reply" in columns else row
        assert layout is not None  # noqa: S101 - the caller has recognised one
        needed, read = LAYOUTS[layout]
        if not any(some <= row.keys() for some in needed):
            _, missing = min((len(some - row.keys()), sorted(some - row.keys())) for some in needed)
            raise LayoutError(
                f"no column {', '.join(map(repr, missing))} as {layout} has; found: {', '.join(sorted(row))}"
            )
        found = read(rest)
        readings = found if isinstance(found, list) else [found]
    extras = _extras(row, columns)
    return [replace(reading, **extras) for reading in readings] if extras else readings


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
    return said


def _column(row: Row, name: str) -> Any:
    if name not in row:
        raise LayoutError(f"no column {name!r} as the recipe's columns say; found: {', '.join(sorted(row))}")
    return row[name]


def _mapped(row: Row, columns: Columns) -> Reading:
    """Read the prompt, system text and labelled replies where the recipe says they are."""
    renamed = {field: _column(row, name) for field, name in columns.items() if isinstance(name, str)}
    if isinstance(columns.get("prompt"), list):
        names = columns["prompt"]
        texts = [text_or_null({name: _column(row, name)}, name) or "" for name in names]
        renamed["prompt"] = joined(texts, f"{', '.join(map(repr, names))} are all empty")
    try:
        if "chosen" in columns and "rejected" in columns:
            return preferences.dpo(renamed)
        if "label" in columns:
            return preferences.kto(renamed | {"completion": renamed.get("reply")})
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
    return orjson.dumps(parsed, option=orjson.OPT_SORT_KEYS).decode()


EXTRAS: dict[str, Callable[[Row, str], Any]] = {  # fields that a recipe may name the columns of, in any layout
    "reply": lambda row, name: replied(row[name], name),
    "reference": lambda row, name: gold(row[name]),
    "check": lambda row, name: check(row[name]),
    "tools": lambda row, name: json_text(row[name]),
    "source": text,
    "license": text,
    "weight": number,
}
