"""What a row says, and the small readings that layouts are made of; each raises `LayoutError` with what was found."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from schemas.chats import Chat, Message

Row = Mapping[str, Any]

ROLES = {
    "human": "user",
    "user": "user",
    "prompter": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "model": "assistant",
    "function_call": "assistant",
    "system": "system",
    "developer": "system",
    "observation": "tool",
    "function_response": "tool",
    "tool": "tool",
    "function": "tool",
}


PAIR = {"input", "output"}
BLANK = "'instruction' and 'input' are both empty"
ROUNDED = 2**63  # from here on a JSON reader gives an integer as a float, without its last digits


class LayoutError(ValueError):
    """A row that isn't what its layout says."""


class PromptsDifferError(LayoutError):
    """A row whose replies do not answer the same prompt."""


@dataclass(frozen=True)
class Reading:
    """What a row says: the messages up to the reply wanted, and what else a row of `SAMPLES` holds, null where unsaid.

    `replies` are all that the row ranks or labels, with scores, `reply` among them.
    """

    prompt: Chat
    reply: str | None = None
    reference: str | None = None
    tools: str | None = None
    weight: float | None = None
    replies: tuple[tuple[str, float | None], ...] | None = None
    check: str | None = None
    source: str | None = None
    license: str | None = None


def shown(value: object, length: int = 40) -> str:
    """Give the beginning of a value, for an error."""
    return repr(str(value)[:length])


def text(row: Row, column: str) -> str:
    """Give a column's text."""
    value = row.get(column)
    if not isinstance(value, str):
        raise LayoutError(f"{column!r} is {shown(value)} ({type(value).__name__}) instead of text")
    return value


def text_or_null(row: Row, column: str) -> str | None:
    """Give a column's text, or null where the row has none."""
    return None if row.get(column) is None else text(row, column)


def gold(value: object, column: str = "reference") -> str | None:
    """Give a gold answer as text: a text as it is, a whole number of any length by its digits, others as JSON."""
    if value is None or isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else exact_json(value, column)


def exact_json(value: object, column: str, option: int | None = None) -> str:
    """Give a value as JSON text; raises `LayoutError` for what JSON would say otherwise than the file.

    That are numbers that JSON lacks, bytes, and numbers of more than 64 bits: JSON readers give such an integer as a
    float, whose last digits are not the file's, and nothing tells it from one that was meant.
    """
    fault = next(filter(None, map(_changed, _leaves(value))), None)
    if fault:
        raise LayoutError(f"{column!r} {'is' if _is_leaf(value) else 'holds'} {fault}")
    try:
        return orjson.dumps(value, default=str, option=option).decode()
    except orjson.JSONEncodeError as error:
        raise LayoutError(f"{column!r} is {shown(value)}, which can't be written as JSON: {error}") from error


def _is_leaf(value: object) -> bool:
    return not isinstance(value, (dict, list))


def _leaves(value: object) -> Iterator[object]:
    """Give the values in a value that hold no others, with a stack of its own: they may lie deeper than Python's."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            left += one.values()
        elif isinstance(one, list):
            left += one
        else:
            yield one


def _changed(value: object) -> str | None:
    """Say why a value can't be kept as it is in JSON; null where it can."""
    if isinstance(value, bytes):
        return f"{shown(value)} (bytes) instead of text"
    if isinstance(value, int):
        return None if -ROUNDED <= value < 2 * ROUNDED else _too_long(value)
    if not isinstance(value, float) or abs(value) < ROUNDED:
        return None
    return _too_long(value) if abs(value) < float("inf") else f"{value}, a number that JSON does not have"


def _too_long(value: float) -> str:
    return f"the number {shown(value)} of more than 64 bits, which would lose digits; write it as text, in quotes"


def number(row: Row, column: str) -> float | None:
    """Give a column's number, or null where the row has none; raises `LayoutError` for one that is not finite."""
    value = row.get(column)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= sys.float_info.max:
        raise LayoutError(f"{column!r} is {shown(value)} ({type(value).__name__}) instead of a number")
    return float(value)


def message(role: str, content: object) -> Message:
    """Give a turn of text."""
    if not isinstance(content, str):
        raise LayoutError(f"the {role}'s turn is {type(content).__name__} {shown(content)} instead of text")
    return {"role": role, "content": content, "tool_calls": None}


def role(name: object) -> str:
    """Give the role that a turn's author stands for."""
    if not isinstance(name, str) or name not in ROLES:
        raise LayoutError(f"a turn is by {name!r}; known are {', '.join(ROLES)}")
    return ROLES[name]


def system(row: Row, columns: Sequence[str] = ("system", "system_prompt")) -> Chat:
    """Give the system's turn, where the row has one."""
    return [message("system", row[column]) for column in columns if row.get(column)][:1]


def joined(parts: Iterable[str], fault: str) -> str:
    """Give the texts that aren't blank, an empty line between them; `fault` is what is said where there is none."""
    asked = "\n\n".join(part for part in parts if part.strip())
    if not asked:
        raise LayoutError(fault)
    return asked


def json_text(value: object, column: str = "tools") -> str | None:
    """Give a value as JSON text; a text is JSON already."""
    if value is None or isinstance(value, str):
        return value or None
    return exact_json(value, column)


def chat(value: object, column: str) -> Chat:
    """Give the turns of a list, as OpenAI (`role`, `content`) or ShareGPT (`from`, `value`) write them.

    Bare texts are the user's and the assistant's in turn (LIMA), and so are `input` and `output` (Capybara).
    """
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return [message(("user", "assistant")[at % 2], said) for at, said in enumerate(value)]
    if isinstance(value, list) and value and all(isinstance(one, dict) and one.keys() == PAIR for one in value):
        return [message(by, one[name]) for one in value for by, name in (("user", "input"), ("assistant", "output"))]
    if not isinstance(value, list) or not value or not all(isinstance(turn, dict) for turn in value):
        raise LayoutError(f"{column!r} is {shown(value)} instead of a list of turns")
    return [turn(raw) for raw in value]


def turn(raw: Row) -> Message:
    """Give one turn; content parts are joined, reasoning stands in `<think>` before the text, tool calls apart."""
    author = raw.get("role", raw.get("from"))
    by = role(author)
    content, calls = raw.get("content", raw.get("value")), raw.get("tool_calls")
    if "function_call" in raw:
        calls = _calls(calls, raw["function_call"])
    if author == "function_call":
        return {"role": by, "content": "", "tool_calls": message(by, content)["content"]}
    if isinstance(content, list) and content:
        content, in_parts = _parts(content)
        calls = calls or in_parts
    if content is None and calls:
        content = ""
    said = message(by, content)
    said["tool_calls"] = json_text(calls, "tool_calls") if calls else None
    return said


def _calls(calls: object, older: object) -> object:
    """Give a turn's `tool_calls`; OpenAI's older `function_call` is one."""
    if not older or (isinstance(older, dict) and set(older.values()) == {None}):  # as tables write that there is none
        return calls
    if not isinstance(older, dict):
        raise LayoutError(f"'function_call' is {shown(older)} instead of an object with 'name' and 'arguments'")
    if calls:
        raise LayoutError("a turn has both 'tool_calls' and 'function_call', and nothing says which was meant")
    return [{"type": "function", "function": older}]


def _parts(parts: Sequence[object]) -> tuple[str, list[Any]]:
    """Read a list of content parts: `text`, `reasoning` and `tool_call`, each with its text."""
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[Any] = []
    for part in parts:
        kind = part.get("type") if isinstance(part, dict) else None
        said = part.get("text", part.get("value")) if isinstance(part, dict) else None
        if not isinstance(said, str) or kind not in {"text", "reasoning", "tool_call"}:
            raise LayoutError(f"a content part is {shown(part, 60)}; only text, reasoning and tool_call can be read")
        if kind == "tool_call":
            calls.append({"type": "function", "function": _object(said)})
        else:
            (thoughts if kind == "reasoning" else texts).append(said)
    thought = f"<think>\n{''.join(thoughts)}\n</think>\n\n" if thoughts else ""
    return thought + "".join(texts), calls


def _object(said: str) -> Any:
    try:
        return orjson.loads(said)
    except orjson.JSONDecodeError as error:
        raise LayoutError(f"a tool call is {shown(said, 60)}, which is no JSON: {error}") from error


def conversation(turns: Chat, **said: Any) -> Reading:
    """Give the reading of a whole conversation: the assistant's text that ends it is the reply."""
    if not any(turn["role"] == "user" for turn in turns):
        raise LayoutError("no turn is the user's")
    if turns[-1]["role"] == "assistant" and not turns[-1].get("tool_calls"):
        return Reading(turns[:-1], turns[-1]["content"], **said)
    return Reading(turns, None, **said)


def asks_something(prompt: Chat) -> None:
    """Raise `LayoutError` where the user's last turn says nothing."""
    for turn in reversed(prompt):
        if turn["role"] == "user":
            if not turn["content"].strip() and not turn.get("tool_calls"):
                raise LayoutError("the user's last turn is empty: nothing is asked")
            return


def loss_weight(value: object) -> float | None:
    """Give the weight of a turn, or of the last of a list of turns; null where it has none."""
    last = value[-1] if isinstance(value, list) and value else value
    if not isinstance(last, Mapping):
        return None
    return number(last, "loss_weight") if last.get("loss_weight") is not None else number(last, "weight")


def asked(row: Row, column: str) -> Chat:
    """Give the prompt in a column: a text, or turns."""
    value = row.get(column)
    if isinstance(value, list):
        turns = chat(value, column)
        if not any(turn["role"] == "user" for turn in turns):
            raise LayoutError("no turn is the user's")
        return [*([] if turns[0]["role"] == "system" else system(row)), *turns]
    return [*system(row), message("user", joined([text(row, column)], f"{column!r} is empty"))]


def replied(value: object, column: str) -> str:
    """Give the reply in a column: a text, a turn, or a list that ends with the assistant's."""
    if isinstance(value, str):
        return value
    if not isinstance(value, (dict, list)):
        raise LayoutError(f"{column!r} is {shown(value)} ({type(value).__name__}) instead of text or turns")
    turns = chat([value] if isinstance(value, dict) else value, column)
    if turns[-1]["role"] != "assistant" or turns[-1].get("tool_calls"):
        raise LayoutError(f"{column!r} does not end with a text by the assistant")
    return turns[-1]["content"]
