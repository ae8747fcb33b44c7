"""Layouts: how a raw row of each known form reads as prompt, reply and reference."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from schemas.chats import Chat

ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "function_call": "assistant",
    "system": "system",
    "observation": "tool",
    "function_response": "tool",
    "tool": "tool",
    "function": "tool",
}


class LayoutError(ValueError):
    """A row that isn't what its layout says."""


@dataclass(frozen=True)
class Reading:
    """What a row says: the messages up to the reply wanted, the reply or null, the gold answer or null, the tools."""

    prompt: Chat
    reply: str | None
    reference: str | None = None
    tools: str | None = None


def alpaca(row: Mapping[str, Any]) -> Reading:
    """Stanford Alpaca: `instruction`, `input`, `output`, and `system` and `history` (pairs of turns) where given."""
    if "output" in row and "response" in row:
        raise LayoutError("both 'output' and 'response' are there, and nothing says which is the reply")
    chat = _system(row)
    for turn in row.get("history") or ():
        if not isinstance(turn, list) or len(turn) != 2:  # noqa: PLR2004 - a question and its answer
            raise LayoutError(f"'history' holds {str(turn)[:40]!r} instead of pairs of turns")
        chat += [_message("user", turn[0]), _message("assistant", turn[1])]
    parts = [_text(row, "instruction"), _text(row, "input") if row.get("input") is not None else ""]
    asked = "\n\n".join(part for part in parts if part.strip())
    if not asked:
        raise LayoutError("'instruction' and 'input' are both empty")
    return Reading([*chat, _message("user", asked)], _text(row, "output") if row.get("output") is not None else None)


def sharegpt(row: Mapping[str, Any]) -> Reading:
    """ShareGPT: `conversations` of `from` and `value`, and `system` and `tools` where given."""
    turns = [_message(_role(turn.get("from")), turn.get("value")) for turn in _list(row, "conversations")]
    for raw, turn in zip(row["conversations"], turns, strict=True):
        if raw["from"] == "function_call":
            turn["tool_calls"], turn["content"] = turn["content"], ""
    return _conversation([*_system(row), *turns], _json_text(row.get("tools")))


def messages(row: Mapping[str, Any]) -> Reading:
    """OpenAI's `messages` of `role` and `content` (a text, or text parts), and `tool_calls` and `tools` where given."""
    turns = []
    for raw in _list(row, "messages"):
        turn = _message(_role(raw.get("role")), _content(raw.get("content"), optional=bool(raw.get("tool_calls"))))
        turn["tool_calls"] = _json_text(raw.get("tool_calls"))
        turns.append(turn)
    return _conversation(turns, _json_text(row.get("tools")))


def gsm8k(row: Mapping[str, Any]) -> Reading:
    """GSM8K: `question` and `answer`, whose gold number stands behind `####`."""
    question, answer = _text(row, "question"), _text(row, "answer")
    gold = answer.rpartition("####")[2].strip()
    if not gold or gold == answer.strip():
        raise LayoutError("'answer' has no gold number behind '####'")
    return Reading([_message("user", question)], answer, gold)


LAYOUTS: dict[str, tuple[frozenset[str], Callable[[Mapping[str, Any]], Reading]]] = {
    "messages": (frozenset({"messages"}), messages),
    "sharegpt": (frozenset({"conversations"}), sharegpt),
    "alpaca": (frozenset({"instruction"}), alpaca),
    "gsm8k": (frozenset({"question", "answer"}), gsm8k),
}


def recognise(rows: Iterable[Mapping[str, Any]]) -> str | None:
    """Name the layout that most of the rows have the columns of; null when none has any."""
    counts = dict.fromkeys(LAYOUTS, 0)
    for row in rows:
        for name, (columns, _read) in LAYOUTS.items():
            if columns <= row.keys():
                counts[name] += 1
                break
    best = max(counts, key=counts.__getitem__)
    return best if counts[best] else None


def read_as(layout: str, row: Mapping[str, Any]) -> Reading:
    """Read a row in a layout; raises `LayoutError` saying which column is missing or wrong.

    In any layout `reference` is the gold answer where the row has that column.
    """
    columns, read = LAYOUTS[layout]
    missing = sorted(columns - row.keys())
    if missing:
        raise LayoutError(f"no column {', '.join(map(repr, missing))} as {layout} has; found: {', '.join(sorted(row))}")
    reading = read(row)
    if row.get("reference") is None:
        return reading
    return Reading(reading.prompt, reading.reply, str(row["reference"]), reading.tools)


def _conversation(turns: Chat, tools: str | None) -> Reading:
    if not any(turn["role"] == "user" for turn in turns):
        raise LayoutError("no turn is the user's")
    if turns[-1]["role"] == "assistant" and not turns[-1].get("tool_calls"):
        return Reading(turns[:-1], turns[-1]["content"], tools=tools)
    return Reading(turns, None, tools=tools)


def _system(row: Mapping[str, Any]) -> Chat:
    return [_message("system", row["system"])] if row.get("system") else []


def _message(role: str, content: object) -> Any:
    if not isinstance(content, str):
        raise LayoutError(f"the {role}'s turn is {type(content).__name__} {str(content)[:40]!r} instead of text")
    return {"role": role, "content": content, "tool_calls": None}


def _content(content: object, *, optional: bool) -> object:
    if content is None and optional:
        return ""
    if isinstance(content, list) and content:
        return "".join(_text_part(part) for part in content)
    return content


def _text_part(part: object) -> str:
    text = part.get("text", part.get("value")) if isinstance(part, dict) and part.get("type") == "text" else None
    if not isinstance(text, str):
        raise LayoutError(f"a content part is {str(part)[:60]!r}; only text parts can be read")
    return text


def _role(name: object) -> str:
    if name not in ROLES:
        raise LayoutError(f"a turn is by {name!r}; known are {', '.join(ROLES)}")
    return ROLES[str(name)]


def _list(row: Mapping[str, Any], column: str) -> list[dict[str, Any]]:
    turns = row[column]
    if not isinstance(turns, list) or not turns or not all(isinstance(turn, dict) for turn in turns):
        raise LayoutError(f"{column!r} is {str(turns)[:40]!r} instead of a list of turns")
    return turns


def _text(row: Mapping[str, Any], column: str) -> str:
    if not isinstance(row.get(column), str):
        raise LayoutError(f"{column!r} is {str(row.get(column))[:40]!r} instead of text")
    return str(row[column])


def _json_text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    return orjson.dumps(value, default=str).decode()
